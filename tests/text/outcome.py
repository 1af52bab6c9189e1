"""What a chat template makes of a conversation, ours and that of ``transformers`` told alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wit_llm.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Callable

Outcome = tuple[str, object]


def outcome(render: Callable[[], object]) -> Outcome:
    """What a rendering gives: text and ids, or the words of the template that refuses."""
    try:
        return "rendered", render()
    except InvalidArgument as exc:
        return "refused", str(exc).removeprefix("the chat template refuses these messages: ")
    except Exception as exc:  # noqa: BLE001 -- Jinja's, of which there are many
        return "refused", str(exc)
