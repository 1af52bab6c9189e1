"""
How many tokens a second do eight guests at once get, against the same eight requests in openvino-genai driven directly?

Both get the same token ids and have the same IR, scheduler and number of tokens to make; the end token is ignored. Each
is a process of its own, and only one of them computes at a time; both start anew after some pairs. Ours counts from
before the first guest is started until the last one has ended, so that guests, templates, tokenizer and channel are in
it; the other counts from the first request with ready token ids to the last token. Every prompt is new to both. Bar: at
least 97 % of the rate.
"""

# ruff: noqa: D400 -- the first line is a question

from __future__ import annotations

import sys
import time
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import NamedTuple

from folders import add_ir_option, ir
from measure import Bar, Of, Report, Row, in_turns, parser
from prompt import PROMPT_TOKENS, Questions, guest_arguments, host, pipeline, request
from sides import Line, Side, portions

RATE_BAR = Bar(Of.RATIO, at_least=0.97)
REQUESTS = 8
REPLY_TOKENS = 128
QUICK_REPLY_TOKENS = 8


class Done(NamedTuple):
    """The replies to all questions, and how long all of them took."""

    texts: list[str]
    seconds: float


def ours(line: Line, folder: Path) -> None:
    """Answer the questions of a round by a guest each."""
    from wit_llm.cli.packaged import CHAT_GUEST
    from wit_llm.wasm.stdio import Captured

    with host(folder) as our_host:
        while (questions := line.recv()) is not None:
            with ExitStack() as stack:
                outputs, errors = ([stack.enter_context(Captured()) for _ in questions] for _ in range(2))
                began = time.perf_counter()
                guests = [
                    our_host.start(CHAT_GUEST, guest_arguments(question), stdin=b"", stdout=output, stderr=error)
                    for question, output, error in zip(questions, outputs, errors, strict=True)
                ]
                codes = [guest.wait() for guest in guests]
                seconds = time.perf_counter() - began
                if any(codes):
                    said = b"".join(error.read() for error in errors).decode()
                    raise RuntimeError(f"guests ended with {codes} and said: {said}")
                line.send(Done([output.read().decode().removesuffix("\n") for output in outputs], seconds))


def direct(line: Line, folder: Path) -> None:
    """Answer the questions of a round by requests of openvino-genai's, stepped until all are finished."""
    from tokenizers import Tokenizer

    engine = pipeline(folder)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    number = 0
    while (questions := line.recv()) is not None:
        began = time.perf_counter()
        handles = []
        for question in questions:
            number += 1
            handles.append(request(engine, number, question))
        replies: list[list[int]] = [[] for _ in handles]
        while engine.has_non_finished_requests():
            engine.step()
            for handle, reply in zip(handles, replies, strict=True):
                while handle.can_read():
                    for output in handle.read().values():
                        reply.extend(output.generated_ids)
        seconds = time.perf_counter() - began
        line.send(Done([tokenizer.decode(reply) for reply in replies], seconds))


def main() -> int:
    """Measure."""
    options = parser(__doc__)
    add_ir_option(options)
    arguments = options.parse_args()
    reply_tokens = QUICK_REPLY_TOKENS if arguments.quick else REPLY_TOKENS
    folder = ir(arguments)
    sizes = {"model": folder.name, "requests": REQUESTS, "prompt_tokens": PROMPT_TOKENS, "reply_tokens": reply_tokens}
    report = Report(__doc__, arguments, sizes)
    asked = Questions(folder)

    def put(side: Side, number: int) -> Done:
        places = range(REQUESTS * number, REQUESTS * (number + 1))
        done: Done = side.answer([asked.question(place, reply_tokens) for place in places])
        return done

    rounds: list[tuple[Done, Done]] = []
    for numbers in portions(report.pairs):
        with closing(Side.start(ours, folder)) as left, closing(Side.start(direct, folder)) as right:
            rounds += in_turns(partial(put, left), partial(put, right), len(numbers), first=numbers.start)
    for a, b in rounds:
        if a.texts != b.texts:
            raise RuntimeError(f"the answers differ: {a.texts!r} are ours, {b.texts!r} the other's")
    made = REQUESTS * reply_tokens
    rates = [(made / a.seconds, made / b.seconds) for a, b in rounds]
    report.add(Row(f"{REQUESTS} at once", "tokens/s", "direct", rates, RATE_BAR))
    return report.status()


if __name__ == "__main__":
    sys.exit(main())
