"""The schedule: both ways in turns, clients that begin together, and a look at every reply."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from msgspec import UNSET

from wit_llm.bench.clients import Answers, Failure, Reply, Way
from wit_llm.bench.load import Request, arrivals
from wit_llm.bench.plot import write_plot
from wit_llm.bench.report import COST_HEADERS, WAY_HEADERS, cost_row, record, way_rows
from wit_llm.bench.run import Bench, Given, Load
from wit_llm.errors import WrongReply

REQUESTS = [
    Request(id="a", prompt="1", max_output_tokens=3, ignore_eos=True),
    Request(id="b", prompt="2", max_output_tokens=3, ignore_eos=True),
]


def _reply(request: Request) -> Reply | Failure:
    """Three tokens: the first after 10 ms, then two more after 5 ms each."""
    due_us = 0 if request.at_us is UNSET else request.at_us
    return Reply(
        id=request.id,
        sent_us=due_us,
        ttft_us=10_000,
        e2el_us=20_000,
        itl_us=(5_000, 5_000),
        prompt_tokens=50,
        generated_tokens=3,
        reason="length",
        text=f"{request.prompt}23",
    )


@dataclass
class Played:
    """Clients without a graph, which write down what they are asked."""

    answer: Callable[[Request], Reply | Failure] = _reply
    late: int = 0
    asked: list[tuple[Way, list[list[Request]], int]] = field(default_factory=list)

    def ask(self, way: Way, shares: Sequence[Sequence[Request]], start_us: int) -> list[Answers]:
        """Give every request its reply; the first ones are late, if so many are to be."""
        self.asked.append((way, [list(share) for share in shares], start_us))
        ready_us = 1 if len(self.asked) <= self.late else -1
        return [Answers(ready_us, [self.answer(request) for request in share]) for share in shares]


def test_ways_take_turns_after_a_warm_up() -> None:
    """A B B A, each with the same requests dealt to the same clients."""
    clients = Played()
    Bench(clients, Given(REQUESTS), repeats=3).measure(Load(concurrency=2))
    order = "".join(way.value[0] for way, _, _ in clients.asked)
    assert order == "dg" + "gd" + "dg" + "gd"
    assert [shares for _, shares, _ in clients.asked] == [[[REQUESTS[0]], [REQUESTS[1]]]] * 8


def test_requests_at_a_rate_have_a_client_and_a_time_each() -> None:
    """Nobody waits for another one's reply, and both ways get the same times."""
    clients = Played()
    Bench(clients, Given(REQUESTS * 5), repeats=2, seed=3).measure(Load(rate=40))
    times = [[request.at_us for (request,) in shares] for _, shares, _ in clients.asked]
    assert times == [arrivals(40, 10, (3, number)) for number in (-1, -1, 0, 0, 1, 1)]


def test_clients_that_were_late_begin_again_with_more_time() -> None:
    """A run counts only where all were ready when it began."""
    clients = Played(late=2)
    measured = Bench(clients, Given(REQUESTS), repeats=1).measure(Load(concurrency=1))
    assert len(clients.asked) == 2 * 2 + 2
    assert (len(measured.guest), len(measured.direct)) == (1, 1)


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        pytest.param(
            lambda request: Failure(request.id, 0, "the host is busy"),
            "guest, concurrency 1: request 'a' failed: the host is busy",
            id="failure",
        ),
        pytest.param(
            lambda request: _changed(request, generated_tokens=2),
            "guest, concurrency 1: the reply to request 'a' has 2 tokens of the 3 that were asked for",
            id="tokens",
        ),
    ],
)
def test_a_reply_that_is_not_what_was_asked_for_ends_it(
    answer: Callable[[Request], Reply | Failure], told: str
) -> None:
    """Nothing is said of the speed of failures and of shorter replies."""
    with pytest.raises(WrongReply) as raised:
        Bench(Played(answer), Given(REQUESTS), repeats=1).check()
    assert str(raised.value) == told


def test_an_answer_that_is_not_the_expected_one_ends_it() -> None:
    """It is shown beside the expected one."""
    wrong = Given([Request(id="q", prompt="1", expected="124")])
    with pytest.raises(WrongReply) as raised:
        Bench(Played(lambda request: _changed(request, met=False)), wrong, repeats=1).measure(Load(rate=1))
    assert str(raised.value) == "direct, 1 requests/s: request 'q' expects '124', and the reply is '123'"


