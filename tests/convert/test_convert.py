"""What is converted computes what transformers computes, can be prompted, and is all there or not there at all."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from tests.contract.conftest import TINY
from tests.convert.models import configurations, write
from wit_llm.convert.compress import WeightFormat
from wit_llm.convert.folder import Converted, convert
from wit_llm.errors import OperatorError
from wit_llm.tensor import Admitted, NamedTensor, Tensor, TensorType
from wit_llm.worker.client import Engine, GraphSource

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy.typing as npt
    import transformers

ROWS, TOKENS = 2, 40
# Those of all kinds that have most of what the others have.
QUICK = ("llama-3.1", "qwen3")
# How far logits may be from those of transformers in f32, as a share of their spread.
TOLERANCE = {WeightFormat.FP16: 1e-4, WeightFormat.INT8: 0.05, WeightFormat.INT4: 0.5}


class Pair:
    """A transformers folder, the model in it, and where it is converted to."""

    def __init__(self, root: Path, name: str, **options: Any) -> None:
        self.source, self.target = root / name, root / f"{name}-ir"
        self.model = write(self.source, configurations()[name], **options)

    def logits(self) -> npt.NDArray[np.float32]:
        """Of transformers, [row, token, vocab]."""
        with torch.inference_mode():
            logits: npt.NDArray[np.float32] = self.model(torch.from_numpy(token_ids())).logits.numpy()
            return logits


def token_ids() -> npt.NDArray[np.int64]:
    """Some, [row, token]."""
    return np.random.default_rng(0).integers(3, 640, (ROWS, TOKENS))


def logits_of(folder: Path) -> npt.NDArray[np.float32]:
    """What the folder computes as a graph, [row, token, vocab]."""
    values = {
        "input_ids": token_ids(),
        "attention_mask": np.ones((ROWS, TOKENS), np.int64),
        "position_ids": np.tile(np.arange(TOKENS, dtype=np.int64), (ROWS, 1)),
    }
    settings = {"precision": "f32", "kv_cache_precision": "f32"}
    engine = Engine(GraphSource("x", "openvino", folder, settings=settings))
    tensors = [NamedTensor(k, Tensor(v.shape, TensorType.I64, v.tobytes())) for k, v in values.items()]
    (output,) = engine.compute(Admitted(tuple(tensors)))
    logits = np.frombuffer(output.tensor.data, np.float32).reshape(output.tensor.dimensions)
    engine.close()
    return logits


def difference(ours: npt.NDArray[np.float32], theirs: npt.NDArray[np.float32]) -> float:
    """Root of the mean square of what they differ by, as a share of the spread of the second."""
    return float(np.sqrt(np.mean((ours - theirs) ** 2)) / theirs.std())


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[] if n in QUICK else pytest.mark.slow) for n in configurations()]
)
def test_logits_and_replies_are_those_of_transformers(tmp_path: Path, name: str) -> None:
    """Of every family, with all that is its own: raw compute within 1e-4, and 24 greedy tokens the same."""
    pair = Pair(tmp_path, name)
    convert(pair.source, pair.target, WeightFormat.FP16)
    assert difference(logits_of(pair.target), pair.logits()) < TOLERANCE[WeightFormat.FP16]
    assert _reply(pair.target) == _their_reply(pair.model)


PROMPT = [3, 77, 520, 41, 8, 300, 99]
REPLY_TOKENS = 24


def _reply(folder: Path) -> list[int]:
    """Greedy tokens by continuous batching, which is what prompts are answered by."""
    import openvino as ov
    import openvino_genai as genai

    scheduler = genai.SchedulerConfig()
    scheduler.num_kv_blocks = 8
    properties = {"INFERENCE_PRECISION_HINT": "f32", "KV_CACHE_PRECISION": "f32"}
    pipeline = genai.ContinuousBatchingPipeline(str(folder), scheduler, "CPU", properties)
    config = genai.GenerationConfig(max_new_tokens=REPLY_TOKENS, ignore_eos=True)
    (result,) = pipeline.generate([ov.Tensor(np.array([PROMPT], np.int64))], [config])
    return list(result.m_generation_ids[0])


def _their_reply(model: transformers.PreTrainedModel) -> list[int]:
    given = torch.tensor([PROMPT])
    output = model.generate(  # type: ignore[operator]
        given, max_new_tokens=REPLY_TOKENS, do_sample=False, eos_token_id=None, pad_token_id=0
    )
    return [int(token_id) for token_id in output[0, len(PROMPT) :]]


@pytest.mark.slow
@pytest.mark.parametrize("weight_format", [WeightFormat.INT8, WeightFormat.INT4])
@pytest.mark.parametrize("name", ["llama", "qwen2", "qwen3", "mistral"])
def test_weights_of_fewer_bits_are_within_their_tolerance(
    tmp_path: Path, name: str, weight_format: WeightFormat
) -> None:
    """Eight bits differ by 5 % of the logits' spread at most; four by half of it, as random weights suffer by them."""
    import openvino as ov

    pair = Pair(tmp_path, name)
    made = convert(pair.source, pair.target, weight_format)
    assert difference(logits_of(pair.target), pair.logits()) < TOLERANCE[weight_format]
    assert made.bytes < made.source_bytes * {WeightFormat.INT8: 0.6, WeightFormat.INT4: 0.5}[weight_format]
    compiled = ov.Core().compile_model(pair.target / "openvino_model.xml", "CPU")
    # By the graph's own word: what is multiplied with such weights is rounded by as many.
    assert compiled.get_property("DYNAMIC_QUANTIZATION_GROUP_SIZE") == 64


