"""``wit-llm:nn/tokenizer``: text and token ids, by the model's own tokenizer and template."""

from __future__ import annotations

from wit_llm.errors import QuotaExceeded, QuotaKind
from wit_llm.options import Tool
from wit_llm.registry import Loaded
from wit_llm.text.message import Message
from wit_llm.text.session import check_prompt_bytes
from wit_llm.wasm.guest import Guest
from wit_llm.wasm.linking import Interface

TOKENIZER = Interface("wit-llm:nn/tokenizer@0.1.0")


@TOKENIZER.func("encode")
def _encode(guest: Guest, graph: Loaded, text: str, special: bool) -> tuple[int, ...]:  # noqa: FBT001 -- the WIT's
    if len(text.encode()) > guest.limits.prompt_bytes:
        raise QuotaExceeded(QuotaKind.PROMPT_BYTES, guest.limits.prompt_bytes)
    return tuple(graph.tokenizer.encode(text, special=special))


@TOKENIZER.func("decode")
def _decode(guest: Guest, graph: Loaded, tokens: tuple[int, ...]) -> str:
    return graph.tokenizer.decode(tokens)


@TOKENIZER.func("render")
def _render(guest: Guest, graph: Loaded, messages: tuple[Message, ...], tools: tuple[Tool, ...]) -> str:
    check_prompt_bytes(messages, guest.limits, tools)
    return graph.model.render(messages, tools)
