"""Names to graphs: what the operator grants, and what of it is loaded."""

from __future__ import annotations

import hashlib
import re
import threading
import tomllib
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wit_llm.backends.base import Signature, Target
from wit_llm.backends.config import MODULES
from wit_llm.backends.folder import CHAT_TEMPLATES, places
from wit_llm.backends.mistakes import no_folder
from wit_llm.backends.table import BACKENDS, detect
from wit_llm.bell import Bell
from wit_llm.errors import BackendFailure, NotFound, OperatorError, Unsupported
from wit_llm.events import GraphFailed, Sink
from wit_llm.graph import ExecutionContext, Graph
from wit_llm.limits import Limits
from wit_llm.tensor import TensorSpec
from wit_llm.text.formats.table import Formats
from wit_llm.text.model import Model, ModelInfo
from wit_llm.text.tensors import TextContext
from wit_llm.worker.client import Engine, GraphSource

if TYPE_CHECKING:
    from wit_llm.text.embedder import Embedder
    from wit_llm.tokenizer import Tokenizer

_NAME = re.compile(r"[A-Za-z0-9._-]{1,128}")
_KEYS = ("path", "backend", "target", "settings", "inputs", "outputs", "tools", "reasoning")
_EMBEDDED = Path(__file__).parent / "embedded"


@dataclass(frozen=True, slots=True)
class Grant:
    """
    A graph that guests may load by its name.

    Args:
        name: 1 to 128 letters, digits, dots, dashes and underscores.
        path: The graph's folder.
        backend: None to decide by what the folder holds.
        target: Where it computes.
        settings: Of the backend.
        signature: What it takes and gives, where its files do not say it.
        formats: How its model writes calls and reasoning, where its template does not show it.
    """

    name: str
    path: Path
    backend: str | None = None
    target: Target = Target.CPU
    settings: Mapping[str, str] = field(default_factory=dict)
    signature: Signature = field(default_factory=Signature)
    formats: Formats = field(default_factory=Formats)

    @classmethod
    def parse(cls, text: str) -> Grant:
        """
        Read ``NAME=PATH[,backend=B][,target=T][,settings.KEY=VALUE]``.

        The bare name of an embedded graph does for ``NAME=PATH``.

        Raises:
            OperatorError: It has another form.
        """
        first, *rest = text.split(",")
        name, equals, path = first.partition("=")
        values: dict[str, Any] = {"path": path} if equals else {}
        for item in rest:
            key, equals, value = item.partition("=")
            if not equals:
                raise OperatorError(f"--graph {text}: {item!r} has no '='; write NAME=PATH,backend=…,target=…")
            if key.startswith("settings."):
                values.setdefault("settings", {})[key.removeprefix("settings.")] = value
            else:
                values[key] = value
        return cls.read(name, values, Path(), f"--graph {text}")

    @classmethod
    def read(cls, name: str, values: Mapping[str, Any], base: Path, where: str) -> Grant:
        """
        Build one from the values of a manifest's ``[graphs.NAME]``; relative paths start at ``base``.

        Raises:
            OperatorError: An unknown key, backend, target or embedded name; a folder that is not there; inputs or
                outputs that say nothing sensible.
        """
        unknown = set(values) - set(_KEYS)
        if unknown:
            raise OperatorError(f"{where}: unknown key {min(unknown)!r}; known: {', '.join(_KEYS)}")
        if not _NAME.fullmatch(name):
            raise OperatorError(f"{where}: {name!r} is no graph name; 1 to 128 of A-Z a-z 0-9 . _ -")
        grant = embedded(name, where) if "path" not in values else cls(name, base / str(values["path"]))
        backend = values.get("backend", grant.backend)
        if backend is not None and backend not in BACKENDS:
            raise OperatorError(f"{where}: no backend {backend!r}; there are {', '.join(sorted(BACKENDS))}")
        try:
            target = Target(values.get("target", "cpu"))
        except ValueError:
            raise OperatorError(f"{where}: no target {values['target']!r}; there are cpu, gpu, tpu") from None
        if not grant.path.is_dir():
            raise OperatorError(f"{where}: {no_folder(grant.path)}")
        settings = {str(k): str(v) for k, v in dict(values.get("settings", {})).items()}
        signature = Signature(_specs(values, "inputs", where), _specs(values, "outputs", where))
        return replace(
            grant,
            backend=backend or detect(grant.path),
            target=target,
            settings=settings,
            signature=signature,
            formats=_formats(values, where),
        )


