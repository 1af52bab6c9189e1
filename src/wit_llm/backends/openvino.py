"""OpenVINO: models as they lie on disk (IR, ONNX, GGUF), and text through GenAI's continuous batching of token ids."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import openvino as ov
import openvino_genai as genai

from wit_llm.backends.base import End, GraphInfo, Likelihood, Lost, Progress, Target
from wit_llm.backends.config import ModelConfig, read_config, read_encoder, text_folder
from wit_llm.backends.folder import places
from wit_llm.backends.openvino_constraints import Constraints, Gate, Held
from wit_llm.backends.openvino_gguf import gguf_file, read_gguf, takes_and_gives, translated
from wit_llm.backends.openvino_grammar import ebnf
from wit_llm.backends.openvino_large_pages import use_large_pages
from wit_llm.backends.openvino_scores import score
from wit_llm.backends.openvino_settings import NGRAM_TOKENS, Settings
from wit_llm.backends.openvino_tensors import BEAMS, OpenVINO, Raw, failures, reason
from wit_llm.backends.settings import parse
from wit_llm.backends.vocabulary import read_vocabulary
from wit_llm.errors import BackendFailure, Busy, NNError, OperatorError, TooLarge, Unsupported
from wit_llm.grammar.matcher import Matchers

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from wit_llm.backends.base import Signature
    from wit_llm.grammar.matcher import Matcher, Vocabulary
    from wit_llm.options import Decoding
    from wit_llm.tensor import Admitted, NamedTensor

_DEVICES = {Target.CPU: "CPU", Target.GPU: "GPU", Target.TPU: "NPU"}
_RUNNING = genai.GenerationStatus.RUNNING
_LANGUAGE_MODEL = "openvino_model.xml"
# Without it, products of FP32 have the eight bits of bf16 where the CPU has that.
_EXACT = {"EXECUTION_MODE_HINT": "ACCURACY"}

# openvino-genai 2026.4.1 tells of the chosen token alone, however many it is asked for.
_MAX_LOGPROBS = 0
_CPU_BLOCK_TOKENS = 32
_GPU_BLOCK_TOKENS = 16
_CACHE_BYTES = 1 << 30
_CACHE_WINDOWS = 16
_CACHE_AXES = ("batch", "heads", "tokens", "size")
# For how long a step without replies waits for a constraint: what comes meanwhile waits as long.
_PATIENCE_S = 0.005


def load(folder: Path, target: Target, settings: Mapping[str, str], signature: Signature) -> OpenVINO:
    """
    Make the graph of a folder ready; that of a language model for raw compute is compiled at its first use.

    Raises:
        OperatorError: As ``backends.table`` says.
        Unsupported: The target is not there, or a tensor has a type that does not come through unharmed.
    """
    chosen = parse("openvino", Settings, settings)
    core = ov.Core()
    device = _device(core, target)
    if device != "CPU" and chosen.prompt_lookup is not None:
        raise OperatorError("prompt_lookup goes with target cpu only, where the cache can always grow")
    path = _model_file(folder)
    signature.refuse(path.name)
    if path.suffix == ".gguf":
        return _from_gguf(core, path, device, chosen)
    try:
        model = core.read_model(path)
    except RuntimeError as error:
        raise OperatorError(f"{path} cannot be read by OpenVINO: {reason(error)}") from error
    beside = text_folder(folder)
    config = read_config(beside) if path.name == _LANGUAGE_MODEL else None
    names = {name for port in model.inputs for name in port.get_names()}
    raw = Raw(core, model, device, {**_EXACT, **chosen.properties()})
    if config is not None and names >= {BEAMS, "input_ids"}:
        vocabulary = read_vocabulary(beside, config.text_info().vocab_size)
        constraints = vocabulary is not None
        text = replace(config.text_info(), scores=True, max_logprobs=_MAX_LOGPROBS, constraints=constraints)
        if chosen.prompt_lookup is not None:
            _check_can_go_back(model)
        recipe = _Recipe(path.parent, device, chosen, config, vocabulary)
        return LanguageModel(replace(raw.info, text=text), lambda: raw, recipe)
    try:
        raw.prepare()
    except BackendFailure as error:
        raise OperatorError(f"{path}: {error}") from error
    encodes = read_encoder(folder) if "input_ids" in names else None
    return OpenVINO(replace(raw.info, encodes=encodes), lambda: raw)


def _check_can_go_back(model: ov.Model) -> None:
    """
    Refuse a model that remembers more than a key and a value for each token: it cannot forget a wrong guess.

    Raises:
        OperatorError: It has such a state.
    """
    for variable in model.get_variables():
        shape = variable.info.data_shape
        if shape.rank.is_dynamic or len(shape) != len(_CACHE_AXES) or shape[_CACHE_AXES.index("tokens")].is_static:
            raise OperatorError(
                "prompt_lookup goes with models only whose states are keys and values of tokens, as others keep what "
                f"was guessed wrongly; this one has {variable.info.variable_id!r} of the shape {shape}"
            )


def _from_gguf(core: ov.Core, path: Path, device: str, chosen: Settings) -> LanguageModel:
    """A GGUF file, whose model for raw compute and scores is made at the first of them."""
    config = read_gguf(path).config
    info = config.text_info(path.name)
    vocabulary = read_vocabulary(path.parent, info.vocab_size)
    text = replace(info, scores=True, max_logprobs=_MAX_LOGPROBS, constraints=vocabulary is not None)
    raw = cache(lambda: Raw(core, translated(core, path, device), device, {**_EXACT, **chosen.properties()}))
    recipe = _Recipe(path, device, chosen, config, vocabulary)
    return LanguageModel(replace(takes_and_gives(text.vocab_size), text=text), raw, recipe)


def _device(core: ov.Core, target: Target) -> str:
    there = {name.partition(".")[0] for name in core.available_devices}
    if _DEVICES[target] not in there:
        targets = ", ".join(name.value for name, device in _DEVICES.items() if device in there)
        raise Unsupported(f"backend 'openvino' has no target {target.value} on this machine; it has {targets}")
    return _DEVICES[target]


def _model_file(folder: Path) -> Path:
    """The first that there is, of several kinds and places."""
    for place in places(folder):
        for name in (_LANGUAGE_MODEL, "model.xml"):
            if (place / name).is_file():
                return place / name
        onnx = sorted(place.glob("*.onnx"))
        if len(onnx) > 1:
            names = ", ".join(path.name for path in onnx)
            raise OperatorError(f"{place} holds {len(onnx)} files *.onnx ({names}); a graph is a folder with one")
        if onnx:
            return onnx[0]
        if any(place.glob("*.gguf")):
            return gguf_file(place)
    raise OperatorError(f"{folder} holds neither {_LANGUAGE_MODEL} nor model.xml nor a file *.onnx or *.gguf")


@dataclass(frozen=True, slots=True)
class _Recipe:
    """What a pipeline is built from, at first and again after it has failed: a folder with an IR, or a GGUF file."""

    source: Path
    device: str
    settings: Settings
    config: ModelConfig
    vocabulary: Vocabulary | None

    def build(self) -> tuple[genai.ContinuousBatchingPipeline, Constraints | None]:
        """
        A new pipeline, and what its replies may be held to; none without a vocabulary.

        Raises:
            OperatorError: The library does not take the model or a setting.
        """
        scheduler = genai.SchedulerConfig()
        scheduler.enable_prefix_caching = self.settings.prefix_caching
        scheduler.max_num_batched_tokens = self.settings.max_num_batched_tokens
        if self.settings.cache_size_gb is not None:
            scheduler.cache_size = self.settings.cache_size_gb
        else:
            scheduler.num_kv_blocks = self._kv_blocks()
        properties = self.settings.of_replies(self.device)
        try:
            if self.vocabulary is None:
                return genai.ContinuousBatchingPipeline(str(self.source), scheduler, self.device, properties), None
            constraints = Constraints(self.vocabulary)
            tokenizer = constraints.tokenizer
            pipeline = genai.ContinuousBatchingPipeline(
                str(self.source), tokenizer, scheduler, self.device, **properties
            )
        except RuntimeError as error:
            raise OperatorError(f"OpenVINO cannot generate with {self.source}: {reason(error)}") from error
        return pipeline, constraints

    def _kv_blocks(self) -> int:
        """
        Blocks of a cache that remembers some conversations; 0 is a cache that grows with what is live.

        A growing cache forgets a conversation as soon as another wants its room. One of fixed size is only touched as
        it fills, on the CPU, and costs little before; it has to hold a whole window, or a prompt could be refused. And
        where it is full, a request has to wait, which those with guesses must not: ``Settings.slots``.
        """
        elements = self.config.kv_elements()
        if self.device != "CPU" or elements is None or self.settings.prompt_lookup is not None:
            return 0
        window = self.config.text_info().context_window
        tokens = min(_CACHE_WINDOWS * window, _CACHE_BYTES // (2 * elements))
        return 0 if tokens <= window else -(-tokens // _CPU_BLOCK_TOKENS)


@dataclass(slots=True)
class _Live:
    """A request in the pipeline."""

    handle: genai.GenerationHandle
    logprobs: bool
    matcher: Matcher | None
    cancelled: bool = False

    def read(self) -> list[genai.GenerationOutput]:
        """What there is; a read of nothing would never return, and one after a cancel may have nothing in it."""
        outputs: list[genai.GenerationOutput] = []
        while self.handle.can_read():
            outputs += self.handle.read().values()
        return outputs


def _check(matcher: Matcher, token_ids: Sequence[int], end: End | None) -> None:
    """
    Hold the engine to the constraint: it has its own way to read one, and a reply must be right by ours.

    Raises:
        TooLarge: The constraint is too ambiguous, or what was said too deeply nested.
        BackendFailure: The engine let something through.
    """
    fits = all(map(matcher.accept, token_ids[:-1] if end is End.STOP else token_ids))
    if not fits or (end is End.STOP and not matcher.may_end):
        raise BackendFailure("the engine said what the constraint does not allow")


class LanguageModel(OpenVINO):
    """
    A graph that generates, too: one pipeline, fed with token ids, a request for each reply.

    Requests enter the pipeline together only where they differ early, and only while all others have a token of the
    step before; and one whose prompt is still being read is cancelled when it has been. openvino-genai 2026.4.1 sees to
    neither. Two requests that begin in one step, and go on where another one ended inside a block of the prefix cache,
    write into that one block: one guest then reads of the other's. And a block of which only the first tokens are
    computed is in the cache as if all were, where the next prompt with these tokens finds it.
    ``tests/contract/test_neighbours.py`` and ``tests/backends/test_openvino_text.py`` have what happens without this.

    Requests under constraints enter one after the other, each when its constraint is prepared; all others pass them.
    """

    def __init__(self, info: GraphInfo, raw: Callable[[], Raw], recipe: _Recipe) -> None:
        super().__init__(info, raw)
        self.slots = recipe.settings.slots
        self._recipe = recipe
        self._matchers = Matchers(recipe.vocabulary) if recipe.vocabulary is not None else None
        self.reset()

    def reset(self) -> None:
        """Build the pipeline anew, as it is broken for good once a step has raised."""
        self._held: deque[Held] = deque()
        self._live: dict[int, _Live] = {}
        self._abandoned: dict[int, _Live] = {}
        self._cancelled: list[int] = []
        # Live or abandoned, and without a token of the last step.
        self._reading: set[int] = set()
        self._fresh = True
        self._shortest = _CPU_BLOCK_TOKENS if self._recipe.device == "CPU" else _GPU_BLOCK_TOKENS
        self._pipeline, constraints = self._recipe.build()
        if self._recipe.settings.large_pages and self._recipe.device == "CPU":
            use_large_pages()
        self._gate = None if constraints is None else Gate(constraints, self._recipe.settings.constraints_mb << 20)

    @property
    def _idle(self) -> bool:
        return not (self._held or self._live or self._abandoned or self._cancelled or self._gate)

    def score(self, admitted: Admitted, first: int) -> Sequence[NamedTensor]:
        """How likely tokens are, as ``Scorer`` says, by the model of raw compute."""
        return [score(self._raw(), admitted, first, self._recipe.config.text_info().vocab_size)]

    def add(self, request: int, admitted: Admitted, decoding: Decoding) -> None:
        """
        Take up a request, as ``Generator`` says; its number must never have been used.

        Raises:
            Busy: The pipeline keeps as many constraints as it may, and cannot be built anew while others generate.
        """
        input_ids = np.frombuffer(admitted["input_ids"].data, np.int64)  # [tokens]
        held = Held(request, input_ids, decoding)
        if decoding.constraint is None or self._gate is None:
            self._held.append(held)
            return
        if not self._gate.has_room(decoding.constraint):
            if not self._idle:
                raise Busy("the graph keeps as many constraints as it may; a new one goes when no reply is being made")
            self.reset()
        self._gate.add(held, decoding.constraint)

    def cancel(self, request: int) -> None:
        """End a request, as ``Generator`` says."""
        if request in self._reading:
            if live := self._live.pop(request, None):
                self._abandoned[request] = live
                self._cancelled.append(request)
        elif live := self._live.get(request):
            live.cancelled = True
            live.handle.cancel()
        elif self._gate is not None and self._gate.cancel(request):
            self._cancelled.append(request)
        else:
            for held in self._held:
                if held.request == request:
                    self._held.remove(held)
                    self._cancelled.append(request)
                    break

    def step(self) -> Sequence[Progress | Lost]:
        """One step of the pipeline, which holds the GIL meanwhile; without live requests it waits for a constraint."""
        news: list[Progress | Lost] = [Progress(request, (), End.CANCELLED) for request in self._cancelled]
        self._cancelled.clear()
        news += self._let_in()
        if not (self._live or self._abandoned):
            return news
        self._reading.clear()
        with failures("generating"):
            self._pipeline.step()
            if self._abandoned:
                self._let_go()
            for request, live in list(self._live.items()):
                one = self._look(request, live)
                if one is None:
                    self._reading.add(request)
                    continue
                news.append(one)
                self._fresh = False
                if isinstance(one, Lost) or one.end is not None:
                    del self._live[request]
        return news

    def _let_go(self) -> None:
        """Take those out of the pipeline whose prompt has been read meanwhile."""
        for request, live in list(self._abandoned.items()):
            if self._look(request, live) is None:
                self._reading.add(request)
            else:
                live.handle.cancel()
                del self._abandoned[request]

    def _let_in(self) -> list[Lost]:
        """The next requests, as far as they may enter in one step."""
        lost: list[Lost] = []
        entering: list[Held] = []
        if self._gate is not None:
            patience_s = 0 if self._live or self._abandoned else _PATIENCE_S
            held, lost = self._gate.pull(patience_s, entering=bool(self._reading))
            if held is not None:
                entering.append(held)
        may_enter = not self._reading and not (self._fresh and self._gate is not None and self._gate.preparing)
        while may_enter and self._held and self._apart(self._held[0], entering):
            entering.append(self._held.popleft())
        for held in entering:
            self._shortest = min(self._shortest, len(held.input_ids))
            try:
                self._live[held.request] = self._enter(held)
            except NNError as error:
                lost.append(Lost(held.request, error))
        return lost

    def _apart(self, held: Held, entering: Sequence[Held]) -> bool:
        """
        Whether a request may enter with others: they have fewer tokens in common than a block, and any prompt so far.

        So there is no block of the cache with which two of them could begin.
        """
        return not self._recipe.settings.prefix_caching or not any(
            np.array_equal(held.input_ids[: self._shortest], one.input_ids[: self._shortest]) for one in entering
        )

    def _enter(self, held: Held) -> _Live:
        decoding = held.decoding
        longest = 0 if self._recipe.vocabulary is None else self._recipe.vocabulary.longest
        with failures("taking up a request"):
            config = _generation_config(decoding, longest)
            if self._recipe.settings.prompt_lookup is not None:
                config.num_assistant_tokens = self._recipe.settings.prompt_lookup
                config.max_ngram_size = NGRAM_TOKENS
            input_ids = ov.Tensor(held.input_ids[np.newaxis])  # [1, tokens]
            handle = self._pipeline.add_request(held.request, input_ids, config)
        matcher = self._matchers.matcher(decoding.constraint) if self._matchers and decoding.constraint else None
        return _Live(handle, decoding.logprobs is not None, matcher)

    def _look(self, request: int, live: _Live) -> Progress | Lost | None:
        """What a step did for a request; none where there is more to be read of its prompt."""
        outputs = live.read()
        status = live.handle.get_status()
        end = None
        if status == _RUNNING:
            if not outputs:
                return None
        elif status == genai.GenerationStatus.FINISHED:
            stopped = outputs and outputs[-1].finish_reason == genai.GenerationFinishReason.STOP
            end = End.STOP if stopped else End.LENGTH
        elif live.cancelled:  # the status is IGNORED once the slot is free
            end = End.CANCELLED
        else:
            return Lost(request, TooLarge("the prompt and its reply do not fit into the KV cache of the graph"))
        token_ids: list[int] = []
        logprobs: list[tuple[Likelihood]] = []
        for output in outputs:
            token_ids += output.generated_ids
            if live.logprobs:
                logprobs += zip(map(Likelihood, output.generated_ids, output.generated_log_probs), strict=True)
        if live.matcher is not None:
            try:
                _check(live.matcher, token_ids, end)
            except NNError as error:
                live.handle.cancel()
                return Lost(request, error)
        return Progress(request, tuple(token_ids), end, tuple(logprobs))


def _generation_config(decoding: Decoding, longest: int) -> genai.GenerationConfig:
    """
    The request in the library's words, with nothing left to the model's own defaults.

    Args:
        decoding: What is asked for.
        longest: Bytes of the longest token.
    """
    config = genai.GenerationConfig()
    config.max_new_tokens = decoding.max_new_tokens
    config.logprobs = int(decoding.logprobs is not None)
    if decoding.stop_token_ids:
        # Named, because the library would put the model's own in the place of one that is not.
        config.eos_token_id = decoding.stop_token_ids[0]
        config.stop_token_ids = set(decoding.stop_token_ids)
    else:
        config.ignore_eos = True
    if decoding.constraint is not None:
        grammar = ebnf(decoding.constraint, longest)
        config.structured_output_config = genai.StructuredOutputConfig(grammar=grammar)
    sampler = decoding.sampler
    config.repetition_penalty = _or(sampler.repetition_penalty, 1.0)
    config.presence_penalty = _or(sampler.presence_penalty, 0.0)
    config.frequency_penalty = _or(sampler.frequency_penalty, 0.0)
    # The library refuses min-p 1, which leaves the likeliest token only.
    config.do_sample = not sampler.greedy and sampler.min_p != 1
    if config.do_sample:
        config.temperature = _or(sampler.temperature, 1.0)
        config.top_p = _or(sampler.top_p, 1.0)
        config.min_p = _or(sampler.min_p, 0.0)
        if sampler.top_k is not None:
            config.top_k = sampler.top_k
        config.rng_seed = decoding.seed
    return config


def _or(value: float | None, neutral: float) -> float:
    return neutral if value is None else value
