"""A GGUF file with a tokenizer beside it is a graph; what OpenVINO would read wrongly is refused."""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests import gguf_file
from tests.contract.conftest import TINY
from wit_llm import Grant, Host
from wit_llm.cli.packaged import CHAT_GUEST
from wit_llm.errors import OperatorError
from wit_llm.tensor import Admitted, NamedTensor, Tensor, TensorType
from wit_llm.worker.client import Engine, GraphSource

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``tiny`` as GGUF, with a tokenizer and nothing else."""
    made = tmp_path_factory.mktemp("gguf")
    gguf_file.write(made / "tiny-F16.gguf", *gguf_file.tiny(TINY))
    shutil.copy(TINY / "tokenizer.json", made)
    return made


def test_it_answers_as_the_model_that_it_was_made_from(folder: Path) -> None:
    """Template, end token and positions come from the file: a conversation is what it is with the other formats."""
    said = b"My name is Ann.\nWhat is my name?\nWhat is the capital of Japan?\n"
    with Host([Grant("tiny", folder), "echo"]) as host:
        outcome = host.run(CHAT_GUEST, ["--transcript", "tiny"], stdin=said)
    lines = outcome.stdout.decode().splitlines()
    assert lines[1::2] == ["Nice to meet you, Ann.", "Your name is Ann.", "The capital of Japan is Tokyo."]


def test_raw_compute_gives_the_logits_of_the_other_formats(folder: Path) -> None:
    """One forward pass of the file is that of the IR, within what its weights of eight bits are off."""
    token_ids = np.arange(3, 40, dtype=np.int64)[None]
    values = {"input_ids": token_ids, "attention_mask": np.ones_like(token_ids), "position_ids": token_ids - 3}
    tensors = tuple(
        NamedTensor(name, Tensor(array.shape, TensorType.I64, array.tobytes())) for name, array in values.items()
    )
    logits = []
    for place in (folder, TINY):
        engine = Engine(GraphSource("tiny", "openvino", place))
        wanted = {spec.name for spec in engine.info.inputs}
        (output,) = engine.compute(Admitted(tuple(tensor for tensor in tensors if tensor.name in wanted)))
        logits.append(np.frombuffer(output.tensor.data, np.float32))
        assert engine.info.outputs[0].dimensions == (None, None, 640)
        engine.close()
    assert np.abs(logits[0] - logits[1]).max() < 0.1 * np.abs(logits[1]).max()
    assert np.corrcoef(logits[0], logits[1])[0, 1] > 0.999


def _refused(folder: Path) -> str:
    with pytest.raises(OperatorError) as caught:
        Engine(GraphSource("x", "openvino", folder))
    return str(caught.value).replace(str(folder), "{folder}")


_CONVERT = "take the transformers model that it was made from, as it is or by `wit-llm convert`"


@pytest.mark.parametrize(
    ("metadata", "tensors", "text"),
    [
        pytest.param(
            {"general.architecture": "gemma3"},
            {},
            f"{{folder}}/m.gguf is of the family 'gemma3'; OpenVINO reads GGUF of llama, qwen2, qwen3; {_CONVERT}",
            id="family",
        ),
        pytest.param(
            {"llama.expert_count": 8},
            {},
            "{folder}/m.gguf is of the family 'llama with experts'; OpenVINO reads GGUF of llama, qwen2, qwen3; "
            + _CONVERT,
            id="experts",
        ),
        pytest.param(
            {"general.type": "mmproj"},
            {},
            "{folder}/m.gguf is not a language model but a part of one (mmproj)",
            id="projector",
        ),
        pytest.param(
            {"split.count": 3},
            {},
            "{folder}/m.gguf is one of 3 pieces; `llama-gguf-split --merge` joins",
            id="piece",
        ),
        pytest.param(
            {},
            {"token_embd.weight": gguf_file.Packed((256, 2), 13, bytes(2 * 176))},
            "{folder}/m.gguf has weights of Q5_K; OpenVINO reads F32, F16, Q8_0, Q4_0, Q4_1, Q4_K, Q6_K, which files "
            f"called F16, Q8_0, Q4_0 and Q4_K_M have; or {_CONVERT}",
            id="weights",
        ),
        pytest.param(
            {},
            {"rope_freqs.weight": gguf_file.Packed((16,), gguf_file.F32, bytes(64))},
            f"{{folder}}/m.gguf has scaled rotary positions, which OpenVINO leaves out in GGUF files; {_CONVERT}",
            id="llama-3-positions",
        ),
        pytest.param(
            {"llama.rope.scaling.type": "yarn"},
            {},
            f"{{folder}}/m.gguf has scaled rotary positions, which OpenVINO leaves out in GGUF files; {_CONVERT}",
            id="yarn",
        ),
        pytest.param(
            {"llama.rope.dimension_count": 16},
            {},
            f"{{folder}}/m.gguf has scaled rotary positions, which OpenVINO leaves out in GGUF files; {_CONVERT}",
            id="half-of-a-head",
        ),
    ],
)
def test_what_openvino_does_not_read_rightly_is_refused(
    tmp_path: Path,
    metadata: dict[str, gguf_file.Value],
    tensors: dict[str, gguf_file.Packed],
    text: str,
) -> None:
    """Each with what it is and the way out, where the library would fail in its own words or compute something else."""
    own_metadata, own_tensors = gguf_file.tiny(TINY)
    gguf_file.write(tmp_path / "m.gguf", own_metadata | metadata, own_tensors | tensors)
    assert _refused(tmp_path) == text


def test_openvino_still_leaves_scaled_positions_out(folder: Path, tmp_path: Path) -> None:
    """The refusal above can go once this fails: a file with other positions computes what it does without them."""
    import openvino as ov
    import openvino_genai as genai

    metadata, tensors = gguf_file.tiny(TINY)
    scaled = gguf_file.Packed((16,), gguf_file.F32, np.full(16, 8, np.float32).tobytes())
    gguf_file.write(tmp_path / "m.gguf", metadata, tensors | {"rope_freqs.weight": scaled})
    replies = []
    for path in (folder / "tiny-F16.gguf", tmp_path / "m.gguf"):
        scheduler = genai.SchedulerConfig()
        scheduler.num_kv_blocks = 8
        pipeline = genai.ContinuousBatchingPipeline(str(path), scheduler, "CPU", {})
        config = genai.GenerationConfig(max_new_tokens=16, ignore_eos=True)
        (result,) = pipeline.generate([ov.Tensor(np.arange(3, 40, dtype=np.int64)[None])], [config])
        replies.append(result.m_generation_ids)
    assert replies[0] == replies[1]


def test_several_files_are_not_one_graph(folder: Path, tmp_path: Path) -> None:
    """The files are named, and what to do."""
    for name in ("a-Q8_0.gguf", "a-Q4_K_M.gguf"):
        shutil.copy(folder / "tiny-F16.gguf", tmp_path / name)
    assert _refused(tmp_path) == (
        "{folder} holds 2 files *.gguf (a-Q4_K_M.gguf, a-Q8_0.gguf); a graph is a folder with one: put the one that is "
        "meant into a folder of its own, together with tokenizer.json"
    )


def test_without_a_tokenizer_the_command_that_makes_one_is_named(folder: Path, tmp_path: Path) -> None:
    """The guest is told, with DIR for a folder that it does not see."""
    shutil.copy(folder / "tiny-F16.gguf", tmp_path)
    with Host([Grant("tiny", tmp_path)]) as host:
        outcome = host.run(CHAT_GUEST, ["tiny", "Hello!"])
    assert outcome.exit_code == 1
    assert re.search(
        r"has no tokenizer.json in its folder; to make one of tiny-F16.gguf: `pip install transformers gguf` and "
        r"`python -c \"from transformers import AutoTokenizer as T; "
        r"T.from_pretrained\('DIR', gguf_file='tiny-F16.gguf'\).save_pretrained\('DIR'\)\"`",
        outcome.stderr.decode(),
    )