def _specs(values: Mapping[str, Any], key: str, where: str) -> tuple[TensorSpec, ...]:
    """The tensors of a manifest's ``[graphs.NAME.inputs]`` or ``[graphs.NAME.outputs]``, in its order."""
    table = values.get(key, {})
    if not isinstance(table, dict) or not all(name and isinstance(text, str) for name, text in table.items()):
        raise OperatorError(f'{where}: {key} is a table of the manifest, with lines such as x = "FP32[1, 3, ?]"')
    try:
        return tuple(TensorSpec.parse(name, text) for name, text in table.items())
    except OperatorError as exc:
        raise OperatorError(f"{where}.{key}: {exc}") from exc


def _formats(values: Mapping[str, Any], where: str) -> Formats:
    """What a manifest says of the replies."""
    try:
        return Formats(values.get("tools"), values.get("reasoning"))
    except OperatorError as exc:
        raise OperatorError(f"{where}: {exc}") from exc


def embedded(name: str, where: str = "graph") -> Grant:
    """
    A graph that the package brings: ``tiny``, ``echo``, or ``echo-worker``, which is ``echo`` in a process of its own.

    Raises:
        OperatorError: There is none of that name.
    """
    if name == "tiny":
        return Grant(name, _EMBEDDED / "tiny")
    if name in ("echo", "echo-worker"):
        return Grant(name, _EMBEDDED / "echo", backend=name)
    raise OperatorError(f"{where}: embedded are tiny, echo and echo-worker, not {name!r}; write {name}=FOLDER")


