"""
What the suite's guests in Python have in common: cases, acts, how they are reported, what hosts are asked most often.

``GUEST [--json] [--list] [--backend NAME] [--hidden TEXT] [CASE...]`` and ``GUEST [--json] act NAME [NUMBER]``, as the
guests in C have it: the same names, the same lines.
"""

# mypy: ignore-errors
# ruff: noqa: ANN001, ANN002, ANN201, ANN202, T201 -- the bindings have no types; a guest prints
# The bindings (`wit_world`, `componentize_py_types`) exist inside a component only.

from __future__ import annotations

import json
import struct
import sys

from componentize_py_types import Err
from wit_world import exports
from wit_world.imports import errors, graph
from wit_world.imports.errors import ErrorCode
from wit_world.imports.tensor import Tensor, TensorType

CASES = {}
ACTS = {}
SETTINGS = {"--backend": "", "--hidden": ""}
ITEMSIZE = {"FP16": 2, "FP32": 4, "FP64": 8, "BF16": 2, "U8": 1, "I32": 4, "I64": 8}


class Failed(Exception):
    """The host does not do what the case says."""


class NotRun(Exception):
    """The host lacks what the case needs."""


def case(name, *arguments):
    """A case by its name; its claim is the docstring, with the arguments in it."""

    def add(check):
        CASES[name] = (check, arguments)
        return check

    return add


def act(play):
    """What a driver has one guest do beside another one, or before it."""
    ACTS[play.__name__.replace("_", "-")] = play
    return play


# ---------------------------------------------------------------- tensors


def fp32(*values, dimensions=None):
    """A tensor of FP32."""
    return Tensor(dimensions or [len(values)], TensorType.FP32, struct.pack(f"{len(values)}f", *values))


def read(tensor):
    """All that a tensor says of itself."""
    return list(tensor.dimensions()), tensor.ty().name, tensor.data()


# ---------------------------------------------------------------- errors


def kebab(case):
    """A case of an enum, as the WIT spells it."""
    return case.name.lower().replace("_", "-")


def words(error, code=None):
    """The text of an error, which must have this code, or any, say something and hide what is the host's own."""
    with error:
        text, got = error.data(), error.code()
    if code not in {None, got}:
        raise Failed(f"{kebab(got)}: {text}; wanted {kebab(code)}")
    if not text or (SETTINGS["--hidden"] and SETTINGS["--hidden"] in text):
        raise Failed(f"{kebab(got)} says {text!r}")
    return f"{kebab(got)}: {text}"


def error_of(call, *arguments):
    """The error that a call has to raise."""
    try:
        call(*arguments)
    except Err as raised:
        return raised.value
    raise Failed("no error")


def refused(code, call, *arguments):
    """The text of the error that a call has to raise, with this code, or any."""
    return words(error_of(call, *arguments), code)


# ---------------------------------------------------------------- graphs


def load(name):
    """A graph by its name; where it is not granted, the case is not run."""
    try:
        return graph.load_by_name(name)
    except Err as raised:
        if raised.value.code() == ErrorCode.NOT_FOUND:
            raise NotRun(f"{name} is not granted") from None
        raise


def context(name):
    """A context of a graph, which is dropped."""
    with load(name) as loaded:
        return loaded.init_execution_context()


def computed(on, *inputs):
    """Every output's name, dimensions, type and bytes."""
    return [(name, *read(out)) for name, out in on.compute(list(inputs))]


def gives(on, inputs, *wanted):
    """Compute, which has to give exactly these outputs."""
    got = computed(on, *inputs)
    if got != list(wanted):
        raise Failed(f"{str(got)[:200]}, wanted {str(list(wanted))[:200]}")


# ---------------------------------------------------------------- reporting


def say(result, name, seen):
    """A line, at once: the guest may be ended after it."""
    as_json = json.dumps({"result": result, "case": name, "seen": seen})
    print(as_json if "--json" in sys.argv else f"{result}  {name}  {seen}", flush=True)


def note(seen):
    """A line of an act."""
    say("note", "act", seen)


def _ended(check, *arguments):
    """How a case or an act ended, and what it saw."""
    try:
        return "pass", check(*arguments) or "as it should be"
    except Failed as failed:
        return "fail", str(failed)
    except NotRun as missing:
        return "not-run", str(missing)
    except Err as raised:
        error = raised.value
        return "fail", f"{kebab(error.code())}: {error.data()}" if isinstance(error, errors.Error) else repr(error)


def _play(name, number=0):
    result, seen = _ended(ACTS[name], int(number))
    if result != "pass":
        say("fail", name, seen)
    return result == "pass"


def _run(asked, listing):
    good = True
    for name, (check, arguments) in CASES.items():
        if asked and name not in asked and name[0] not in asked:
            continue
        if listing:
            say("case", name, check.__doc__.strip().splitlines()[0].rstrip(".").format(*arguments))
        else:
            result, seen = _ended(check, *arguments)
            say(result, name, seen)
            good = good and result != "fail"
    return good


class Run(exports.Run):
    """`wasi:cli/run`."""

    def run(self) -> None:
        """Run the cases that were asked for, or play an act."""
        given, asked = iter(sys.argv[1:]), []
        for word in given:
            if word in SETTINGS:
                SETTINGS[word] = next(given)
            elif word not in {"--json", "--list"}:
                asked.append(word)
        good = _play(*asked[1:]) if asked[:1] == ["act"] else _run(asked, "--list" in sys.argv)
        say("end", "", "")
        if not good:
            raise Err(None)
