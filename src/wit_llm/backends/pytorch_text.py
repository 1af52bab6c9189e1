"""Text, and tensors, through a transformers causal LM: one forward pass for both, and for many requests at once."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
import transformers

from wit_llm.backends.base import End, GraphInfo, Lost, Progress
from wit_llm.backends.pytorch_folder import fitting, model_config, read_model
from wit_llm.backends.pytorch_linear import pack
from wit_llm.backends.pytorch_scores import score
from wit_llm.backends.pytorch_text_attention import Piece
from wit_llm.backends.pytorch_text_cache import PrefixCache, State
from wit_llm.backends.pytorch_text_constraint import ConstraintMask
from wit_llm.backends.pytorch_text_forward import Forward
from wit_llm.backends.pytorch_text_sampling import MAX_LOGPROBS, Choice, Chooser, choose
from wit_llm.backends.pytorch_values import failures, lifted, lowered
from wit_llm.backends.vocabulary import read_vocabulary
from wit_llm.errors import NNError
from wit_llm.grammar.matcher import Matchers
from wit_llm.tensor import NamedTensor, TensorSpec, TensorType

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from wit_llm.backends.base import TextInfo
    from wit_llm.grammar.matcher import Vocabulary
    from wit_llm.options import Decoding
    from wit_llm.tensor import Admitted


@dataclass(frozen=True, slots=True)
class Capacity:
    """
    How much goes at once.

    Args:
        requests: Live ones.
        pass_tokens: Of one forward pass, and so how long it may take.
        kept_bytes: Of keys and values kept for prompts that begin as earlier ones; 0 keeps none.
    """

    requests: int
    pass_tokens: int
    kept_bytes: int


def language_model(folder: Path, device: torch.device, dtype: torch.dtype | None, capacity: Capacity) -> CausalLM:
    """
    Read a transformers model: safetensors only, and no code of the folder's own.

    Args:
        folder: Where it lies.
        device: What it computes on.
        dtype: Of its arithmetic; none is as ``fitting`` says.
        capacity: How much goes at once.

    Raises:
        OperatorError: It cannot be read, or not whole, or is of a kind that cannot generate here.
    """
    config = model_config(folder)
    model = read_model(transformers.AutoModelForCausalLM, folder, dtype or fitting(config, device))
    model.to(device)  # type: ignore[arg-type]  # a decorator of theirs hides self
    if device.type == "cpu":
        pack(model)
    vocabulary = read_vocabulary(folder, config.text_info().vocab_size)
    constraints = vocabulary is not None
    text = replace(config.text_info(), scores=True, max_logprobs=MAX_LOGPROBS, constraints=constraints)
    return CausalLM(Forward(model, text.vocab_size), text, device, capacity, vocabulary)


@dataclass(slots=True)
class _Live:
    """A request: all its tokens, the state of those that were computed, and how it goes on."""

    request: int
    token_ids: array[int]
    state: State
    chooser: Chooser
    left: int
    stop_token_ids: tuple[int, ...]

    @property
    def unseen(self) -> int:
        """Tokens that were not computed yet."""
        return len(self.token_ids) - len(self.state.token_ids)

    def take(self, choice: Choice | NNError) -> Progress | Lost:
        """The next token, unless it could not be chosen."""
        if isinstance(choice, NNError):
            return Lost(self.request, choice)
        token_id, logprobs = choice
        self.token_ids.append(token_id)
        self.left -= 1
        end = End.STOP if token_id in self.stop_token_ids else None if self.left else End.LENGTH
        return Progress(self.request, (token_id,), end, (logprobs,) if logprobs else ())


class CausalLM:
    """A graph that computes logits, and generates with the same forward pass, all live requests in one."""

    def __init__(
        self,
        forward: Forward,
        text: TextInfo,
        device: torch.device,
        capacity: Capacity,
        vocabulary: Vocabulary | None,
    ) -> None:
        rows = (None, None)
        self.info = GraphInfo(
            (TensorSpec("input_ids", TensorType.I64, rows), TensorSpec("attention_mask", TensorType.I64, rows)),
            (TensorSpec("logits", TensorType.FP32, (None, None, text.vocab_size)),),
            text,
        )
        self.slots = capacity.requests
        self._pass_tokens = capacity.pass_tokens
        self._vocab_size = text.vocab_size
        self._forward = forward
        self._device = device
        self._kept = PrefixCache(capacity.kept_bytes)
        self._matchers = None if vocabulary is None else Matchers(vocabulary)
        self._live: dict[int, _Live] = {}
        self._cancelled: list[int] = []

    def compute(self, admitted: Admitted) -> Sequence[NamedTensor]:
        """One forward pass, as ``Backend`` says."""
        with torch.inference_mode(), failures("computing"):
            input_ids = lifted(admitted["input_ids"], self._device)
            attention_mask = lifted(admitted["attention_mask"], self._device)
            return [NamedTensor("logits", lowered(self._forward.compute(input_ids, attention_mask)))]

    def score(self, admitted: Admitted, first: int) -> Sequence[NamedTensor]:
        """How likely tokens are, as ``Scorer`` says."""
        return [score(self._forward.model, self._device, admitted, first, self._vocab_size)]

    def add(self, request: int, admitted: Admitted, decoding: Decoding) -> int:
        """Take up a request, as ``Generator`` says."""
        with torch.inference_mode(), failures("taking up a request"):
            token_ids = array("q", admitted["input_ids"].data)
            scope, layout = decoding.cache_scope, self._forward.layout
            known = self._kept.begin(token_ids, scope, (live.state for live in self._live.values()))
            state = known or State.empty(layout, len(token_ids), scope)
            self._live[request] = _Live(
                request=request,
                token_ids=token_ids,
                state=state,
                chooser=Chooser(decoding, prompt_tokens=len(token_ids), mask=self._mask(decoding)),
                left=decoding.max_new_tokens,
                stop_token_ids=decoding.stop_token_ids,
            )
            return len(state.token_ids)

    def _mask(self, decoding: Decoding) -> ConstraintMask | None:
        if decoding.constraint is None or self._matchers is None:
            return None
        return ConstraintMask(self._matchers.matcher(decoding.constraint), decoding.stop_token_ids)

    def cancel(self, request: int) -> None:
        """End a request, as ``Generator`` says."""
        if request in self._live:
            self._end(request)
            self._cancelled.append(request)

    def step(self) -> Sequence[Progress | Lost]:
        """One forward pass: a token of each request whose prompt is read, and a share of the other prompts."""
        news: list[Progress | Lost] = [Progress(request, (), End.CANCELLED) for request in self._cancelled]
        self._cancelled.clear()
        shares = _shares({request: live.unseen for request, live in self._live.items()}, self._pass_tokens)
        with torch.inference_mode():
            pieces: dict[int, Piece] = {}
            for request, count in shares.items():
                try:
                    pieces[request] = self._piece(self._live[request], count)
                except NNError as error:
                    news.append(Lost(request, error))
            if pieces:
                with failures("generating"):
                    news += self._advance(pieces)
        for one in news:
            if isinstance(one, Lost) or one.end is not None:
                self._end(one.request)
        return news

    def _piece(self, live: _Live, count: int) -> Piece:
        past = len(live.state.token_ids)
        with failures("making room for a request"):
            live.state.reserve(past + count)
        return Piece(live.state, live.token_ids[past : past + count])

    def _advance(self, pieces: Mapping[int, Piece]) -> list[Progress | Lost]:
        """A forward pass, and the next token of those that it brought to their end."""
        logits = self._forward.advance(list(pieces.values()))
        ready = [place for place, request in enumerate(pieces) if not self._live[request].unseen]
        if not ready:
            return []
        lives = [self._live[request] for request in pieces if not self._live[request].unseen]
        if len(ready) < len(pieces):
            logits = logits[ready]
        chosen = choose([live.chooser for live in lives], [live.token_ids for live in lives], logits)
        return [live.take(choice) for live, choice in zip(lives, chosen, strict=True)]

    def _end(self, request: int) -> None:
        if live := self._live.pop(request, None):
            self._kept.keep(live.state)

    def reset(self) -> None:
        """Forget all requests, and what was kept of earlier ones."""
        self._live.clear()
        self._cancelled.clear()
        self._kept.clear()


def _shares(unseen: Mapping[int, int], most: int) -> dict[int, int]:
    """
    How many tokens of each request go into the next pass: the shortest rest first, and an equal share for the others.

    So a reply gets its token and a short prompt its answer, however long the prompts beside them are.
    """
    shares: dict[int, int] = {}
    left = max(most, len(unseen))
    for request in sorted(unseen, key=unseen.__getitem__):
        shares[request] = min(unseen[request], left // (len(unseen) - len(shares)))
        left -= shares[request]
    return shares
