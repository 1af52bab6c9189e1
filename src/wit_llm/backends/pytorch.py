"""PyTorch: tensors through exported programs (``.pt2``), tensors and text through a transformers causal LM."""

from __future__ import annotations

import contextlib
import inspect
import os
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal, cast

import msgspec
import torch
import transformers
from torch.export.passes import move_to_device_pass
from torch.export.pt2_archive import constants as archive
from torch.utils import _pytree as pytree

from wit_llm.backends.base import End, GraphInfo, Lost, Progress, Target, TextInfo
from wit_llm.backends.config import read_config
from wit_llm.backends.settings import parse
from wit_llm.errors import BackendFailure, InvalidArgument, OperatorError, Unsupported
from wit_llm.tensor import NamedTensor, Tensor, TensorSpec, TensorType

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from torch.export import ExportedProgram

    from wit_llm.options import Decoding, Sampler
    from wit_llm.tensor import Admitted

_DTYPES = {
    TensorType.FP16: torch.float16,
    TensorType.FP32: torch.float32,
    TensorType.FP64: torch.float64,
    TensorType.BF16: torch.bfloat16,
    TensorType.U8: torch.uint8,
    TensorType.I32: torch.int32,
    TensorType.I64: torch.int64,
}
_TYPES = {dtype: ty for ty, dtype in _DTYPES.items()}


class Settings(msgspec.Struct, frozen=True):
    """
    What the operator may choose.

    Args:
        dtype: Of a language model's arithmetic; an exported program has its own.
        max_num_seqs: Requests at once; more than these wait.
        num_threads: Of the CPU; none is the library's choice.
    """

    dtype: Literal["fp32", "bf16", "fp16"] = "fp32"
    max_num_seqs: Annotated[int, msgspec.Meta(ge=1)] = 16
    num_threads: Annotated[int, msgspec.Meta(ge=1)] | None = None


def load(folder: Path, target: Target, settings: Mapping[str, str]) -> Program | CausalLM:
    """
    Make the graph of a folder ready.

    Raises:
        OperatorError: As ``backends.table`` says.
        Unsupported: The target is not there, or a tensor's type has no name in wasi-nn.
    """
    chosen = parse("pytorch", Settings, settings)
    device = _device(target)
    if chosen.num_threads is not None:
        torch.set_num_threads(chosen.num_threads)
    if (folder / "config.json").is_file() and any(folder.glob("*.safetensors")):
        return _language_model(folder, device, chosen)
    programs = sorted(folder.glob("*.pt2"))
    if len(programs) == 1:
        return _program(programs[0], device)
    raise OperatorError(
        f"{folder} holds {len(programs)} files *.pt2, and not both config.json and *.safetensors; "
        "a graph is a folder with one program or one transformers model"
    )


def _device(target: Target) -> torch.device:
    if target is Target.CPU:
        return torch.device("cpu")
    if target is Target.GPU and torch.cuda.is_available():
        return torch.device("cuda")
    there = "cpu, gpu" if torch.cuda.is_available() else "cpu"
    raise Unsupported(f"backend 'pytorch' has no target {target.value} on this machine; it has {there}")


def _spec(name: str, value: object) -> TensorSpec:
    """What the door has to know; a single value has dimensions ``(1,)``, as wasi-nn has no rank 0."""
    if not isinstance(value, torch.Tensor):
        raise OperatorError(f"{name!r} of the program is no tensor; export it with tensors only")
    if value.dtype not in _TYPES:
        types = ", ".join(ty.value for ty in _DTYPES)
        raise Unsupported(f"tensor {name!r} has elements of {value.dtype}; wasi-nn has {types}")
    sizes = tuple(size if isinstance(size, int) else None for size in value.shape)
    return TensorSpec(name, _TYPES[value.dtype], sizes or (1,))


def _lifted(tensor: Tensor, device: torch.device) -> torch.Tensor:
    """A copy, because a program may write on its inputs."""
    dtype = _DTYPES[tensor.ty]
    if not tensor.data_bytes:
        return torch.empty(tensor.dimensions, dtype=dtype, device=device)
    return torch.frombuffer(bytearray(tensor.data), dtype=dtype).reshape(tensor.dimensions).to(device)


def _lowered(value: torch.Tensor) -> Tensor:
    elements = value.detach().cpu().contiguous()
    data = elements.reshape(-1).view(torch.uint8).numpy().tobytes()
    return Tensor(tuple(elements.shape) or (1,), _TYPES[elements.dtype], data)


@contextlib.contextmanager
def _failures(action: str) -> Iterator[None]:
    """The library's exceptions as ours; a guest reads them, so lines with paths stay in the worker's log."""
    try:
        yield
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        lines = [line for line in str(error).splitlines() if line.strip() and "/" not in line]
        reason = lines[0] if lines else type(error).__name__
        raise BackendFailure(f"{action} failed in PyTorch: {reason}") from error


# ---------------------------------------------------------------- exported programs


