"""The benchmark guest: lines of JSON in, lines of JSON out, and nothing is skipped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import wit_llm
from wit_llm.bench.load import read_requests
from wit_llm.cli.packaged import GUESTS
from wit_llm.errors import OperatorError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.conftest import Driver
    from wit_llm import Outcome

ECHO = "echo,settings.window=300"
SLOW = "slow={}/embedded/echo,backend=echo,settings.delay_ms=30"
OK = {"id": "ok", "prompt": "Hello!"}


def _answered(driver: Driver, requests: Sequence[object], graph: str = "echo", *, start: str = "") -> Outcome:
    stdin = "".join(f"{request if isinstance(request, str) else json.dumps(request)}\n" for request in requests)
    name = graph.partition(",")[0].partition("=")[0]
    arguments = ["--start", start, name] if start else [name]
    return driver.host([graph]).run(GUESTS["bench"], arguments, stdin=stdin.encode())


def _lines(outcome: Outcome) -> list[dict[str, Any]]:
    assert outcome.stderr == b""
    return [json.loads(line) for line in outcome.stdout.splitlines()]


def test_answers_each_request_and_sums_up(driver: Driver) -> None:
    """A prompt, messages and raw text are answered in order, each in a session of its own, with tokens and times."""
    said = [("user", "a"), ("assistant", "b"), ("user", "c")]
    requests = [
        {"id": "said", "prompt": 'Ünï\t"\\\n', "expected": 'Ünï\t"\\\n'},
        {"id": "talk", "messages": [{"role": role, "content": text} for role, text in said]},
        {"raw": "abc", "ignore_eos": True, "max_output_tokens": 7, "id": "\u0001\U0001f600", "expected": "abcabca"},
    ]
    *replies, summary = _lines(_answered(driver, requests))
    assert [(reply["type"], reply["id"], reply["text"], reply["reason"]) for reply in replies] == [
        ("reply", "said", 'Ünï\t"\\\n', "stop"),
        ("reply", "talk", "c", "stop"),
        ("reply", "\u0001\U0001f600", "abcabca", "length"),
    ]
    assert [(reply["prompt_tokens"], reply["generated_tokens"]) for reply in replies] == [(9, 10), (1, 2), (3, 7)]
    assert [reply.get("met") for reply in replies] == [True, None, True]
    for before, reply in zip([None, *replies], replies, strict=False):
        assert 0 <= reply["ttft_us"] <= reply["e2el_us"]
        assert reply["ttft_us"] + sum(reply["itl_us"]) <= reply["e2el_us"]
        assert before is None or before["sent_us"] + before["e2el_us"] <= reply["sent_us"]
    counted = {"requests": 3, "failures": 0, "expected": 2, "met": 2, "prompt_tokens": 13, "generated_tokens": 19}
    assert summary["type"] == "summary"
    assert {key: summary[key] for key in counted} == counted
    first, middle, last = sorted(reply["e2el_us"] for reply in replies)
    assert summary["e2el_us"] == {"p50": middle, "p90": last, "p99": last}
    assert first + middle + last <= summary["wall_us"]


@pytest.mark.slow
def test_tiny_knows_its_lines(driver: Driver) -> None:
    """What the embedded model was taught is an evaluation set that it passes whole, follow-ups with their history."""
    lines = json.loads((Path(wit_llm.__file__).parent / "embedded" / "tiny" / "lines.json").read_text())
    requests: list[dict[str, object]] = []
    for talk in lines:
        messages: list[dict[str, str]] = []
        for question, answer in talk:
            messages.append({"role": "user", "content": question})
            requests.append({"id": f"{len(requests)}", "messages": list(messages), "expected": answer})
            messages.append({"role": "assistant", "content": answer})
    *replies, summary = _lines(_answered(driver, requests, "tiny"))
    assert [reply["id"] for reply in replies if not reply["met"]] == []
    assert (summary["expected"], summary["met"]) == (len(requests), len(requests))
    assert len(requests) > 160


def test_reports_an_answer_that_is_not_the_expected_one(driver: Driver) -> None:
    """A wrong answer is a result like any other: it is said, and counted, and the guest ends well."""
    outcome = _answered(driver, [{**OK, "expected": "Hello"}, {**OK, "expected": "Hello!"}])
    *replies, summary = _lines(outcome)
    assert [reply["met"] for reply in replies] == [False, True]
    assert (outcome.exit_code, summary["expected"], summary["met"]) == (0, 2, 1)


def test_reports_a_request_that_fails_and_goes_on(driver: Driver) -> None:
    """What a session refuses has a line of its own; the requests after it are answered, and the status is 1."""
    outcome = _answered(driver, [{"id": "long", "prompt": "x" * 400}, OK], ECHO)
    failure, reply, summary = _lines(outcome)
    assert failure.pop("sent_us") >= 0
    assert failure == {
        "type": "failure",
        "id": "long",
        "error": "the prompt has 400 tokens; the window of 300 leaves 299 for a prompt",
    }
    assert (reply["text"], summary["failures"], outcome.exit_code) == ("Hello!", 1, 1)


def test_measures_from_when_a_request_was_due(driver: Driver) -> None:
    """One that has to wait for another has waited, whenever it was sent; one that is early waits for its time."""
    graph = SLOW.format(Path(wit_llm.__file__).parent)
    requests = [{**OK, "at_us": 0}, {**OK, "at_us": 0}, {**OK, "at_us": 900_000}]
    first, second, third, _ = _lines(_answered(driver, requests, graph))
    assert second["sent_us"] >= first["e2el_us"] > 150_000
    assert second["ttft_us"] >= second["sent_us"]
    assert third["sent_us"] >= 900_000


def test_start_is_a_moment_for_all(driver: Driver) -> None:
    """Times count from the moment that is given, which may have passed."""
    reply, summary = _lines(_answered(driver, [OK], start="1"))
    assert min(summary["ready_us"], reply["sent_us"]) > 1_700_000_000_000_000


# What both readers of requests say of the second line, where it is wrong.
WRONG = {
    "unknown-key": ('{"id": "a", "promt": "x"}', "no key is called 'promt'"),
    "no-words": ('{"id": "a"}', "it has one of 'prompt', 'messages' and 'raw'"),
    "two-words": ('{"id": "a", "prompt": "x", "raw": "y"}', "it has one of 'prompt', 'messages' and 'raw'"),
    "no-id": ('{"prompt": "x"}', "'id' is missing"),
    "blank": ("", "'{' is missing at its end"),
    "not-an-object": ("[]", "'[' where '{' belongs"),
    "comma-at-the-end": ('{"id": "a", "prompt": "x",}', "a text in quotation marks is missing"),
    "no-comma": ('{"id": "a" "prompt": "x"}', "'\"' where ',' belongs"),
    "no-colon": ('{"id" "a"}', "'\"' where ':' belongs"),
    "more": ('{"id": "a", "prompt": "x"} {}', "something follows its end"),
    "open-text": ('{"id": "a", "prompt": "x', "a text has no end"),
    "open-object": ('{"id": "a", "prompt": "x"', "',' is missing at its end"),
    "half-a-pair": (r'{"id": "a", "prompt": "\ud83d"}', "half a surrogate pair"),
    "wrong-half": (r'{"id": "a", "prompt": "\ud83dA"}', "half a surrogate pair"),
    "escape": (r'{"id": "a", "prompt": "\x41"}', "a backslash before what it does not go with"),
    "hexadecimal": (r'{"id": "a", "prompt": "\u12g4"}', "\\u wants four hexadecimal digits"),
    "control": ('{"id": "a", "prompt": "a\tb"}', "a control character in a text; write it as \\u0009"),
    "number": ('{"id": "a", "prompt": 1}', "a text in quotation marks is missing"),
    "no-tokens": (
        '{"id": "a", "prompt": "x", "max_output_tokens": 0}', "a whole number from 1 to 4294967295 is missing",
    ),
    "too-many-tokens": (
        '{"id": "a", "prompt": "x", "max_output_tokens": 4294967296}',
        "a whole number from 1 to 4294967295 is missing",
    ),
    "half-a-token": (
        '{"id": "a", "prompt": "x", "max_output_tokens": 1.5}', "a whole number from 1 to 4294967295 is missing",
    ),
    "zeros": (
        '{"id": "a", "prompt": "x", "max_output_tokens": 007}', "a whole number from 1 to 4294967295 is missing",
    ),
    "before": ('{"id": "a", "prompt": "x", "at_us": -1}', "a whole number from 0 to 1125899906842624 is missing"),
    "not-a-bool": ('{"id": "a", "prompt": "x", "ignore_eos": 1}', "true or false is missing"),
    "twice": ('{"id": "a", "prompt": "x", "id": "b"}', "'id' stands twice"),
    "no-messages": ('{"id": "a", "messages": []}', "there is no message"),
    "role": ('{"id": "a", "messages": [{"role": "tool", "content": "x"}]}', "no role is called 'tool'"),
    "half-a-message": ('{"id": "a", "messages": [{"role": "user"}]}', "a message has a role and a content"),
    "role-twice": (
        '{"id": "a", "messages": [{"role": "user", "role": "user", "content": "x"}]}', "a message has 'role' twice",
    ),
    "key-of-a-message": (
        '{"id": "a", "messages": [{"role": "user", "text": "x"}]}', "no key of a message is called 'text'",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("line", "told"), WRONG.values(), ids=WRONG)
def test_a_wrong_line_is_named_and_nothing_is_asked(driver: Driver, tmp_path: Path, line: str, told: str) -> None:
    """The guest says which line is wrong and how, before it asks anything; the command's own reader refuses it too."""
    outcome = _answered(driver, [OK, line, OK])
    assert (outcome.exit_code, outcome.stdout, outcome.stderr.decode()) == (1, b"", f"error: line 2: {told}\n")
    file = tmp_path / "requests.jsonl"
    file.write_text(f"{json.dumps(OK)}\n{line}\n")
    with pytest.raises(OperatorError, match=r"requests\.jsonl: line 2: ."):
        read_requests(file)


