"""
A guest that runs the Python source it is handed: the test-suite's way to be a real component in a few lines.

``argv[1]`` is the source, or ``-`` for standard input. It sees every binding of the world, the modules imported here (a
component holds the modules that were imported when it was built), and the functions below. An exception that it does
not catch is printed to standard error as ``Type: message``, and the guest ends with status 1.
"""

# mypy: ignore-errors
# ruff: noqa: F401, T201 -- what is imported here is for the source that is handed over; a guest prints
# The bindings (`wit_world`, `componentize_py_types`) exist inside a component only.

from __future__ import annotations

import array
import json
import math
import os
import struct
import sys
import time
from typing import TYPE_CHECKING

from componentize_py_types import Err
from wit_world import exports
from wit_world.imports import (
    budget,
    bulk,
    embed,
    errors,
    graph,
    inference,
    models,
    nn_prompt,
    prompt,
    tensor,
    tokenizer,
    types,
)

if TYPE_CHECKING:
    from collections.abc import Callable


def say(*values: object) -> None:
    """Print, at once."""
    print(*values, flush=True)


def show(*values: object) -> None:
    """Print, and wait until the host has looked: it then makes the file ``shown`` in the folder ``seen``."""
    say(*values)
    while not os.path.exists("seen/shown"):  # noqa: PTH110 -- pathlib would have to be in the component
        time.sleep(0.002)
    os.remove("seen/shown")  # noqa: PTH107


def err(call: Callable[..., object], *arguments: object) -> object:
    """Value of the error that a call raises."""
    try:
        result = call(*arguments)
    except Err as error:
        return error.value
    raise RuntimeError(f"no error, but {result!r}")


def failure(call: Callable[..., object], *arguments: object) -> str:
    """The error that a call raises as ``case: message``, wasi:nn's and wit-llm's alike."""
    return in_words(err(call, *arguments))


def in_words(error: errors.Error | types.Error | str) -> str:
    """An error value as ``case: message``; pull request 79's errors are messages."""
    if isinstance(error, str):
        return error
    if isinstance(error, errors.Error):
        return f"{error.code().name.lower().replace('_', '-')}: {error.data()}"
    return f"{kebab(error)}: {error.value}"


def kebab(case: object) -> str:
    """A variant's or an enum's case as the WIT spells it: ``Error_NotPromptable`` is ``not-promptable``."""
    if hasattr(case, "name"):
        return case.name.lower().replace("_", "-")
    name = type(case).__name__.split("_")[1]
    return "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("-")


def options(**fields: object) -> types.Options:
    """Options with these fields, every other one empty."""
    empty = {
        "max_output_tokens": None,
        "sampling": types.Sampling_HostDefault(),
        "seed": None,
        "stop": [],
        "constraint": None,
        "tools": [],
        "tool_choice": types.ToolChoice_Auto(),
        "logprobs": None,
        "deadline_ms": None,
        "ignore_eos": False,
        "extra": [],
    }
    return types.Options(**(empty | fields))


def greedy(**fields: object) -> types.Options:
    """Options that decode greedily."""
    return options(sampling=types.Sampling_Preset(types.Preset.DETERMINISTIC), **fields)


def exact(**numbers: float) -> types.Sampling_Exact:
    """Sampling by these numbers, every other one neutral."""
    fields = ("temperature", "top_p", "top_k", "min_p", "repetition_penalty", "presence_penalty", "frequency_penalty")
    return types.Sampling_Exact(types.Sampler(**(dict.fromkeys(fields) | numbers)))


def message(role: str, text: str) -> types.Message:
    """A message of one text; roles are spelled as in the WIT."""
    return types.Message(types.Role[role.upper()], [types.Part_Text(text)])


def session(
    of: graph.Graph,
    *preamble: types.Message,
    defaults: types.Options | None = None,
    drop_oldest_turns: bool = False,
) -> prompt.Session:
    """A session on a graph."""
    policy = prompt.OverflowPolicy.DROP_OLDEST_TURNS if drop_oldest_turns else prompt.OverflowPolicy.FAIL
    return prompt.Session.open(of, prompt.Setup(list(preamble), defaults, policy))


def read(generation: prompt.Generation) -> tuple[str, types.Summary]:
    """What is left of a reply, and its summary."""
    pieces = []
    while True:
        fragment = generation.next_text()
        pieces.append(fragment.text)
        if fragment.finished:
            return "".join(pieces), generation.summary()


class Run(exports.Run):
    """`wasi:cli/run`."""

    def run(self) -> None:
        """Run the source that was handed over."""
        try:
            source = sys.argv.pop(1)
            code = compile(sys.stdin.read() if source == "-" else source, "snippet", "exec")
            exec(code, dict(globals()))  # noqa: S102 -- that is what this guest is for
        except BaseException as error:  # noqa: BLE001 -- whatever it is, the suite wants to read it
            words = in_words(error.value) if isinstance(error, Err) else str(error)
            print(f"{type(error).__name__}: {words}", file=sys.stderr, flush=True)
            raise Err(None) from None
