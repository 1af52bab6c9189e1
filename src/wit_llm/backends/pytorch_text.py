"""Text, and tensors, through a transformers causal LM: one forward pass for both."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
import transformers

from wit_llm.backends.base import End, GraphInfo, Lost, Progress, TextInfo
from wit_llm.backends.pytorch_folder import model_config, read_model
from wit_llm.backends.pytorch_scores import score
from wit_llm.backends.pytorch_values import failures, lifted, lowered
from wit_llm.errors import NNError
from wit_llm.tensor import NamedTensor, TensorSpec, TensorType

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from wit_llm.options import Decoding, Sampler
    from wit_llm.tensor import Admitted


def language_model(folder: Path, device: torch.device, dtype: torch.dtype, slots: int) -> CausalLM:
    """
    Read a transformers model: safetensors only, and no code of the folder's own.

    Args:
        folder: Where it lies.
        device: What it computes on.
        dtype: Of its arithmetic.
        slots: Requests at once.

    Raises:
        OperatorError: It cannot be read, or not whole.
    """
    config = model_config(folder)
    model = read_model(transformers.AutoModelForCausalLM, folder, dtype)
    model.to(device)  # type: ignore[arg-type]  # a decorator of theirs hides self
    text = replace(config.text_info(), scores=True)
    return CausalLM(model, text, device, slots)


@dataclass(slots=True)
class _Live:
    """A request: all its tokens, those of them that the cache does not know yet, and how it goes on."""

    token_ids: list[int]
    unseen: int
    cache: transformers.DynamicCache
    chooser: _Chooser
    left: int
    stop_token_ids: tuple[int, ...]


class CausalLM:
    """A graph that computes logits, and generates with the same forward pass, a request at a time."""

    def __init__(self, model: transformers.PreTrainedModel, text: TextInfo, device: torch.device, slots: int) -> None:
        rows = (None, None)
        self.info = GraphInfo(
            (TensorSpec("input_ids", TensorType.I64, rows), TensorSpec("attention_mask", TensorType.I64, rows)),
            (TensorSpec("logits", TensorType.FP32, (None, None, text.vocab_size)),),
            text,
        )
        self.slots = slots
        self._vocab_size = text.vocab_size
        self._model = model
        self._device = device
        # Without it the logits of a whole prompt are made, to look at the last of them.
        self._last_only = (
            {"logits_to_keep": 1} if "logits_to_keep" in inspect.signature(model.forward).parameters else {}
        )
        self._live: dict[int, _Live] = {}
        self._cancelled: list[int] = []

    def compute(self, admitted: Admitted) -> Sequence[NamedTensor]:
        """One forward pass, as ``Backend`` says."""
        with torch.inference_mode(), failures("computing"):
            input_ids = lifted(admitted["input_ids"], self._device)
            attention_mask = lifted(admitted["attention_mask"], self._device)
            logits = self._forward(input_ids, attention_mask, None)  # [batch, tokens, vocab]
            return [NamedTensor("logits", lowered(logits))]

    def _forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, cache: transformers.DynamicCache | None
    ) -> torch.Tensor:
        """Logits, f32 ``[batch, tokens, vocab]``; with a cache for at least the last token."""
        keep = self._last_only if cache is not None else {}
        output = self._model(
            input_ids=input_ids,
            attention_mask=attention_mask,
            past_key_values=cache,
            use_cache=cache is not None,
            **keep,
        )
        logits: torch.Tensor = output.logits
        return logits.float()

    def score(self, admitted: Admitted, first: int) -> Sequence[NamedTensor]:
        """How likely tokens are, as ``Scorer`` says."""
        return [score(self._model, self._device, admitted, first, self._vocab_size)]

    def add(self, request: int, admitted: Admitted, decoding: Decoding) -> None:
        """Take up a request, as ``Generator`` says."""
        with failures("taking up a request"):
            token_ids = memoryview(admitted["input_ids"].data).cast("q").tolist()
            self._live[request] = _Live(
                token_ids=token_ids,
                unseen=len(token_ids),
                cache=transformers.DynamicCache(config=self._model.config),
                chooser=_Chooser(decoding, prompt_tokens=len(token_ids)),
                left=decoding.max_new_tokens,
                stop_token_ids=decoding.stop_token_ids,
            )

    def cancel(self, request: int) -> None:
        """End a request, as ``Generator`` says."""
        if self._live.pop(request, None):
            self._cancelled.append(request)

    def step(self) -> Sequence[Progress | Lost]:
        """One token of each live request."""
        steps: list[Progress | Lost] = [Progress(request, (), End.CANCELLED) for request in self._cancelled]
        self._cancelled.clear()
        for request, live in list(self._live.items()):
            try:
                one: Progress | Lost = self._advance(request, live)
            except NNError as error:
                one = Lost(request, error)
            steps.append(one)
            if isinstance(one, Lost) or one.end is not None:
                del self._live[request]
        return steps

    def _advance(self, request: int, live: _Live) -> Progress:
        with torch.inference_mode(), failures("generating"):
            input_ids = torch.tensor([live.token_ids[-live.unseen :]], device=self._device)
            attention_mask = torch.ones((1, len(live.token_ids)), dtype=torch.int64, device=self._device)
            logits = self._forward(input_ids, attention_mask, live.cache)
            token_id = live.chooser.choose(live.token_ids, logits[0, -1:].cpu())
        live.token_ids.append(token_id)
        live.unseen = 1
        live.left -= 1
        if token_id in live.stop_token_ids:
            return Progress(request, (token_id,), End.STOP)
        return Progress(request, (token_id,), None if live.left else End.LENGTH)

    def reset(self) -> None:
        """Forget all requests."""
        self._live.clear()
        self._cancelled.clear()


class _Chooser:
    """How one request chooses its tokens, with random numbers of its own."""

    def __init__(self, decoding: Decoding, prompt_tokens: int) -> None:
        sampler = decoding.sampler
        self._greedy = sampler.temperature == 0
        self._processors = _processors(sampler, prompt_tokens)
        self._random = torch.Generator().manual_seed(decoding.seed)

    def choose(self, token_ids: Sequence[int], logits: torch.Tensor) -> int:
        """
        The next token.

        Args:
            token_ids: Those before it, of the prompt and of the reply.
            logits: f32 ``[1, vocab]``, on the CPU.
        """
        if self._processors:
            logits = self._processors(torch.LongTensor([token_ids]), logits)
        if self._greedy:
            return int(logits.argmax())
        return int(torch.multinomial(logits.softmax(-1), 1, generator=self._random))


def _processors(sampler: Sampler, prompt_tokens: int) -> transformers.LogitsProcessorList:
    """What is done to logits before a token is chosen, in the order of transformers."""
    processors = transformers.LogitsProcessorList()
    if sampler.repetition_penalty is not None:
        processors.append(transformers.RepetitionPenaltyLogitsProcessor(sampler.repetition_penalty))
    if sampler.presence_penalty or sampler.frequency_penalty:
        processors.append(_Repeated(prompt_tokens, sampler.presence_penalty or 0.0, sampler.frequency_penalty or 0.0))
    if sampler.temperature == 0:
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
