"""OpenVINO: GGUF files, which openvino-genai reads by itself; what it would read wrongly is refused."""

from __future__ import annotations

import tempfile
from pathlib import Path

import openvino as ov
import openvino_genai as genai

from wit_llm.backends.base import GraphInfo
from wit_llm.backends.gguf import GGUF
from wit_llm.errors import OperatorError
from wit_llm.tensor import TensorSpec, TensorType

_FAMILIES = ("llama", "qwen2", "qwen3")
_WEIGHTS = ("F32", "F16", "Q8_0", "Q4_0", "Q4_1", "Q4_K", "Q6_K")


def gguf_file(folder: Path) -> Path:
    """
    The one model file of a folder.

    Raises:
        OperatorError: There are several, or one that is no language model.
    """
    files = sorted(folder.glob("*.gguf"))
    if len(files) != 1:
        names = ", ".join(path.name for path in files[:4])
        raise OperatorError(
            f"{folder} holds {len(files)} files *.gguf ({names}); a graph is a folder with one: put the one that is "
            "meant into a folder of its own, together with tokenizer.json"
        )
    return files[0]


def read_gguf(path: Path) -> GGUF:
    """
    The head of a file that openvino-genai reads rightly.

    Raises:
        OperatorError: It is of another family, is packed in another way, or has what the library leaves out.
    """
    gguf = GGUF.read(path)
    convert = "take the transformers model that it was made from, as it is or by `wit-llm convert`"
    if gguf.metadata.get("general.type", "model") != "model" or gguf.architecture == "clip":
        raise OperatorError(f"{path} is not a language model but a part of one ({gguf.metadata.get('general.type')})")
    if gguf.about("expert_count") or gguf.architecture not in _FAMILIES:
        family = f"{gguf.architecture} with experts" if gguf.about("expert_count") else gguf.architecture
        raise OperatorError(
            f"{path} is of the family {family!r}; OpenVINO reads GGUF of {', '.join(_FAMILIES)}; {convert}"
        )
    if gguf.metadata.get("split.count", 1) not in (0, 1):
        raise OperatorError(f"{path} is one of {gguf.metadata['split.count']} pieces; `llama-gguf-split --merge` joins")
    strange = sorted(set(gguf.tensors.values()).difference(_WEIGHTS))
    if strange:
        raise OperatorError(
            f"{path} has weights of {', '.join(strange)}; OpenVINO reads {', '.join(_WEIGHTS)}, which files called "
            f"F16, Q8_0, Q4_0 and Q4_K_M have; or {convert}"
        )
    # openvino-genai 2026.4.1 computes plain rotary positions whatever the file says, and so another model.
    heads, width = gguf.config.num_attention_heads, gguf.config.hidden_size
    head_size = gguf.config.head_dim or (width // heads if heads and width else None)
    if (
        "rope_freqs.weight" in gguf.tensors
        or gguf.about("rope.scaling.type") not in (None, "none")
        or gguf.about("rope.dimension_count") not in (None, head_size)
    ):
        raise OperatorError(f"{path} has scaled rotary positions, which OpenVINO leaves out in GGUF files; {convert}")
    return gguf


def takes_and_gives(vocab_size: int) -> GraphInfo:
    """Inputs and outputs of the graph that openvino-genai builds, but for ``beam_idx``."""
    rows = (None, None)
    names = ("input_ids", "attention_mask", "position_ids")
    return GraphInfo(
        tuple(TensorSpec(name, TensorType.I64, rows) for name in names),
        (TensorSpec("logits", TensorType.FP32, (None, None, vocab_size)),),
    )


def translated(core: ov.Core, path: Path, device: str) -> ov.Model:
    """
    The file as a model for raw compute, by way of an IR beside a link to it; the library has no shorter way.

    The files go at once; the weights stay mapped for as long as the model lives.
    """
    with tempfile.TemporaryDirectory() as folder:
        link = Path(folder) / path.name
        link.symlink_to(path.resolve())
        scheduler = genai.SchedulerConfig()
        scheduler.num_kv_blocks = 1
        genai.ContinuousBatchingPipeline(str(link), scheduler, device, {"enable_save_ov_model": True})
        return core.read_model(Path(folder) / "openvino_model.xml")
