"""
A reply on its way: token ids become characters, these text, reasoning and calls, and the guest reads.

All there is to decide is decided as tokens arrive, by the times at which the engine gave them, so that times and the
end are true however slowly the guest reads; a read only takes what is there.
"""

from __future__ import annotations

import itertools
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wit_llm.backends.base import End
from wit_llm.errors import InvalidArgument
from wit_llm.text.message import (
    Alternative,
    Batch,
    Call,
    FinishReason,
    Fragment,
    Logprobs,
    Message,
    Role,
    Summary,
    Text,
    Timing,
    Usage,
    merged,
)
from wit_llm.text.stops import StopStrings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wit_llm.backends.base import Likelihood
    from wit_llm.bell import Bell, Source
    from wit_llm.decoder import Decoder
    from wit_llm.errors import NNError
    from wit_llm.text.formats.base import Piece
    from wit_llm.text.formats.reply import ReplyReader
    from wit_llm.text.message import Event, Part
    from wit_llm.worker.client import Request


_KEYS = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Plan:
    """
    What is known of a reply before its first token.

    Args:
        prompt_tokens: How many there are.
        at_length: What it means when the engine gave as many tokens as it was asked for.
        stop: Stop strings.
        seed: Which one the engine was told.
        model_digest: Of the model.
        began_ns: When ``start`` was entered, on the clock of ``time.monotonic_ns``.
        deadline_ns: When the turn's time is over, on that clock; none is never.
    """

    prompt_tokens: int
    at_length: FinishReason
    stop: tuple[str, ...]
    seed: int
    model_digest: str
    began_ns: int
    deadline_ns: int | None


