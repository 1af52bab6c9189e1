"""Where the files that travel inside the package are."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).parents[1]
_CHECKOUT = _PACKAGE.parents[1]

PROJECT = _CHECKOUT / "pyproject.toml"
CHAT_GUEST = _PACKAGE / "embedded" / "chat" / "chat.wasm"
GUESTS = {"chat": CHAT_GUEST, "bench": _PACKAGE / "embedded" / "bench" / "bench.wasm"}


def wit_folder() -> Path:
    """The WIT that guests are built against: in the package where it is installed, else in the checkout."""
    installed = _PACKAGE / "wit"
    return installed if installed.is_dir() else _CHECKOUT / "wit-llm"
