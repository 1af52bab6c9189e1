"""A prompt over plain tensors: a guest that knows only wasi:nn sends text, and gets text."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest

from tests.conftest import Driver
from wit_llm import Grant, GuestTrapped, Limits
from wit_llm.events import Event, TensorsAdmitted

PRELUDE = """
U8 = tensor.TensorType.U8

def text(data, ty=U8, dimensions=None):
    return tensor.Tensor([len(data)] if dimensions is None else dimensions, ty, data)

def ask(context, data, **shape):
    [(name, out)] = context.compute([("prompt", text(data, **shape))])
    return name, out.ty().name, out.dimensions(), out.data().decode()
"""


@pytest.mark.parametrize(
    "graph", ["tiny", pytest.param("tiny,backend=pytorch", marks=pytest.mark.slow), "echo", "echo-worker"]
)
def test_an_input_named_prompt_is_answered(driver: Driver, graph: str) -> None:
    """The reply is that of a session's first turn, word for word, and each prompt stands alone."""
    name = graph.partition(",")[0]
    outcome = driver.run(
        PRELUDE
        + driver.source(
            """
            loaded = graph.load_by_name(sys.argv[1])
            context = loaded.init_execution_context()
            for question in ("My name is Ann.", "What is my name?", "Say hello in Japanese."):
                reply = session(loaded).ask(types.Turn_Say(question), None).text
                answer = ask(context, question.encode())
                say(answer == ("response", "U8", [len(reply.encode())], reply), len(reply) > 0)
            """
        ),
        graphs=[graph],
        args=[name],
    )
    assert outcome.stdout.decode().splitlines() == ["True True"] * 3


def test_a_prompt_is_admitted_before_it_is_read(driver: Driver) -> None:
    """Type, rank, bytes and UTF-8 of the prompt are looked at, and the graph goes on working."""
    outcome = driver.run(
        PRELUDE
        + driver.source(
            """
            context = graph.load_by_name("tiny").init_execution_context()
            prompt = lambda *args, **shape: failure(context.compute, [("prompt", text(*args, **shape))])
            say(prompt(b"abcd", ty=tensor.TensorType.FP32, dimensions=[1]))
            say(prompt(b"abcd", dimensions=[2, 2]))
            say(prompt(b"abcd", dimensions=[5]))
            say(prompt(b"abc\\xff"))
            say(failure(context.compute, [("prompt", text(b"a")), ("prompt", text(b"b"))]))
            say(failure(context.compute, [("prompt", text(b"a")), ("input_ids", text(b"b"))]))
            say(failure(context.compute, [("Prompt", text(b"a"))]))
            say(ask(context, b"Hello!"))
            """
        ),
        graphs=["tiny"],
    )
    names = "['input_ids', 'attention_mask', 'position_ids']"
    where = "invalid-argument: input 'prompt' of graph 'tiny'"
    assert outcome.stdout.decode().splitlines() == [
        f"{where} wants U8[?], got FP32[1]",
        f"{where} wants U8[?], got U8[2, 2]",
        f"{where}: U8[5] needs 5 bytes, got 4",
        f"{where} is not UTF-8: invalid start byte at byte 3",
        f"invalid-argument: graph 'tiny' has no input 'prompt'; it takes {names}",
        f"invalid-argument: graph 'tiny' has no input 'prompt'; it takes {names}",
        f"invalid-argument: graph 'tiny' has no input 'Prompt'; it takes {names}",
        "('response', 'U8', [26], 'Hello! How can I help you?')",
    ]


def test_a_prompt_and_what_it_becomes_pass_the_same_door(driver: Driver) -> None:
    """The text is admitted as a tensor, and then the tensors that it is made into."""
    seen: list[Event] = []
    driver.run(
        PRELUDE + 'ask(graph.load_by_name("echo").init_execution_context(), b"four")', graphs=["echo"], sink=seen.append
    )
    first, second = (event.tensors for event in seen if isinstance(event, TensorsAdmitted))
    assert first == (("prompt", (4,)),)
    assert [name for name, _ in second] == ["input_ids", "attention_mask"]


