"""The engines that are compared, and how each is started."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path

from engines import environment
from engines.line import Done, Failed, Work
from measure import CACHE
from sides import Side

BENCHMARKS = Path(__file__).parents[1]

OURS = "wit-llm/openvino"
OURS_ON_PYTORCH = "wit-llm/pytorch"
BATCHING = "openvino-genai/batching"
PIPELINE = "openvino-genai/pipeline"
TRANSFORMERS = "transformers"
LLAMA_CPP = "llama.cpp"
ONNXRUNTIME = "onnxruntime-genai"
OPENVINO = (OURS, BATCHING, PIPELINE)  # whose work OpenVINO does


class AbsentError(Exception):
    """Why an engine is not measured."""


@dataclass(frozen=True, slots=True)
class Engine:
    """
    An engine with weights of one kind.

    Args:
        name: The same for all weights.
        weights: How the matrices are stored, in the engine's own words.
        bits: Which engines it is compared with: 16 for 16 and more, 8 or 4.
        module: Of ``engines``, which answers.
        form: Of the model, as ``models.made`` has it.
        options: For the module's ``start``.
        peer: Whose packages it wants; none for what wit-llm itself depends on.
        twin: Whose tokens a guest's text has to be, token by token: who computes the same in the same order.
        reuses: Whether it keeps what it has computed of a prompt for others that begin alike.
    """

    name: str
    weights: str
    bits: int
    module: str
    form: str
    options: dict[str, object] = field(default_factory=dict)
    peer: str | None = None
    twin: str | None = None
    reuses: bool = False

    @property
    def label(self) -> str:
        """Its name with its weights."""
        return f"{self.name} {self.weights}"

    def launch(self, shape: str, threads: int) -> tuple[Side, str]:
        """
        Install it, make its model and start it, as far as that was not done.

        Returns:
            What answers works, and what it is with its version.

        Raises:
            AbsentError: One of these could not be done.
        """
        from engines import models  # which imports torch

        try:
            python = environment.install(self.peer) if self.peer else Path(sys.executable)
            model = models.made(shape, self.form, python)
        except environment.NotInstalledError as error:
            raise AbsentError(f"not installed: {error}") from error
        except RuntimeError as error:
            raise AbsentError(f"no model: {error}") from error
        options = json.dumps({"threads": threads, **self.options})
        side = Side.launch(
            self.label, [str(python), "-m", "engines.serve", self.module, str(model), options], _environment()
        )
        try:
            ready = side.line.recv()
        except EOFError:
            ready = Failed("its process has ended")
        if isinstance(ready, Failed):
            side.close()
            raise AbsentError(f"does not start: {ready.reason}")
        return side, ready.version


def ask(side: Side, work: Work) -> Done:
    """
    Have a work done.

    Raises:
        AbsentError: The engine has failed, or its replies are of other lengths.
    """
    try:
        done: Done | Failed = side.answer(work)
    except RuntimeError:
        raise AbsentError("its process has ended") from None
    if isinstance(done, Failed):
        raise AbsentError(done.reason)
    lengths = {len(reply) for reply in done.replies if not isinstance(reply, str)}
    if lengths - {work.reply_tokens} or len(done.replies) != len(work.prompts):
        raise AbsentError(
            f"{len(done.replies)} replies of {lengths} tokens; {len(work.prompts)} of {work.reply_tokens}"
        )
    return done


def _environment() -> dict[str, str]:
    path = os.pathsep.join(filter(None, (str(BENCHMARKS), os.environ.get("PYTHONPATH"))))
    return {**os.environ, "PYTHONPATH": path}


def _openvino(bits: int, weights: str) -> tuple[Engine, ...]:
    form = f"ir-{weights}"
    guest: dict[str, object] = {"backend": "openvino", "cache_dir": str(CACHE / "wit-llm")}
    return (
        Engine(OURS, weights, bits, "wit_llm_guest", form, guest, twin=BATCHING, reuses=True),
        Engine(BATCHING, weights, bits, "openvino_batching", form, reuses=True),
        Engine(PIPELINE, weights, bits, "openvino_pipeline", form),
    )


def _llama_cpp(bits: int, weights: str) -> Engine:
    return Engine(LLAMA_CPP, weights, bits, "llama_cpp_batch", f"gguf-{weights.upper()}", peer=LLAMA_CPP)


def _onnxruntime(bits: int, weights: str) -> Engine:
    module = "onnxruntime_genai_generator"
    return Engine(ONNXRUNTIME, weights, bits, module, f"onnx-{weights}", peer=ONNXRUNTIME)


_PYTORCH_GUEST: dict[str, object] = {"backend": "pytorch", "cache_dir": str(CACHE / "wit-llm")}
_BF16: dict[str, object] = {"dtype": "bfloat16"}
ENGINES = (
    *_openvino(16, "fp16"),
    Engine(OURS_ON_PYTORCH, "bf16", 16, "wit_llm_guest", "transformers", _PYTORCH_GUEST, reuses=True),
    Engine(TRANSFORMERS, "bf16", 16, "transformers_generate", "transformers", _BF16),
    _llama_cpp(16, "f16"),
    _onnxruntime(16, "fp32"),
    *_openvino(8, "int8"),
    _llama_cpp(8, "q8_0"),
    _onnxruntime(8, "int8"),
    *_openvino(4, "int4"),
    _llama_cpp(4, "q4_0"),
    _onnxruntime(4, "int4"),
)
