"""What a sentence-transformers folder says, and what of it is refused."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.sentences import CONFIG, DENSE, MEAN, PROMPTS, write_files
from wit_llm.errors import InvalidEncoding, NNError, Unsupported
from wit_llm.text.sentence import Sentence, read_sentence

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

# Of "cat dog", and of "cat" with a token of padding; `tests.sentences` says how they come about.
HIDDEN = np.array([[[6, 2], [9, -1], [10, -2], [7, 1]], [[5, 1], [8, -2], [6, 0], [99, 99]]], np.float32)
LENGTHS = [4, 3]


def _vectors(folder: Path, modules: Sequence[tuple[str, dict[str, Any]]]) -> tuple[Sentence, Any]:
    sentence = read_sentence(write_files(folder, modules))
    vectors = sentence.vectors(HIDDEN, LENGTHS)
    assert vectors.shape == (2, sentence.dimensions)
    assert vectors.dtype == np.float32
    return sentence, vectors


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        pytest.param("cls", [[6, 2], [5, 1]], id="cls"),
        pytest.param("max", [[10, 2], [8, 1]], id="max"),
        pytest.param("mean", [[8, 0], [19 / 3, -1 / 3]], id="mean"),
        pytest.param("mean_sqrt_len_tokens", [[16, 0], [19 / 3**0.5, -1 / 3**0.5]], id="mean-sqrt-len"),
        pytest.param("weightedmean", [[8.2, -0.2], [39 / 6, -3 / 6]], id="weighted-mean"),
        pytest.param("lasttoken", [[7, 1], [6, 0]], id="last-token"),
        pytest.param(["max", "cls"], [[10, 2, 6, 2], [8, 1, 5, 1]], id="joined"),
    ],
)
def test_pools_as_the_folder_says(tmp_path: Path, mode: str | list[str], expected: list[list[float]]) -> None:
    """Each mode of the library, of the tokens of each text and never of its padding."""
    _, vectors = _vectors(tmp_path, [("Pooling", {**MEAN, "pooling_mode": mode})])
    np.testing.assert_allclose(vectors, expected, rtol=1e-6)


def test_switches_of_older_folders_are_read_in_the_order_of_the_library(tmp_path: Path) -> None:
    """What older releases wrote is read: CLS comes before the mean, whichever is written first."""
    switches = {"pooling_mode_mean_tokens": True, "pooling_mode_max_tokens": False, "pooling_mode_cls_token": True}
    _, vectors = _vectors(tmp_path, [("Pooling", {"word_embedding_dimension": 2, **switches})])
    np.testing.assert_allclose(vectors[0], [6, 2, 8, 0])


def test_layers_follow_in_their_order(tmp_path: Path) -> None:
    """A linear layer multiplies and adds, a vector is normalised where the folder says so, and dropout does nothing."""
    sentence, vectors = _vectors(
        tmp_path, [("Pooling", MEAN), ("Dropout", {"dropout": 0.1}), ("Dense", DENSE), ("Normalize", {})]
    )
    assert sentence.dimensions == 3
    # [8, 0] becomes [8, 0, 9]
    np.testing.assert_allclose(vectors[0], np.array([8, 0, 9]) / 145**0.5, rtol=1e-6)


def test_tanh_is_what_a_dense_layer_without_an_activation_has(tmp_path: Path) -> None:
    """As in the library, which names it where it writes."""
    for place, activation in enumerate([{}, {"activation_function": "torch.nn.modules.activation.Tanh"}]):
        (tmp_path / str(place)).mkdir()
        config = {key: value for key, value in DENSE.items() if key != "activation_function"} | activation
        _, vectors = _vectors(tmp_path / str(place), [("Pooling", MEAN), ("Dense", config)])
        np.testing.assert_allclose(vectors[1], np.tanh([19 / 3, -1 / 3, 7]), rtol=1e-6)


def test_a_vector_of_zeros_stays_one(tmp_path: Path) -> None:
    """Normalising divides by no zero."""
    sentence = read_sentence(write_files(tmp_path, [("Pooling", MEAN), ("Normalize", {})]))
    assert sentence.vectors(np.zeros((1, 3, 2), np.float32), [3]).tolist() == [[0, 0]]


def _file(name: str, content: object) -> Callable[[Path], object]:
    return lambda folder: write_files(folder, files={name: content})


def _layers(*modules: tuple[str, dict[str, Any]]) -> Callable[[Path], object]:
    return lambda folder: write_files(folder, modules)


def _broken(name: str, content: bytes) -> Callable[[Path], object]:
    def make(folder: Path) -> None:
        write_files(folder, [("Pooling", MEAN), ("Dense", DENSE)])
        (folder / name).write_bytes(content)

    return make


LIBRARY = "sentence_transformers.models."
TRANSFORMER = {"path": "", "type": f"{LIBRARY}Transformer"}


@pytest.mark.parametrize(
    ("make", "error", "told"),
    [
        pytest.param(
            _layers(), Unsupported, "modules.json has ['Transformer']; supported are Transformer and ", id="no-pooling"
        ),
        pytest.param(
            _layers(("SpladePooling", {})),
            Unsupported,
            "modules.json has ['Transformer', 'SpladePooling']; supported are",
            id="another-pooling",
        ),
        pytest.param(
            _layers(("Pooling", MEAN), ("LayerNorm", {})),
            Unsupported,
            "module 'LayerNorm' of modules.json is not supported; after Pooling there are Dense and Normalize",
            id="another-layer",
        ),
        pytest.param(
            _file("modules.json", [{"path": "", "type": "custom_st.Transformer"}]),
            Unsupported,
            "modules.json has a module custom_st.Transformer, which is Python code that no host runs",
            id="code",
        ),
        pytest.param(
            _file("modules.json", [TRANSFORMER, {"path": "../1_Pooling", "type": f"{LIBRARY}Pooling"}]),
            Unsupported,
            "modules.json has path '../1_Pooling'; a module lies in a folder such as 1_Pooling",
            id="path",
        ),
        pytest.param(
            _file("modules.json", [{"path": "1_Pooling", "type": f"{LIBRARY}Pooling"}, TRANSFORMER]),
            Unsupported,
            "modules.json has ['Pooling', 'Transformer']; supported are Transformer and Pooling after it",
            id="order",
        ),
        pytest.param(
            _file("modules.json", {}), InvalidEncoding, "modules.json must hold a list, got dict", id="no-list"
        ),
        pytest.param(
            _file("modules.json", [7]), InvalidEncoding, "modules.json must be a list of modules with ", id="no-module"
        ),
        pytest.param(
            _layers(("Pooling", {**MEAN, "pooling_mode": "median"})),
            Unsupported,
            "pooling mode 'median' is not supported; there are cls, max, mean, mean_sqrt_len_tokens, weightedmean, ",
            id="mode",
        ),
        pytest.param(
            _layers(("Pooling", {**MEAN, "pooling_mode_median_tokens": True})),
            Unsupported,
            "pooling_mode_median_tokens = True of Pooling is not supported; known are",
            id="switch",
        ),
        pytest.param(
            _layers(("Pooling", {"pooling_mode": "mean"})),
            InvalidEncoding,
            "Pooling wants a number as embedding_dimension, got None",
            id="no-size",
        ),
        pytest.param(
            _layers(("Pooling", MEAN), ("Dense", {**DENSE, "activation_function": "torch.nn.modules.activation.GELU"})),
            Unsupported,
            "activation 'torch.nn.modules.activation.GELU' of Dense is not supported; there are torch.nn.modules.",
            id="activation",
        ),
        pytest.param(
            _layers(("Pooling", MEAN), ("Dense", {**DENSE, "use_residual": True})),
            Unsupported,
            "use_residual = True of Dense is not supported",
            id="residual",
        ),
        pytest.param(
            _layers(("Pooling", MEAN), ("Normalize", {"module_input_name": "token_embeddings"})),
            Unsupported,
            "module_input_name = 'token_embeddings' of Normalize is not supported",
            id="normalised-tokens",
        ),
        pytest.param(
            _layers(("Pooling", {**MEAN, "pooling_mode": ["mean", "max"]}), ("Dense", DENSE)),
            InvalidEncoding,
            "Dense takes vectors of 2 elements, and those before it have 4",
            id="widths",
        ),
        pytest.param(
            _layers(("Pooling", MEAN), ("Dense", {**DENSE, "out_features": 4})),
            InvalidEncoding,
            "the weights of 2_Dense are not those of its config.json, 4 of 2",
            id="weights",
        ),
        pytest.param(
            _broken("2_Dense/model.safetensors", b'\x08\x00\x00\x00\x00\x00\x00\x00{"a":1}'),
            InvalidEncoding,
            "2_Dense/model.safetensors is cut off or no safetensors file: ",
            id="junk-weights",
        ),
        pytest.param(
            _broken("1_Pooling/config.json", b"{"), InvalidEncoding, "1_Pooling/config.json is not JSON: ", id="junk"
        ),
        pytest.param(
            _file(CONFIG, {"transformer_task": "fill-mask"}),
            Unsupported,
            f"transformer_task = 'fill-mask' of {CONFIG} is not supported; honoured are max_seq_length, do_lower_case",
            id="task",
        ),
        pytest.param(
            _file(CONFIG, {"modality_config": {"text": {"method": "get_text_features"}}}),
            Unsupported,
            f"modality_config = {{'text': {{'method': 'get_text_features'}}}} of {CONFIG} is not supported",
            id="modality",
        ),
        pytest.param(
            _file(PROMPTS, {"model_type": "SparseEncoder"}),
            Unsupported,
            f"{PROMPTS} says that this is a SparseEncoder; supported is SentenceTransformer",
            id="another-model",
        ),
        pytest.param(
            _file(PROMPTS, {"default_prompt_name": "query", "prompts": {"passage": "x"}}),
            InvalidEncoding,
            f"{PROMPTS} has no prompt 'query', which is its default_prompt_name",
            id="no-such-prompt",
        ),
    ],
)
def test_what_is_not_honoured_is_refused_by_name(
    tmp_path: Path, make: Callable[[Path], object], error: type[NNError], told: str
) -> None:
    """Nothing that would change a vector is passed over."""
    make(tmp_path)
    with pytest.raises(error, match=f"^{re.escape(told)}"):
        read_sentence(tmp_path)


def test_a_prompt_outside_the_pooling_is_refused(tmp_path: Path) -> None:
    """Where the library would leave a default prompt's tokens out, there is no vector; without one nothing changes."""
    modules = [("Pooling", {**MEAN, "include_prompt": False})]
    named = {"default_prompt_name": "query", "prompts": {"query": "query: "}}
    assert read_sentence(write_files(tmp_path, modules)).prompt == ""
    (tmp_path / PROMPTS).write_text(json.dumps(named))
    with pytest.raises(Unsupported, match="^a default prompt whose tokens are left out of the pooling is not support"):
        read_sentence(tmp_path)


