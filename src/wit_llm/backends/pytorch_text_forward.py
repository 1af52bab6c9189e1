"""The forward pass of a transformers model, for a raw compute and for sequences in a row; models that it suits."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import torch

from wit_llm.backends.pytorch_text_attention import IMPLEMENTATION, Attention, Pass, Piece, Survey
from wit_llm.backends.pytorch_text_cache import Layout, State
from wit_llm.errors import OperatorError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import transformers

_LAYER_TYPES = {"full_attention", "sliding_attention"}
# Frequencies that depend on the longest sequence of a pass.
_ROPES_OF_A_PASS = {"dynamic", "longrope"}
# Of the spread of logits, by how much two ways to the same may differ.
_TOLERANCE = {torch.float32: 1e-3, torch.bfloat16: 0.05, torch.float16: 0.01}
_TRIED_TOKENS = (4, 2)


class Forward:
    """
    A model's own forward pass.

    Args:
        model: Loaded; its attention is replaced.
        vocab_size: Token ids are below it.

    Raises:
        OperatorError: It keeps more of a token than keys and values of its attention, or looks at them in a way that is
            not known here.
    """

    def __init__(self, model: transformers.PreTrainedModel, vocab_size: int) -> None:
        self.model = model
        self._device = model.device
        # Without it the logits of all rows are made, to look at a few of them.
        self._keeps_rows = "logits_to_keep" in inspect.signature(model.forward).parameters
        self.layout = self._checked_layout(vocab_size)

    def compute(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Logits of whole sequences, f32 ``[batch, tokens, vocab]``, from I64 ``[batch, tokens]`` both."""
        output = self.model(input_ids=input_ids, attention_mask=attention_mask, use_cache=False)
        logits: torch.Tensor = output.logits
        return logits.float()

    def advance(self, pieces: Sequence[Piece]) -> torch.Tensor:
        """
        Logits after the last token of each piece, f32 ``[piece, vocab]``.

        The states have the keys and values of the pieces' tokens then, and after a failure what they had before.
        """
        together = Pass(pieces)
        token_ids, places, last = together.rows(self._device)
        logits = self._run(token_ids, places, last, together)
        for piece in pieces:
            piece.state.token_ids.extend(piece.token_ids)
        return logits

    def _run(
        self, token_ids: torch.Tensor, places: torch.Tensor, last: torch.Tensor, attention: Attention
    ) -> torch.Tensor:
        keep = {"logits_to_keep": last} if self._keeps_rows else {}
        output = self.model(
            input_ids=token_ids,
            position_ids=places,
            # One that is made already, so that none is made of the places; nobody looks at it.
            attention_mask=token_ids.new_ones((1, 1, 1, 1), dtype=torch.bool),
            use_cache=False,
            wit_llm_attention=attention,
            **keep,
        )
        logits: torch.Tensor = output.logits[0]
        return (logits if self._keeps_rows else logits[last]).float()

    # ------------------------------------------------------------ models that it suits

    def _checked_layout(self, vocab_size: int) -> Layout:
        config = self.model.config
        try:
            self._check_kind(config.get_text_config())
            self.model.set_attn_implementation(IMPLEMENTATION)
            layout = self._surveyed()
            self._try(layout, vocab_size)
        except (RuntimeError, ValueError, TypeError, AttributeError, IndexError, KeyError) as error:
            raise OperatorError(
                f"models of type {config.model_type!r} cannot generate here: {error}; those can whose layers do "
                "nothing with earlier tokens but attend to them, as in llama, mistral, qwen2, qwen3, phi3 and gemma3"
            ) from error
        return layout

    def _check_kind(self, config: Any) -> None:  # noqa: ANN401 -- a configuration has any fields
        if not self.model._supports_attention_backend:  # noqa: SLF001 -- what transformers looks at itself
            raise ValueError("its attention cannot be replaced")
        other = sorted(set(getattr(config, "layer_types", None) or ()) - _LAYER_TYPES)
        if other:
            raise ValueError(f"it has layers of type {other[0]!r}")
        ropes = sorted(set(_rope_types(getattr(config, "rope_parameters", None))) & _ROPES_OF_A_PASS)
        if ropes:
            raise ValueError(f"its rotary embedding of type {ropes[0]!r} is another for longer sequences")

    def _surveyed(self) -> Layout:
        """What a pass would keep of each token."""
        survey = Survey()
        with torch.inference_mode():
            rows = torch.zeros((1, 2), dtype=torch.int64, device=self._device)
            self._run(rows, rows, rows[0, :1], survey)
        config = self.model.config.get_text_config()
        types: Sequence[str] = getattr(config, "layer_types", None) or ()
        layers = [kept.layer for kept in survey.kept]
        if layers != list(range(config.num_hidden_layers)):
            raise ValueError(f"{len(set(layers))} of its {config.num_hidden_layers} layers attend")
        if len({kept.sizes for kept in survey.kept}) != 1:
            raise ValueError("its layers keep keys and values of different sizes")
        if any(
            kind == "sliding_attention" and kept.window is None for kind, kept in zip(types, survey.kept, strict=False)
        ):
            raise ValueError("it does not say how far its windows reach")
        heads, key_size, value_size = survey.kept[0].sizes
        return Layout(len(layers), heads, key_size, value_size, self.model.dtype, self._device)

    def _try(self, layout: Layout, vocab_size: int) -> None:
        """Compare sequences in a row with the same ones alone."""
        first, second = _TRIED_TOKENS
        sequences = [[(7919 * (one + 2 * place) + 1) % vocab_size for place in range(first + second)] for one in (1, 2)]
        states = [State.empty(layout, first + second, scope=0) for _ in sequences]
        with torch.inference_mode():
            self.advance([Piece(state, ids[:first]) for state, ids in zip(states, sequences, strict=True)])
            found = self.advance([Piece(state, ids[first:]) for state, ids in zip(states, sequences, strict=True)])
            rows = torch.tensor(sequences, device=self._device)
            wanted = self.compute(rows, torch.ones_like(rows))[:, -1]
        spread = float(wanted.max() - wanted.min())
        if not float((found - wanted).abs().max()) <= _TOLERANCE[layout.dtype] * spread:
            raise ValueError("sequences in a row have other logits than alone")


def _rope_types(parameters: object) -> Iterator[str]:
    """Those of all layers; some models have one for each kind of layer."""
    if isinstance(parameters, dict):
        for name, value in parameters.items():
            if name == "rope_type":
                yield value
            else:
                yield from _rope_types(value)