def test_a_request_alone_gets_the_same_reply_each_time() -> None:
    """Greedy replies to the same request, made alone, are the same with a guest and without, or nothing is said."""
    texts = iter(["123", "223", "123", "224"])
    clients = Played(lambda request: _changed(request, text=next(texts)))
    with pytest.raises(WrongReply) as raised:
        Bench(clients, Given(REQUESTS), repeats=1).check()
    assert str(raised.value) == "direct, concurrency 1: the reply to request 'b' is '224', and was '223' before"


def test_replies_among_others_are_compared_and_counted() -> None:
    """A request that is made beside others may get another reply; how many do is told."""
    texts = iter(["123", "223"] * 3 + ["123", "other"])
    clients = Played(lambda request: _changed(request, text=next(texts)))
    measured = Bench(clients, Given(REQUESTS), repeats=1).measure(Load(concurrency=2))
    assert (measured.again, measured.same) == (6, 5)


def test_figures_are_those_of_the_replies() -> None:
    """Rates and times by hand: 2 clients with 50 prompt tokens, 10 ms to the first and 10 ms for two more tokens."""
    found = record(Bench(Played(), Given(REQUESTS), repeats=2).measure(Load(concurrency=2)))
    even = {"p50": 20.0, "p90": 20.0, "p99": 20.0}
    assert found["guest"] == {
        "prefill_tokens_per_s": {"p10": 5000.0, "median": 5000.0, "p90": 5000.0},
        "decode_tokens_per_s": {"p10": 200.0, "median": 200.0, "p90": 200.0},
        "output_tokens_per_s": {"p10": 300.0, "median": 300.0, "p90": 300.0},
        "ttft_ms": {"p50": 10.0, "p90": 10.0, "p99": 10.0},
        "itl_ms": {"p50": 5.0, "p90": 5.0, "p99": 5.0},
        "tpot_ms": {"p50": 5.0, "p90": 5.0, "p99": 5.0},
        "e2el_ms": even,
    }
    assert found["direct"] == found["guest"]
    assert found["sandbox"]["output_ratio"] == {"low": 1.0, "median": 1.0, "high": 1.0}
    assert (found["concurrency"], found["requests"]) == (2, 2)
    rows = list(way_rows(found))
    assert rows[0] == (
        "2 at once", "guest", "5,000 (5,000..5,000)", "200 (200..200)", "300 (300..300)", "10/10/10", "5/5/5",
    )  # fmt: skip
    assert cost_row(found) == ("2 at once", "1 (1, 1)", "0 (0, 0)", "0 (0, 0)", "10 of 10")
    assert (len(WAY_HEADERS), len(COST_HEADERS)) == (len(rows[0]), len(cost_row(found)))


def test_one_token_has_no_rate_after_the_first() -> None:
    """What was not measured is not there, and not 0."""
    one = Played(lambda request: _changed(request, generated_tokens=1, e2el_us=10_000, itl_us=()))
    found = record(Bench(one, Given([Request(id="a", prompt="1")]), repeats=1).measure(Load(concurrency=1)))
    assert (found["guest"]["decode_tokens_per_s"], found["guest"]["itl_ms"], found["guest"]["tpot_ms"]) == (None,) * 3
    assert found["sandbox"]["tpot_us"] is None
    assert next(way_rows(found))[3:] == ("-", "100 (100..100)", "10/10/10", "-")


def test_a_picture_is_drawn_of_what_was_measured(tmp_path: Path) -> None:
    """A PNG file is one, whole, also where something could not be measured."""
    one = Played(lambda request: _changed(request, generated_tokens=1, e2el_us=10_000, itl_us=()))
    found = record(Bench(one, Given([Request(id="a", prompt="1")]), repeats=1).measure(Load(concurrency=1)))
    write_plot([found], "one token", tmp_path / "one.png")
    picture = (tmp_path / "one.png").read_bytes()
    assert picture.startswith(b"\x89PNG\r\n\x1a\n")
    assert picture.endswith(b"IEND\xae\x42\x60\x82")
    assert len(picture) > 10_000


def _changed(request: Request, **fields: object) -> Reply:
    from msgspec.structs import replace

    reply = _reply(request)
    assert isinstance(reply, Reply)
    return replace(reply, **fields)