@pytest.mark.parametrize(
    ("stdin", "told"),
    [
        pytest.param(b"", "there is no request on standard input", id="nothing"),
        pytest.param(b'{"id": "\xff"}', "line 1: a text that is not UTF-8", id="bytes"),
        pytest.param(b'\xc3\xa9{"id": "a"}', "line 1: a stray byte where '{' belongs", id="stray"),
    ],
)
def test_what_is_no_text_is_refused(driver: Driver, stdin: bytes, told: str) -> None:
    """Standard input is UTF-8 and holds a request."""
    outcome = driver.host(["echo"]).run(GUESTS["bench"], ["echo"], stdin=stdin)
    assert (outcome.exit_code, outcome.stdout, outcome.stderr.decode()) == (1, b"", f"error: {told}\n")


@pytest.mark.parametrize("arguments", [[], ["--start", "soon", "echo"], ["--fast"], ["echo", "tiny"]])
def test_other_arguments_are_refused(driver: Driver, arguments: list[str]) -> None:
    """How it is called is said where it is called otherwise."""
    outcome = driver.host(["echo"]).run(GUESTS["bench"], arguments, stdin=json.dumps(OK).encode())
    assert (outcome.exit_code, outcome.stderr.decode()) == (1, "error: usage: bench [--start US] GRAPH\n")
