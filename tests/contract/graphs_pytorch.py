"""Graphs of ``tests.contract.graphs`` as ``torch.export`` programs and as TorchScript."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch.export import Dim

from tests.contract.graphs import STORM
from wit_llm.tensor import TensorType

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

DTYPES = {
    TensorType.FP16: torch.float16,
    TensorType.FP32: torch.float32,
    TensorType.FP64: torch.float64,
    TensorType.BF16: torch.bfloat16,
    TensorType.U8: torch.uint8,
    TensorType.I32: torch.int32,
    TensorType.I64: torch.int64,
}
NAMES = [*(ty.value.lower() for ty in TensorType), "single"]
EXAMPLES = (
    *(torch.ones((7,) if ty is TensorType.U8 else (2, 3), dtype=DTYPES[ty]) for ty in TensorType),
    torch.tensor(1.0),
)


def _module(forward: str, **attributes: Any) -> torch.nn.Module:
    """A module with this ``forward``; of a class of its own, because TorchScript knows classes by their attributes."""
    names: dict[str, Any] = {}
    exec(forward, {"torch": torch}, names)  # noqa: S102 -- an argument for each type, written once
    module: torch.nn.Module = type("Made", (torch.nn.Module,), names)()
    for name, value in attributes.items():
        module.register_buffer(name, value)
    return module


def _of_types(change: str) -> torch.nn.Module:
    arguments = ", ".join(f"in_{name}" for name in NAMES)
    results = ", ".join(f"'out_{name}': {change.format(f'in_{name}')}" for name in NAMES)
    return _module(f"def forward(self, {arguments}): return {{{results}}}")


# What is written in both formats: a module, examples of its inputs, and which of their axes are free.
BOTH: dict[str, tuple[torch.nn.Module, tuple[torch.Tensor, ...], tuple[dict[int, Any] | None, ...]]] = {
    kind: (_of_types(change), EXAMPLES, tuple({0: Dim.DYNAMIC} if value.dim() else None for value in EXAMPLES))
    for kind, change in {"types": "{0} + {0}", "same": "{0}.clone()"}.items()
} | {
    "square": (
        _module("def forward(self, x): return {'y': x.unsqueeze(1) * x.unsqueeze(0)}"),
        (torch.ones(3),),
        ({0: Dim.DYNAMIC},),
    )
}


def _export(kind: str, folder: Path) -> None:
    module, examples, free = BOTH[kind]
    torch.export.save(torch.export.export(module, examples, dynamic_shapes=free), folder / f"{kind}.pt2")


def _counter(folder: Path) -> None:
    """A program that counts its calls."""
    counter = _module("def forward(self, x):\n  self.calls += 1\n  return x + self.calls", calls=torch.zeros(1))
    torch.export.save(torch.export.export(counter, (torch.ones(2),)), folder / "counter.pt2")


def _narrow(folder: Path) -> None:
    """A program that takes two to eight rows."""
    narrow = _module("def forward(self, x): return x * 2")
    rows = Dim("rows", min=2, max=8)
    program = torch.export.export(narrow, (torch.ones(4, 3),), dynamic_shapes={"x": {0: rows}})
    torch.export.save(program, folder / "narrow.pt2")


class Nameless(torch.nn.Module):
    """A module whose outputs are told apart by their order, as TorchScript has them."""

    def __init__(self, module: torch.nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor, ...]:
        """As the module."""
        outputs = tuple(self.module(*inputs).values())
        return outputs if len(outputs) > 1 else outputs[0]


def _trace(kind: str, folder: Path) -> None:
    module, examples, _ = BOTH[kind]
    script = torch.jit.trace(Nameless(module), examples, check_trace=False)  # type: ignore[no-untyped-call]
    torch.jit.save(script, folder / "model.pt")


def _script(source: str, folder: Path, **attributes: torch.Tensor | int) -> None:
    """TorchScript with these methods and attributes."""
    module: torch.nn.Module = type("Scripted", (torch.nn.Module,), {})()
    for name, value in attributes.items():
        if isinstance(value, torch.Tensor):
            module.register_buffer(name, value)
        else:
            setattr(module, name, value)
    script = torch.jit.script(module)
    script.define(f"{source}\n")
    torch.jit.save(script, folder / "model.pt")


def _pickle(folder: Path) -> None:
    """What ``torch.save`` makes of a module: a pickle of Python objects."""
    torch.save(torch.nn.Linear(2, 2), folder / "model.pt")


def _constant(folder: Path) -> None:
    """What a trace makes of a module that writes on a tensor which is no part of it."""
    calls = torch.zeros(1)

    class Counter(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + calls.add_(1)

    script = torch.jit.trace(Counter(), torch.ones(2), check_trace=False)  # type: ignore[no-untyped-call]
    torch.jit.save(script, folder / "model.pt")


def _storm(folder: Path) -> None:
    """A few functions of any numbers, and what the library makes of ``STORM`` when it is called directly."""
    storm = _module(
        "def forward(self, x): return {'relu': x.relu(), 'twice': x + x, 'square': x * x, 'root': x.sqrt()}"
    )
    program = torch.export.export(storm, (torch.ones(3),), dynamic_shapes={"x": {0: Dim.DYNAMIC}})
    torch.export.save(program, folder / "storm.pt2")
    answers = storm(torch.frombuffer(bytearray(STORM), dtype=torch.float32)).values()
    (folder / "expected.bin").write_bytes(b"".join(answer.numpy().tobytes() for answer in answers))


EXPORTED: dict[str, Callable[[Path], None]] = {
    **{kind: partial(_export, kind) for kind in BOTH},
    "counter": _counter,
    "narrow": _narrow,
    "storm": _storm,
}
SCRIPTED: dict[str, Callable[[Path], None]] = {
    **{kind: partial(_trace, kind) for kind in BOTH},
    "count": partial(_script, "def forward(self, n):\n  return torch.arange(int(n))"),
    "rows": partial(_script, "def forward(self, n):\n  return torch.arange(6.0).reshape([int(n), -1])"),
    "pieces": partial(_script, "def forward(self, x):\n  return x.split(2)"),
    "two": partial(_script, "def forward(self, x, y):\n  return x + y, x - y"),
    "dictionary": partial(_script, "def forward(self, x):\n  return {'y': x}"),
    "number": partial(_script, "def forward(self, x, times: int):\n  return x * times"),
    "optional": partial(_script, "def forward(self, x, times: int = 3):\n  return x * times"),
    "nothing": partial(_script, "def backward(self, x):\n  return x"),
    "buffer": partial(
        _script, "def forward(self, x):\n  self.calls.add_(1)\n  return x + self.calls", calls=torch.zeros(1)
    ),
    "view": partial(
        _script, "def forward(self, x):\n  self.calls[1:].add_(1)\n  return x + self.calls", calls=torch.zeros(2)
    ),
    "attribute": partial(_script, "def forward(self, x):\n  self.calls += 1\n  return x + self.calls", calls=0),
    "constant": _constant,
    "pickle": _pickle,
}
