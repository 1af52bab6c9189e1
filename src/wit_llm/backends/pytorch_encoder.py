"""PyTorch: a transformers encoder, which gives a vector for each token of a text."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

import torch
import transformers
from transformers.models.auto.modeling_auto import MODEL_FOR_TEXT_ENCODING_MAPPING_NAMES

from wit_llm.backends.base import GraphInfo, TextInfo
from wit_llm.backends.pytorch_folder import fitting, model_config, read_model
from wit_llm.backends.pytorch_values import failures, lifted, lowered
from wit_llm.errors import InvalidArgument, OperatorError
from wit_llm.tensor import NamedTensor, TensorSpec, TensorType

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from wit_llm.tensor import Admitted


def encoder(folder: Path, encodes: TextInfo, device: torch.device, dtype: torch.dtype | None) -> Encoder:
    """
    Read a transformers model without the head that it may have.

    Args:
        folder: Where it lies.
        encodes: Vocabulary and window.
        device: What it computes on.
        dtype: Of its arithmetic; none is as ``fitting`` says.

    Raises:
        OperatorError: It cannot be read, or not whole.
    """
    config = model_config(folder)
    auto_class: type = transformers.AutoModel
    if config.model_type in MODEL_FOR_TEXT_ENCODING_MAPPING_NAMES:
        auto_class = transformers.AutoModelForTextEncoding  # T5 without its decoder
    elif config.is_encoder_decoder:
        raise OperatorError(
            f"{folder} is an encoder-decoder, {config.model_type!r}, which cannot be read without its decoder"
        )
    model = read_model(auto_class, folder, dtype or fitting(config, device), unused="pooler.")
    model.to(device)  # type: ignore[arg-type]  # a decorator of theirs hides self
    return Encoder(model, encodes, device)


class Encoder:
    """A graph that computes the vectors of tokens."""

    def __init__(self, model: transformers.PreTrainedModel, encodes: TextInfo, device: torch.device) -> None:
        inputs = ["input_ids", "attention_mask"]
        # Elsewhere than in models with two types of tokens and more, the argument changes nothing.
        if "token_type_ids" in inspect.signature(model.forward).parameters and _token_types(model) > 1:
            inputs.append("token_type_ids")
        self.info = GraphInfo(
            tuple(TensorSpec(name, TensorType.I64, (None, None)) for name in inputs),
            (TensorSpec("last_hidden_state", TensorType.FP32, (None, None, model.config.hidden_size)),),
            encodes=encodes,
        )
        self._model = model
        self._device = device
        self._token_types = _token_types(model)

    def compute(self, admitted: Admitted) -> Sequence[NamedTensor]:
        """
        One forward pass, as ``Backend`` says.

        Raises:
            InvalidArgument: A type of token that the model does not have.
        """
        with torch.inference_mode(), failures("computing"):
            inputs = {named.name: lifted(named.tensor, self._device) for named in admitted.tensors}
            self._check(inputs.get("token_type_ids"))
            vectors: torch.Tensor = self._model(**inputs).last_hidden_state  # [rows, tokens, hidden]
            return [NamedTensor("last_hidden_state", lowered(vectors.float()))]

    def _check(self, token_types: torch.Tensor | None) -> None:
        """A GPU does not survive a look-up beyond a table's end."""
        if token_types is None or not token_types.numel():
            return
        low, high = int(token_types.min()), int(token_types.max())
        if low < 0 or high >= self._token_types:
            wrong = low if low < 0 else high
            raise InvalidArgument(f"input 'token_type_ids' has {wrong}; the model has 0 to {self._token_types - 1}")


def _token_types(model: transformers.PreTrainedModel) -> int:
    return getattr(model.config, "type_vocab_size", None) or 0
