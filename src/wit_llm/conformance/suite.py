"""What the suite is made of: its guests, its models, its cases, and what came of them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

_PACKAGE = Path(__file__).parents[1]
FOLDER = _PACKAGE / "embedded" / "conformance"
MODELS = FOLDER / "models"
TINY = _PACKAGE / "embedded" / "tiny"


@dataclass(frozen=True, slots=True)
class Guests:
    """
    What looks at a host from inside: components of one toolchain.

    Args:
        folder: Has ``nn.wasm``, ``prompt.wasm``, and in ``linking`` a component for each interface that it imports
            alone.
    """

    folder: Path

    @property
    def nn(self) -> Path:
        """Imports wasi:nn and WASI, nothing else."""
        return self.folder / "nn.wasm"

    @property
    def prompt(self) -> Path:
        """Imports wit-llm:nn as well."""
        return self.folder / "prompt.wasm"

    def linking(self, interface: str) -> Path:
        """Imports one interface of wasi:nn."""
        return self.folder / "linking" / f"{interface}.wasm"

    @property
    def digests(self) -> dict[str, str]:
        """SHA-256 of each component."""
        found = [self.nn, self.prompt, *sorted((self.folder / "linking").glob("*.wasm"))]
        return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in found if path.is_file()}


IN_C = Guests(FOLDER)


@dataclass(frozen=True, slots=True)
class Backend:
    """
    A column of the table: the models in one format.

    Args:
        name: Also the folder of its models.
        encoding: The case of ``wasi:nn/graph.graph-encoding``.
        ours: The backend of this package that takes them.
        prompts: Whether ``tiny`` is there for it, to be prompted.
    """

    name: str
    encoding: str
    ours: str
    prompts: bool = False

    @property
    def graphs(self) -> dict[str, Path]:
        """The folder of each model by its name."""
        return {folder.name: folder for folder in sorted((MODELS / self.name).iterdir()) if folder.is_dir()}

    @property
    def manifest(self) -> Path | None:
        """What says of its models what their files do not; none where they say it all."""
        path = MODELS / self.name / "wit-llm.toml"
        return path if path.is_file() else None

    @property
    def prompt_graphs(self) -> dict[str, Path]:
        """What the cases of prompts want."""
        return {"tiny": TINY, "echo-u8": MODELS / self.name / "echo-u8"}


BACKENDS = {
    backend.name: backend
    for backend in (
        Backend("openvino", "openvino", "openvino", prompts=True),
        Backend("onnx", "onnx", "openvino"),
        Backend("pytorch", "pytorch", "pytorch", prompts=True),
        Backend("torchscript", "pytorch", "pytorch"),
    )
}


class Result(Enum):
    """What came of a case."""

    PASSED = "pass"
    FAILED = "fail"
    NOT_RUN = "not-run"


@dataclass(frozen=True, slots=True)
class Case:
    """
    A case.

    Args:
        name: Its letter and its own name.
        claim: What holds where it passes.
    """

    name: str
    claim: str


@dataclass(frozen=True, slots=True)
class Finding:
    """
    What came of a case on a backend.

    Args:
        case: Its name.
        result: What came of it.
        seen: What was seen.
    """

    case: str
    result: Result
    seen: str


@dataclass(frozen=True, slots=True)
class Report:
    """
    What a host did.

    Args:
        host: What was looked at, with its version.
        date: When, as ISO 8601 has it.
        versions: Of what matters beside, by name.
        guests: SHA-256 of each component that looked, by its name.
        asked: Names or letters of cases; empty where it was all of them.
        cases: All that were asked for, in their order.
        findings: By the name of the backend, and in it by the name of the case.
        command: What makes it again.
    """

    host: str
    date: str
    versions: Mapping[str, str]
    guests: Mapping[str, str]
    asked: Sequence[str]
    cases: Sequence[Case]
    findings: Mapping[str, Mapping[str, Finding]]
    command: str = ""

    def count(self, backend: str, result: Result) -> int:
        """How many cases of a backend ended so."""
        return sum(finding.result is result for finding in self.findings[backend].values())

    @property
    def failed(self) -> list[tuple[str, Finding]]:
        """Backend and finding of each case that failed."""
        return [
            (backend, finding)
            for backend, findings in self.findings.items()
            for finding in findings.values()
            if finding.result is Result.FAILED
        ]


def wanted(name: str, asked: Sequence[str]) -> bool:
    """Whether a case was asked for: by its name, or by its letter; all are where none is named."""
    return not asked or any(name == word or (len(word) == 1 and name.startswith(f"{word}.")) for word in asked)