def _program(path: Path, device: torch.device) -> Program:
    """
    Read a program without running anything that the file brings.

    Raises:
        OperatorError: It cannot be read, or it would keep something between computes.
    """
    # torch.export.load falls back to unpickling, in torch 2.13, unless it is told that it must not.
    os.environ["TORCH_FORCE_WEIGHTS_ONLY_LOAD"] = "1"
    try:
        with zipfile.ZipFile(path) as file:
            _refuse_code(path, file.namelist())
        program = torch.export.load(path)
        # The signature of what was exported does not name what is written in place.
        signature = program.run_decompositions({}).graph_signature
        if device.type != "cpu":
            program = move_to_device_pass(program, device)
    except OperatorError:
        raise
    except Exception as error:
        raise OperatorError(f"{path} cannot be read as an exported program: {error}") from error
    changed = (*signature.buffers_to_mutate.values(), *signature.parameters_to_mutate.values())
    if changed:
        raise OperatorError(f"{path} writes on {', '.join(changed)}; a graph keeps nothing between computes")
    return Program(program, device)


def _refuse_code(path: Path, names: Sequence[str]) -> None:
    """Objects that would be unpickled, and libraries that would be linked."""
    prefixes = (archive.CUSTOM_OBJ_FILENAME_PREFIX, archive.OPAQUE_OBJ_FILENAME_PREFIX)
    for name in names:
        if archive.AOTINDUCTOR_DIR in name or name.rpartition("/")[2].startswith(prefixes):
            raise OperatorError(f"{path} holds {name}, which is code; only plain programs are run")


class Program:
    """A graph that takes tensors only."""

    def __init__(self, program: ExportedProgram, device: torch.device) -> None:
        values = {node.name: node.meta.get("val") for node in program.graph.nodes}
        inputs = {str(name): values.get(str(name)) for name in program.graph_signature.user_inputs}
        outputs = [(str(name), values.get(str(name))) for name in program.graph_signature.user_outputs]
        spec = program.call_spec.out_spec
        if spec is not None and spec.type is dict and len(spec.context) == len(outputs):
            # A model that returns a dict has named its outputs; the names of nodes are the exporter's.
            outputs = [(str(key), value) for key, (_, value) in zip(spec.context, outputs, strict=True)]
        self._shapes = {name: value.shape for name, value in inputs.items() if isinstance(value, torch.Tensor)}
        self._call_spec = program.call_spec.in_spec
        self._module = program.module()
        self._device = device
        self.info = GraphInfo(
            tuple(_spec(name, value) for name, value in inputs.items()),
            tuple(_spec(name, value) for name, value in outputs),
        )

    def compute(self, admitted: Admitted) -> Sequence[NamedTensor]:
        """
        One inference, as ``Backend`` says.

        Raises:
            InvalidArgument: Dimensions that the program's own conditions exclude.
        """
        flat = [self._fitted(named) for named in admitted.tensors]
        arguments, keywords = pytree.tree_unflatten(flat, self._call_spec)
        with torch.inference_mode(), _failures("computing"):
            try:
                outputs = pytree.tree_leaves(self._module(*arguments, **keywords))
            except AssertionError as error:
                raise InvalidArgument(f"the program takes no such dimensions: {error}") from error
        return [NamedTensor(spec.name, _lowered(value)) for spec, value in zip(self.info.outputs, outputs, strict=True)]

    def _fitted(self, named: NamedTensor) -> torch.Tensor:
        value = _lifted(named.tensor, self._device)
        return value if self._shapes[named.name] else value.reshape(())


# ---------------------------------------------------------------- language models


def _language_model(folder: Path, device: torch.device, settings: Settings) -> CausalLM:
    """
    Read a transformers model: safetensors only, and no code of the folder's own.

    Raises:
        OperatorError: It cannot be read, or not whole.
    """
    config = read_config(folder)
    if config is None or config.auto_map:
        raise OperatorError(f"{folder} wants to run Python code of its own (auto_map in config.json); it never will")
    transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[settings.dtype]
    try:
        loaded = transformers.AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=dtype,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            output_loading_info=True,
        )
    except Exception as error:
        raise OperatorError(f"{folder} cannot be read by transformers: {error}") from error
    model, report = cast("tuple[transformers.PreTrainedModel, dict[str, list[object]]]", loaded)
    # transformers fills what it does not find with random numbers.
    wrong = sorted(str(key) for key in (*report["missing_keys"], *report["mismatched_keys"]))
    if wrong:
        raise OperatorError(
            f"the weights in {folder} lack {wrong[0]} and {len(wrong) - 1} more; the folder is not whole"
        )
    model.to(device)  # type: ignore[arg-type]  # a decorator of theirs hides self
    model.eval()  # type: ignore[no-untyped-call]
    return CausalLM(model, config.text_info(), device, settings.max_num_seqs)


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
        with torch.inference_mode(), _failures("computing"):
            input_ids = _lifted(admitted["input_ids"], self._device)
            attention_mask = _lifted(admitted["attention_mask"], self._device)
            logits = self._forward(input_ids, attention_mask, None)  # [batch, tokens, vocab]
            return [NamedTensor("logits", _lowered(logits))]

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

    def add(self, request: int, admitted: Admitted, decoding: Decoding) -> None:
        """Take up a request, as ``Generator`` says."""
        with _failures("taking up a request"):
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
            except BackendFailure as error:
                one = Lost(request, error)
            steps.append(one)
            if isinstance(one, Lost) or one.end is not None:
                del self._live[request]
        return steps

    def _advance(self, request: int, live: _Live) -> Progress:
        with torch.inference_mode(), _failures("generating"):
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