def test_a_prompt_that_is_too_long_is_too_large(driver: Driver) -> None:
    """Neither the window nor the limit on a prompt's bytes is gone over, and both are said."""
    outcome = driver.run(
        PRELUDE
        + driver.source(
            """
            context = graph.load_by_name("echo").init_execution_context()
            say(failure(ask, context, b"x" * 200))
            say(failure(ask, context, b"x" * 1001))
            say(len(ask(context, b"x" * 40)[3]))
            """
        ),
        graphs=["echo,settings.window=100"],
        limits=Limits(prompt_bytes=1_000),
    )
    assert outcome.stdout.decode().splitlines() == [
        "too-large: the prompt has 200 tokens; the window of 100 leaves 99 for a prompt",
        "too-large: the allowance of prompt-bytes is 1000 and used up",
        "40",
    ]


def test_an_empty_prompt_is_what_an_empty_turn_is(driver: Driver) -> None:
    """A template makes a prompt of no text, too; where there is nothing at all, that is an error."""
    outcome = driver.run(
        PRELUDE
        + driver.source(
            """
            tiny = graph.load_by_name("tiny")
            say(ask(tiny.init_execution_context(), b"")[3] == session(tiny).ask(types.Turn_Say(""), None).text)
            say(failure(ask, graph.load_by_name("echo").init_execution_context(), b""))
            """
        ),
        graphs=["tiny", "echo"],
    )
    assert outcome.stdout.decode().splitlines() == [
        "True",
        "invalid-argument: the prompt has no token; a turn of this kind needs some text",
    ]


def test_raw_compute_is_what_it_was(driver: Driver) -> None:
    """On ``echo`` any other name, or a second tensor, is a tensor that comes back."""
    outcome = driver.run(
        PRELUDE
        + driver.source(
            """
            context = graph.load_by_name("echo").init_execution_context()
            say([(name, out.data()) for name, out in context.compute([("x", text(b"1"))])])
            say([(name, out.data()) for name, out in context.compute([("prompt", text(b"1")), ("x", text(b"2"))])])
            """
        ),
        graphs=["echo"],
    )
    assert outcome.stdout.decode().splitlines() == ["[('x', b'1')]", "[('prompt', b'1'), ('x', b'2')]"]


def test_a_graph_of_tensors_takes_no_prompt(driver: Driver, tmp_path: Path) -> None:
    """A graph without text has the inputs that it declares; one without its tokenizer says so."""
    bare = tmp_path / "tiny"
    shutil.copytree(Grant.parse("tiny").path, bare, ignore=shutil.ignore_patterns("tokenizer.json"))
    add = Grant.parse("tiny").path.parent / "conformance" / "models" / "openvino" / "add"
    outcome = driver.run(
        PRELUDE
        + driver.source(
            """
            for name in ("add", "bare"):
                say(failure(ask, graph.load_by_name(name).init_execution_context(), b"Hello!"))
            """
        ),
        graphs=[f"add={add}", f"bare={bare}"],
    )
    tensors, without = outcome.stdout.decode().splitlines()
    assert tensors == "invalid-argument: graph 'add' has no input 'prompt'; it takes ['a', 'b']"
    assert without.startswith("unsupported-operation: graph 'bare' has no tokenizer.json in its folder")


def test_a_reply_ends_with_the_guest_s_time(driver: Driver) -> None:
    """A guest that waits for a reply over tensors is ended at its deadline like any other."""
    began = time.monotonic()
    with pytest.raises(GuestTrapped, match="its time of 2 s is over"):
        driver.run(
            PRELUDE + 'ask(graph.load_by_name("echo").init_execution_context(), b"x" * 200)',
            graphs=["echo,settings.delay_ms=50"],
            limits=Limits(deadline_s=2),
        )
    assert time.monotonic() - began < 8