def test_all_that_a_prompt_wants_comes_along(tmp_path: Path) -> None:
    """Shards are read as one; tokenizer, template, defaults and licence are copied, weights and code are not."""
    pair = Pair(tmp_path, "qwen2", shard_size="300KB")
    assert len(list(pair.source.glob("*.safetensors"))) > 1
    (pair.source / "LICENSE").write_text("as it is")
    (pair.source / "modeling.py").write_text("raise SystemExit")
    (pair.source / "additional_chat_templates").mkdir()
    (pair.source / "additional_chat_templates" / "tool_use.jinja").write_text("{{ tools }}")
    made = convert(pair.source, pair.target, WeightFormat.FP16)
    copied = (
        "LICENSE",
        "additional_chat_templates/tool_use.jinja",
        "chat_template.jinja",
        "config.json",
        "generation_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
    )
    binary = (pair.target / "openvino_model.bin").stat().st_size
    parameters = sum(parameter.numel() for parameter in pair.model.parameters())
    source_bytes = sum(path.stat().st_size for path in pair.source.glob("*.safetensors"))
    assert made == Converted("qwen2", parameters, source_bytes, binary, copied)
    there = {str(path.relative_to(pair.target)) for path in pair.target.rglob("*") if path.is_file()}
    assert there == {*copied, "openvino_model.xml", "openvino_model.bin"}
    assert all((pair.target / name).read_bytes() == (pair.source / name).read_bytes() for name in copied)
    assert difference(logits_of(pair.target), pair.logits()) < TOLERANCE[WeightFormat.FP16]


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    """A folder that is there stays as it is."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").touch()
    with pytest.raises(OperatorError) as caught:
        convert(TINY, tmp_path / "out", WeightFormat.FP16)
    assert str(caught.value) == (
        f"{tmp_path}/out is there already; nothing is overwritten: name a folder that is to be made"
    )
    assert [path.name for path in tmp_path.rglob("*")] == ["out", "mine"]


def _tiny(folder: Path, **changes: object) -> Path:
    """A copy of tiny's transformers folder with another configuration; none takes a field away."""
    folder.mkdir()
    shutil.copy(TINY / "model.safetensors", folder)
    config = {**json.loads((TINY / "config.json").read_text()), **changes}
    (folder / "config.json").write_text(json.dumps({k: v for k, v in config.items() if v is not None}))
    return folder