def read_manifest(path: Path) -> list[Grant]:
    """
    Read the grants of a ``wit-llm.toml``.

    Raises:
        OperatorError: It cannot be read; names the line or the key.
    """
    try:
        document = tomllib.loads(path.read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as exc:
        raise OperatorError(f"{path}: {exc}") from exc
    unknown = set(document) - {"graphs"}
    if unknown:
        raise OperatorError(f"{path}: unknown key {min(unknown)!r}; known: graphs")
    grants = []
    for name, values in document.get("graphs", {}).items():
        if not isinstance(values, dict):
            raise OperatorError(f"{path}: graphs.{name} must be a table: [graphs.{name}]")
        grants.append(Grant.read(name, values, path.parent, f"{path}: graphs.{name}"))
    return grants


class State(Enum):
    """``wit-llm:nn/models.model-state``, in the order of the WIT."""

    STORED = "stored"
    LOADED = "loaded"


@dataclass(frozen=True, slots=True)
class Entry:
    """``wit-llm:nn/models.entry``."""

    name: str
    digest: str
    bytes: int
    state: State
    promptable: bool


@dataclass(frozen=True)
class Loaded:
    """A graph in use, and the model that it is to those who prompt it."""

    grant: Grant
    graph: Graph
    digest: str

    @cached_property
    def model(self) -> Model:
        """
        The graph with its tokenizer and template, read at first use.

        Raises:
            NotPromptable: It takes tensors only.
        """
        return Model.open(self.graph, self.grant.path, self.grant.name, self.digest, self.grant.formats)

    @cached_property
    def embedder(self) -> Embedder:
        """
        The graph with its tokenizer and what its folder says of pooling, read at first use.

        Raises:
            Unsupported: It does not make vectors of texts.
        """
        from wit_llm.text.embedder import Embedder  # which imports numpy

        return Embedder.open(self.graph, self.grant.path, self.grant.name, self.digest)

    @property
    def _reader(self) -> Model | Embedder:
        """What reads texts, whatever it makes of them."""
        return self.model if self.graph.info.encodes is None else self.embedder

    @property
    def tokenizer(self) -> Tokenizer:
        """
        The graph's own.

        Raises:
            NotPromptable: It takes tensors only.
        """
        return self._reader.tokenizer

    def describe(self) -> ModelInfo:
        """
        What a guest can know of it.

        Raises:
            NotPromptable: It takes tensors only.
        """
        return self._reader.describe()

    def context(self, bell: Bell, limits: Limits) -> ExecutionContext:
        """A place to compute, for the guest whose bell and limits these are."""
        if self.graph.info.text is None:
            return self.graph.context()
        return TextContext(self.graph, lambda: self.model, bell, limits)

    def close(self) -> None:
        """A guest lets go of it: nothing to do, as it is kept for all."""


class Registry:
    """
    The graphs of a host: each is loaded at its first use, once, and kept.

    Raises:
        OperatorError: Two grants of one name.
    """

    def __init__(self, grants: Iterable[Grant], limits: Limits, sink: Sink) -> None:
        self._grants: dict[str, Grant] = {}
        for grant in grants:
            if grant.name in self._grants:
                raise OperatorError(f"graph {grant.name!r} is granted twice")
            self._grants[grant.name] = grant
        self._limits = limits
        self._sink = sink
        self._loaded: dict[str, Loaded] = {}
        self._unsupported: dict[str, str] = {}
        self._engines: list[Engine] = []
        self._locks = {name: threading.Lock() for name in self._grants}

    @property
    def grants(self) -> tuple[Grant, ...]:
        """What was granted, in order."""
        return tuple(self._grants.values())

    def load(self, name: str) -> Loaded:
        """
        The graph of a name.

        Raises:
            NotFound: No graph of that name is granted.
            Unsupported: Its target or a type of its tensors is not there; found out once.
            BackendFailure: It cannot be loaded; the operator is told why.
        """
        grant = self._grants.get(name)
        if grant is None:
            raise NotFound(f"no graph {name[:128]!r} is granted; granted: {', '.join(self._grants) or 'none'}")
        with self._locks[name]:
            if name in self._unsupported:
                raise Unsupported(self._unsupported[name])
            if name not in self._loaded:
                self._loaded[name] = self._load(grant)
            return self._loaded[name]

    def _load(self, grant: Grant) -> Loaded:
        backend = grant.backend or detect(grant.path)
        source = GraphSource(grant.name, backend, grant.path, grant.target, grant.settings, grant.signature)
        try:
            with ThreadPoolExecutor(1) as aside:
                digest = aside.submit(folder_digest, grant.path)
                engine = Engine(source, self._sink)
            self._engines.append(engine)
            return Loaded(grant, Graph(grant.name, engine, self._limits, self._sink), digest.result())
        except Unsupported as exc:
            self._unsupported[grant.name] = str(exc)  # no device comes and no model changes while the host runs
            raise
        except (OperatorError, OSError) as exc:
            self._sink(GraphFailed(grant.name, str(exc)))
            raise BackendFailure(f"graph '{grant.name}' cannot be loaded; the host's log says why") from exc

    def entries(self) -> list[Entry]:
        """What there is, loaded or not."""
        return [
            Entry(
                name=grant.name,
                digest=folder_digest(grant.path),
                bytes=sum(file.stat().st_size for file in _files(grant.path)),
                state=State.LOADED if grant.name in self._loaded else State.STORED,
                promptable=_is_promptable(grant.path),
            )
            for grant in self._grants.values()
        ]

    def close(self) -> None:
        """Unload everything."""
        for engine in self._engines:
            engine.close()


def _is_promptable(folder: Path) -> bool:
    return (folder / "tokenizer.json").is_file() and not (folder / MODULES).is_file()


def _files(folder: Path) -> list[Path]:
    """All files of a graph: exports of it, further templates, and the modules of one that makes vectors, lie deeper."""
    modules = folder.glob("[0-9]*_*") if (folder / MODULES).is_file() else ()
    deeper = (folder / CHAT_TEMPLATES, *modules)
    inside = {folder, *places(folder), *(path for path in deeper if path.is_dir())}
    return sorted(path for each in inside for path in each.iterdir() if path.is_file())


def folder_digest(folder: Path) -> str:
    """
    What tells one model from another: ``sha256:`` over names, sizes and contents of a folder's files.

    Files are read once as long as neither size nor time of change moves.
    """
    whole = hashlib.sha256()
    for path in _files(folder):
        stat, name = path.stat(), path.relative_to(folder)
        whole.update(f"{name}\0{stat.st_size}\0{_file_digest(path, stat.st_size, stat.st_mtime_ns)}\n".encode())
    return f"sha256:{whole.hexdigest()}"


@lru_cache(maxsize=4096)
def _file_digest(path: Path, _size: int, _mtime_ns: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