class Generation:
    """
    ``wit-llm:nn/prompt.generation``: hears from the engine on one thread and is read on another.

    Args:
        plan: What is known of it.
        decoder: For this reply.
        reader: The same.
        bell: Rung when there is news.
    """

    def __init__(self, plan: Plan, decoder: Decoder, reader: ReplyReader, bell: Bell) -> None:
        self.key = next(_KEYS)
        self._plan = plan
        self._decoder = decoder
        self._reader = reader
        self._stops = StopStrings(plan.stop)
        # Whether what a token says is said, without anything to be looked for in it.
        self._plain = not plan.stop and reader.plain
        self._bell = bell
        # Guards all below. Held for microseconds, and never while the bell is rung or the engine is told.
        self._lock = threading.Lock()
        self._request: Request | None = None
        self.sources: tuple[Source, ...] = ()  # where its tokens come from
        # When it can be read at the latest, on the clock of ``time.monotonic``; none is at some time.
        self.deadline = None if plan.deadline_ns is None else plan.deadline_ns / 1e9
        self._events: list[Event] = []
        self._parts: list[Part] = []
        self._generated_tokens = 0
        self._cached_tokens: int | None = None
        self._reasoning_tokens = 0
        self._queued_us: int | None = None
        self._first_token_us: int | None = None
        self._total_us = 0
        self._reason: FinishReason | None = None
        self._matched_stop: str | None = None
        self._error: NNError | None = None
        self._over = False  # there is a reason or an error
        self._kept = False
        self._finished_seen = False

    # ------------------------------------------------------------ the engine's side

    def attach(self, request: Request) -> None:
        """Say whom to tell when the reply ends early; it may have ended already."""
        with self._lock:
            self._request = request
            self.sources = (request.source,)
            over = self._over
        if over:
            request.cancel()

    def accepted(self, at_ns: int, cached_tokens: int | None = None) -> None:
        """The engine took the request, and knew so many of its tokens."""
        with self._lock:
            if not self._over:
                self._cached_tokens = cached_tokens
                self._queued_us = self._us(at_ns)

    def tokens(
        self, token_ids: Sequence[int], end: End | None, at_ns: int, logprobs: Sequence[Sequence[Likelihood]] = ()
    ) -> None:
        """Tokens arrived, the last of them with ``end``; with ``logprobs`` where they were asked for."""
        with self._lock:
            if self._over:
                return
            if self.deadline is not None and self._late(at_ns):
                self._finish(FinishReason.DEADLINE, at_ns)
            else:
                self._take(token_ids, end, logprobs, at_ns)
            over = self._over
        if over and end is None:
            self._cancel()
        if over or self._events:
            self._bell.ring()

    def failed(self, error: NNError) -> None:
        """The engine gave up."""
        with self._lock:
            if self._over:
                return
            self._error, self._over = error, True
        self._bell.ring()

    def _take(
        self, token_ids: Sequence[int], end: End | None, logprobs: Sequence[Sequence[Likelihood]], now: int
    ) -> None:
        if token_ids and self._first_token_us is None:
            self._first_token_us = self._us(now)
        last = len(token_ids) - 1 if end is End.STOP else len(token_ids)
        if self._plain and not logprobs:
            self._generated_tokens += len(token_ids)
            if text := "".join(map(self._decoder.push, token_ids[:last])):
                said = Text(text)
                self._parts.append(said)
                self._events.append(said)
        else:
            self._take_apart(token_ids, last, logprobs)
        if self._matched_stop is not None:
            self._end(FinishReason.STOP_STRING, now)
        elif end is not None:
            self._finish(_REASON_OF.get(end, self._plan.at_length), now)

    def _take_apart(self, token_ids: Sequence[int], last: int, logprobs: Sequence[Sequence[Likelihood]]) -> None:
        """Look for all that there may be in tokens, up to the last that says something."""
        pieces: list[Piece] = []
        for place, token_id in enumerate(token_ids):
            self._generated_tokens += 1
            if logprobs:
                self._show(pieces)
                pieces = []
                self._events.append(self._logprobs(logprobs[place]))
            if place == last:
                break
            pieces += self._hear(token_id)
            if self._matched_stop is not None:
                break
        self._show(pieces)

    def _logprobs(self, likelihoods: Sequence[Likelihood]) -> Logprobs:
        return Logprobs(tuple(Alternative(one, self._decoder.bytes_of(one), logprob) for one, logprob in likelihoods))

    def _hear(self, token_id: int) -> Sequence[Piece]:
        """What a token makes certain."""
        text = self._decoder.push(token_id)
        reasoned = self._reader.reasons
        pieces = self._reader.push(text)
        if reasoned:
            self._reasoning_tokens += 1
        elif self._reader.reasons:
            # Only now is it known what the reply began with.
            self._reasoning_tokens = self._generated_tokens
        return self._up_to_stop(pieces)

    def _up_to_stop(self, pieces: Sequence[Piece]) -> Sequence[Piece]:
        """Pieces up to a stop string; these are looked for in text, which a call or reasoning interrupts."""
        if not self._plan.stop:
            return pieces
        certain: list[Piece] = []
        for piece in pieces:
            if not isinstance(piece, Text):
                certain += [Text(self._stops.flush()), piece]
                continue
            text, self._matched_stop, _ = self._stops.push(piece.text)
            certain.append(Text(text))
            if self._matched_stop is not None:
                break
        return certain

    def _finish(self, reason: FinishReason, now: int) -> None:
        """Show what was held back, and end."""
        pieces = self._up_to_stop([*self._reader.push(self._decoder.flush()), *self._reader.flush()])
        self._show([*pieces, Text(self._stops.flush())])
        if self._matched_stop is not None:
            reason = FinishReason.STOP_STRING
        elif reason is FinishReason.STOP and any(isinstance(part, Call) for part in self._parts):
            reason = FinishReason.TOOL_CALLS
        self._end(reason, now)

    def _show(self, pieces: Sequence[Piece]) -> None:
        """Make an event of each run of one kind."""
        if pieces:
            parts = merged(pieces)
            self._parts += parts
            self._events += parts

    def _end(self, reason: FinishReason, now: int) -> None:
        self._total_us = self._us(min(now, self._plan.deadline_ns or now))
        if self._queued_us is None:
            self._queued_us = self._total_us
        self._reason, self._over = reason, True

    # ------------------------------------------------------------ the guest's side

    def next(self) -> Batch:
        """
        Wait for output.

        Raises:
            NNError: What the engine failed with.
            DeadlinePassed: The guest's own time is over.
        """
        self._wait()
        return Batch(*self._read())

    def next_text(self) -> Fragment:
        """
        Wait for text.

        Raises:
            NNError: As ``next``.
        """
        while True:
            self._wait()
            events, finished = self._read()
            text = ""
            for event in events:
                if isinstance(event, Text):
                    text += event.text
            if text or finished:
                return Fragment(text, finished)

    def poll(self) -> Batch:
        """
        Take what there is.

        Raises:
            NNError: What the engine failed with.
        """
        self._bell.wait_for(self._is_readable, 0, self.sources)
        self._end_if_late()
        return Batch(*self._read())

    def stop(self) -> None:
        """End early, and keep the text and the turn; from any thread. Never waits."""
        with self._lock:
            early = not self._over
            if early:
                self._finish(FinishReason.CANCELLED, time.monotonic_ns())
            self._kept = self._error is None
        if early:
            self._cancel()
            self._bell.ring()

    def close(self) -> None:
        """Cancel what is not finished, and take a turn back that was not kept."""
        with self._lock:
            early = not self._over
            if not self._kept and self._error is None:
                self._error, self._over = InvalidArgument("the generation was dropped"), True
        if early:
            self._cancel()

    def summary(self) -> Summary:
        """
        The reply in numbers.

        Raises:
            InvalidArgument: ``finished`` was not seen.
        """
        reason = self._seen()
        usage = Usage(self._plan.prompt_tokens, self._cached_tokens, self._generated_tokens, self._reasoning_tokens)
        timing = Timing(self._queued_us or 0, self._first_token_us, self._total_us)
        return Summary(reason, self._matched_stop, usage, timing, self._plan.seed, self._plan.model_digest)

    def message(self) -> Message:
        """
        The reply as a message; of one that was resumed, what was added.

        Raises:
            InvalidArgument: ``finished`` was not seen.
        """
        self._seen()
        return Message(Role.ASSISTANT, self.parts)

    @property
    def readable(self) -> bool:
        """Whether a read would return without waiting."""
        return self._is_readable() or self._late(time.monotonic_ns())

    # ------------------------------------------------------------ the session's side

    @property
    def text(self) -> str:
        """All text that was shown so far."""
        return "".join(part.text for part in self.parts if isinstance(part, Text))

    @property
    def parts(self) -> tuple[Part, ...]:
        """All that was shown so far, in order."""
        return merged(self._parts)

    @property
    def kept(self) -> bool | None:
        """Whether its turn is part of the conversation; none while that is open."""
        with self._lock:
            return True if self._kept else None if self._error is None else False

    @property
    def over(self) -> bool:
        """Whether its end is decided."""
        with self._lock:
            return self._over

    # ------------------------------------------------------------ both sides; those without a lock need none or hold it

    def _is_readable(self) -> bool:
        return bool(self._events) or self._over

    def _late(self, now: int) -> bool:
        return self._plan.deadline_ns is not None and now >= self._plan.deadline_ns

    def _us(self, now: int) -> int:
        return (now - self._plan.began_ns) // 1000

    def _wait(self) -> None:
        while not self._bell.wait_for(self._is_readable, self.deadline, self.sources):
            self._end_if_late()

    def _end_if_late(self) -> None:
        now = time.monotonic_ns()
        with self._lock:
            late = self._late(now) and not self._over
            if late:
                self._finish(FinishReason.DEADLINE, now)
        if late:
            self._cancel()

    def _cancel(self) -> None:
        with self._lock:
            request = self._request
        if request is not None:
            request.cancel()

    def _read(self) -> tuple[tuple[Event, ...], bool]:
        """What there is, and whether that was the last of it."""
        with self._lock:
            if self._error is not None:
                raise self._error
            events, self._events = tuple(self._events), []
            finished = self._reason is not None
            self._kept = self._kept or finished
            self._finished_seen = finished
            return events, finished

    def _seen(self) -> FinishReason:
        with self._lock:
            if self._reason is None or not self._finished_seen:
                failed = f": it failed: {self._error}" if self._error is not None else ""
                raise InvalidArgument(f"read the generation until it is finished first{failed}")
            return self._reason


_REASON_OF = {End.STOP: FinishReason.STOP, End.CANCELLED: FinishReason.CANCELLED}