def _without(name: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        (_tiny(folder) / name).unlink()
        return folder

    return make


def _cut(folder: Path) -> Path:
    path = _tiny(folder) / "model.safetensors"
    path.write_bytes(path.read_bytes()[:100_000])
    return folder


def _converted(folder: Path) -> Path:
    _without("model.safetensors")(folder)
    for name in ("openvino_model.xml", "openvino_model.bin"):
        (folder / name).touch()
    return folder


def _with(**changes: object) -> Callable[[Path], Path]:
    return lambda folder: _tiny(folder, **changes)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        pytest.param(
            _with(model_type="gemma3_text"),
            "{source} is a model of the family 'gemma3_text'; converted are llama, mistral, qwen2, qwen3; others "
            "become an IR by `optimum-cli export openvino` in an environment of its own",
            id="family",
        ),
        pytest.param(_with(model_type=None), "{source} is a model of the family None; converted are ", id="no-family"),
        pytest.param(
            _with(sliding_window=128),
            "{source}/config.json: each token sees 128 tokens only (sliding_window), which is not converted",
            id="window",
        ),
        pytest.param(
            _with(rope_parameters={"rope_type": "yarn", "factor": 4.0}),
            "{source}/config.json: rope_type is 'yarn'; converted are default, linear, llama3",
            id="yarn",
        ),
        pytest.param(
            _with(hidden_act="gelu"), "{source}/config.json: hidden_act is 'gelu'; converted are silu", id="activation"
        ),
        pytest.param(
            _with(quantization_config={"quant_method": "awq"}),
            "the weights in {source} are quantised by awq; take the model that they were made from",
            id="quantised",
        ),
        pytest.param(
            _with(hidden_size=256),
            "{source}: weight model.embed_tokens.weight has [640, 128]; by config.json it has [640, 256]",
            id="sizes",
        ),
        pytest.param(
            _with(model_type="qwen3"),
            "{source}: weight model.layers.0.self_attn.q_norm.weight is not there; by config.json it has [32]",
            id="missing-weight",
        ),
        pytest.param(
            _with(num_hidden_layers=3),
            "{source}: weight model.layers.3.input_layernorm.weight and 8 more are in no llama that is converted here; "
            "it is another model under that name",
            id="strange-weight",
        ),
        pytest.param(
            _with(num_key_value_heads=3),
            "{source}/config.json: 4 heads cannot share 3 key_value_heads",
            id="heads",
        ),
        pytest.param(
            _with(hidden_size=None), "{source}/config.json: Object missing required field `hidden_size`", id="field"
        ),
        pytest.param(_with(hidden_size="wide"), "{source}/config.json: Expected `int`, got `str`", id="type"),
        pytest.param(
            _without("config.json"),
            "{source} has no config.json; what is converted is a transformers folder",
            id="bare",
        ),
        pytest.param(_without("model.safetensors"), "{source} has no weights (*.safetensors)", id="no-weights"),
        pytest.param(
            _converted,
            "{source} holds an OpenVINO IR and no *.safetensors to convert; it can be granted as it is",
            id="converted-already",
        ),
        pytest.param(_cut, "{source}/model.safetensors is cut off or ", id="cut"),
        pytest.param(lambda folder: folder, "there is no folder {source}; a graph is a folder", id="nothing"),
    ],
)
def test_what_cannot_be_converted_is_refused(tmp_path: Path, make: Callable[[Path], Path], text: str) -> None:
    """The message names the file, the field or the weight; nothing is left behind."""
    source = make(tmp_path / "source")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(OperatorError) as caught:
        convert(source, tmp_path / "out", WeightFormat.FP16)
    assert str(caught.value).startswith(text.replace("{source}", str(source)))
    assert sorted(tmp_path.rglob("*")) == before


def test_numbers_that_fp16_does_not_hold_are_refused(tmp_path: Path) -> None:
    """A weight is never turned into infinity in silence."""
    from safetensors.numpy import load_file, save_file

    source = _tiny(tmp_path / "source")
    weights = {name: values.astype(np.float32) for name, values in load_file(source / "model.safetensors").items()}
    weights["model.embed_tokens.weight"][5, 5] = 1e6
    save_file(weights, source / "model.safetensors")
    with pytest.raises(
        OperatorError, match="^weight model.embed_tokens.weight has numbers beyond 65504 or none at all"
    ):
        convert(source, tmp_path / "out", WeightFormat.FP16)
    assert [path.name for path in tmp_path.iterdir()] == ["source"]