def test_what_newer_releases_write_out_is_known(tmp_path: Path) -> None:
    """Keys that say what is so anyway are no obstacle, and the prompt and the lower case are read."""
    named = {"module_input_name": "sentence_embedding", "module_output_name": "sentence_embedding"}
    files = {
        CONFIG: {
            "transformer_task": "feature-extraction",
            "modality_config": {"text": {"method": "forward", "method_output_name": "last_hidden_state"}},
            "module_output_name": "token_embeddings",
            "max_seq_length": 8,
            "do_lower_case": True,
            "tokenizer_args": {},
        },
        PROMPTS: {
            "model_type": "SentenceTransformer",
            "prompts": {"query": "query: ", "document": ""},
            "default_prompt_name": "query",
            "similarity_fn_name": "cosine",
        },
    }
    modules: list[tuple[str, dict[str, Any]]] = [
        ("Pooling", MEAN),
        ("Dense", {**DENSE, **named}),
        ("Normalize", named),
    ]
    sentence = read_sentence(write_files(tmp_path, modules, files))
    assert (sentence.prompt, sentence.lower_case, sentence.dimensions) == ("query: ", True, 3)


def test_pickled_weights_are_not_read(tmp_path: Path) -> None:
    """A folder with a pickle in the place of safetensors says what is missing."""
    write_files(tmp_path, [("Pooling", MEAN), ("Dense", DENSE)])
    (tmp_path / "2_Dense" / "model.safetensors").rename(tmp_path / "2_Dense" / "pytorch_model.bin")
    with pytest.raises(InvalidEncoding, match="^2_Dense has no model.safetensors$"):
        read_sentence(tmp_path)
