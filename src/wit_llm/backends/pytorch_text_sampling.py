"""From logits to tokens: the one place where a request's options, and what it must conform to, decide."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple, Protocol, cast

import torch
import transformers

from wit_llm.backends.base import Likelihood
from wit_llm.errors import BackendFailure

if TYPE_CHECKING:
    from array import array
    from collections.abc import Sequence

    from wit_llm.errors import NNError
    from wit_llm.options import Decoding, Sampler


# Of each token; what costs little beside choosing it, in time and in messages.
MAX_LOGPROBS = 20


class Choice(NamedTuple):
    """
    A token.

    Args:
        token_id: Which.
        logprobs: As ``Progress`` has them of one token; empty where they were not asked for.
    """

    token_id: int
    logprobs: tuple[Likelihood, ...] = ()


class Mask(Protocol):
    """
    What a request's next token may be.

    Attributes:
        error: Why no token could be chosen; the request is lost, and its neighbours are not.
    """

    error: NNError | None

    def apply(self, logits: torch.Tensor) -> None:
        """Put minus infinity, in place, where a token is excluded: f32 ``[vocab]``."""

    def took(self, token_id: int) -> None:
        """The token that was chosen."""


class Chooser:
    """
    How one request chooses its tokens, with random numbers of its own.

    Args:
        decoding: What it asked for.
        prompt_tokens: How many tokens its prompt has.
        mask: What its tokens may be; none is any.
    """

    def __init__(self, decoding: Decoding, prompt_tokens: int, mask: Mask | None = None) -> None:
        sampler = decoding.sampler
        self.mask = mask
        self._greedy = sampler.greedy
        self._processors = _processors(sampler, prompt_tokens)
        self._random = torch.Generator().manual_seed(decoding.seed)
        self.logprobs = decoding.logprobs

    @property
    def plain(self) -> bool:
        """Whether the likeliest token is the one."""
        return self._greedy and not self._processors

    def take(
        self, token_ids: array[int], logits: torch.Tensor, best: tuple[int, float], logprobs: torch.Tensor | None
    ) -> Choice | NNError:
        """
        The next token, as it is told.

        Args:
            token_ids: Those before it, of the prompt and of the reply.
            logits: f32 ``[vocab]``, without what is excluded.
            best: The likeliest token, and its logit.
            logprobs: Of all tokens; none where they were not asked for.
        """
        token_id, highest = best
        if not math.isfinite(highest):
            return BackendFailure(
                "the model's logits are not finite numbers here; with the setting precision = f32 they may be"
            )
        if not self.plain:
            token_id = self.choose(token_ids, logits.cpu())
        if self.mask is not None:
            self.mask.took(token_id)
            if self.mask.error is not None:
                return self.mask.error
        return Choice(token_id, () if logprobs is None else _likelihoods(token_id, self.logprobs or 0, logprobs))

    def choose(self, token_ids: array[int], logits: torch.Tensor) -> int:
        """
        The next token.

        Args:
            token_ids: Those before it, of the prompt and of the reply.
            logits: f32 ``[vocab]``, on the CPU.
        """
        scores = logits[None]
        if self._processors:
            # A list of numbers would be read one by one; an array that is looked at could not grow.
            seen = torch.frombuffer(token_ids, dtype=torch.int64).clone()[None]
            scores = self._processors(cast("torch.LongTensor", seen), scores)
        if self._greedy:
            return int(scores.argmax())
        return int(torch.multinomial(scores.softmax(-1), 1, generator=self._random))


def choose(
    choosers: Sequence[Chooser], token_ids: Sequence[array[int]], logits: torch.Tensor
) -> list[Choice | NNError]:
    """
    The next token of each request, or why it has none: that request is lost, and its neighbours are not.

    Args:
        choosers: One for each.
        token_ids: Those before it, of each.
        logits: f32 ``[request, vocab]``, the caller's no more.
    """
    asked = [place for place, chooser in enumerate(choosers) if chooser.logprobs is not None]
    logprobs = dict(zip(asked, logits[asked].log_softmax(-1), strict=True)) if asked else {}
    for chooser, row in zip(choosers, logits, strict=True):
        if chooser.mask is not None:
            chooser.mask.apply(row)
    likeliest = logits.argmax(-1)  # of a row with NaN, that
    highest = logits.gather(-1, likeliest[:, None])[:, 0]
    best = zip(likeliest.tolist(), highest.tolist(), strict=True)
    return [
        chooser.take(seen, row, one, logprobs.get(place))
        for place, (chooser, seen, row, one) in enumerate(zip(choosers, token_ids, logits, best, strict=True))
    ]


def _likelihoods(token_id: int, rivals: int, logprobs: torch.Tensor) -> tuple[Likelihood, ...]:
    """Of the token and of its rivals, from f32 ``[vocab]``."""
    best = logprobs.topk(min(rivals + 1, len(logprobs)))
    others = [
        Likelihood(*one) for one in zip(best.indices.tolist(), best.values.tolist(), strict=True) if one[0] != token_id
    ]
    return (Likelihood(token_id, float(logprobs[token_id])), *others[:rivals])


def _processors(sampler: Sampler, prompt_tokens: int) -> transformers.LogitsProcessorList:
    """What is done to logits before a token is chosen, in the order of transformers."""
    processors = transformers.LogitsProcessorList()
    if sampler.repetition_penalty is not None:
        processors.append(transformers.RepetitionPenaltyLogitsProcessor(sampler.repetition_penalty))
    if sampler.presence_penalty or sampler.frequency_penalty:
        processors.append(_Repeated(prompt_tokens, sampler.presence_penalty or 0.0, sampler.frequency_penalty or 0.0))
    if sampler.greedy:
        return processors  # the rest leaves the likeliest token the likeliest
    if sampler.temperature is not None:
        processors.append(transformers.TemperatureLogitsWarper(sampler.temperature))
    if sampler.top_k is not None:
        processors.append(transformers.TopKLogitsWarper(sampler.top_k))
    if sampler.top_p is not None:
        processors.append(transformers.TopPLogitsWarper(sampler.top_p))
    if sampler.min_p is not None:
        processors.append(transformers.MinPLogitsWarper(sampler.min_p))
    return processors


class _Repeated(transformers.LogitsProcessor):
    """
    Presence and frequency penalties, on what was generated.

    Source: "Frequency and presence penalties", OpenAI API reference; transformers has neither.
    """

    def __init__(self, prompt_tokens: int, presence: float, frequency: float) -> None:
        self._prompt_tokens = prompt_tokens
        self._presence = presence
        self._frequency = frequency

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Scores f32 ``[1, vocab]``, less what each token's earlier occurrences cost."""
        generated = input_ids[0, self._prompt_tokens :]
        counts = torch.bincount(generated, minlength=scores.shape[-1])[None]  # [1, vocab]
        return scores - self._frequency * counts - self._presence * (counts > 0)
