"""A transformers folder becomes one that OpenVINO loads and that can be prompted."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from wit_llm.backends import mistakes
from wit_llm.backends.folder import CHAT_TEMPLATES, kind_of
from wit_llm.convert.architecture import Architecture
from wit_llm.convert.compress import WeightFormat, compressed
from wit_llm.errors import InvalidEncoding, OperatorError
from wit_llm.weights import Weights

# What a prompt wants beside the model; of a model that has none of the first it can only be computed with.
_BESIDE = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "config.json",
    "generation_config.json",
    "README.md",
)
_LICENCES = ("LICENSE*", "LICENCE*", "NOTICE*", "USE_POLICY*")
# Written by older scripts beside the weights, and computed here.
_COMPUTED = ("rotary_emb.inv_freq",)


@dataclass(frozen=True, slots=True)
class Converted:
    """
    What came of it.

    Args:
        family: Of the model.
        parameters: Numbers in its weights.
        source_bytes: Of its weights, before.
        bytes: Of its weights now.
        copied: Names of the files that came along.
    """

    family: str
    parameters: int
    source_bytes: int
    bytes: int
    copied: tuple[str, ...]

    @property
    def promptable(self) -> bool:
        """Whether there is a tokenizer in it."""
        return "tokenizer.json" in self.copied


def convert(source: Path, target: Path, weight_format: WeightFormat) -> Converted:
    """
    Make ``target``, with an IR of the model in ``source`` and all that a prompt wants; after a failure it is not there.

    Raises:
        OperatorError: ``target`` is there, ``source`` is not a model that can be converted, or a package is missing.
    """
    if target.exists():
        raise OperatorError(f"{target} is there already; nothing is overwritten: name a folder that is to be made")
    if not target.parent.is_dir():
        raise OperatorError(f"there is no folder {target.parent} to make {target.name} in")
    if not source.is_dir():
        raise OperatorError(mistakes.no_folder(source))
    if wrong := mistakes.not_whole(source):
        raise OperatorError(wrong)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as scratch:
        made = Path(scratch) / target.name
        made.mkdir()
        architecture, weights = write_ir(source, made, weight_format)
        copied = _copied(source, made)
        made.rename(target)
    return Converted(
        architecture.model_type,
        weights.parameters,
        sum(path.stat().st_size for path in source.glob("*.safetensors")),
        (target / "openvino_model.bin").stat().st_size,
        copied,
    )


def write_ir(source: Path, target: Path, weight_format: WeightFormat) -> tuple[Architecture, Weights]:
    """
    Write ``openvino_model.xml`` and ``.bin`` alone.

    Raises:
        OperatorError: As ``convert``.
    """
    architecture = Architecture.read(source / "config.json")
    try:
        weights = Weights.open(*sorted(source.glob("*.safetensors")))
    except InvalidEncoding as error:
        raise OperatorError(f"{source}/{error}") from error
    _check_weights(source, architecture, weights)
    from wit_llm.convert.graph import graph, save  # which import openvino

    save(compressed(graph(architecture, weights), weight_format), target / "openvino_model.xml")
    return architecture, weights


def _check_weights(source: Path, architecture: Architecture, weights: Weights) -> None:
    """
    Whether the files have the weights that a model of this architecture has, and no others.

    A model of the family's name with something of its own in it would be converted into another model.

    Raises:
        OperatorError: They have not.
    """
    there, wanted = weights.dimensions, architecture.dimensions()
    if not there:
        if kind := kind_of(source):
            raise OperatorError(
                f"{source} holds {kind.value} and no *.safetensors to convert; it can be granted as it is"
            )
        names = {path.name for path in source.iterdir()}
        raise OperatorError(mistakes.otherwise(source, names) or f"{source} has no weights (*.safetensors)")
    for name, sizes in wanted.items():
        if there.get(name) != sizes:
            found = f"has {list(there[name])}" if name in there else "is not there"
            raise OperatorError(f"{source}: weight {name} {found}; by config.json it has {list(sizes)}")
    biases = {name.removesuffix("weight") + "bias" for name in wanted if name.endswith("_proj.weight")}
    tied = {"lm_head.weight"} if architecture.tie_word_embeddings else set()
    strange = sorted(name for name in there.keys() - wanted.keys() - biases - tied if not name.endswith(_COMPUTED))
    if strange:
        raise OperatorError(
            f"{source}: weight {strange[0]} and {len(strange) - 1} more are in no {architecture.model_type} that is "
            "converted here; it is another model under that name"
        )


def _copied(source: Path, target: Path) -> tuple[str, ...]:
    names = {name for name in _BESIDE if (source / name).is_file()}
    further = (*_LICENCES, f"{CHAT_TEMPLATES}/*.jinja")
    names |= {str(path.relative_to(source)) for each in further for path in source.glob(each) if path.is_file()}
    for name in names:
        (target / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(source / name, target / name)
    return tuple(sorted(names))
