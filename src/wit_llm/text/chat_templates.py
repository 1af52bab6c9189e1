"""The chat templates of a folder by their names, as ``transformers`` finds them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wit_llm.backends.folder import CHAT_TEMPLATES
from wit_llm.errors import InvalidEncoding

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

DEFAULT = "default"
# Of turns with tools, in folders that do not have one template for all.
TOOL_USE = "tool_use"


def chat_templates(folder: Path, tokenizer_config: Mapping[str, Any]) -> dict[str, str]:
    """
    Files of their own, or else those of the configuration: ``default`` and any others, or none at all.

    Raises:
        InvalidEncoding: They are no text, or there are only others.
    """
    paths = {DEFAULT: folder / "chat_template.jinja"}
    paths |= {path.stem: path for path in (folder / CHAT_TEMPLATES).glob("*.jinja")}
    found = {name: _read(path, folder) for name, path in paths.items() if path.is_file()}
    found = found or _listed(tokenizer_config.get("chat_template"))
    if found and DEFAULT not in found:
        raise InvalidEncoding(
            f"there is no chat template named {DEFAULT}, only {', '.join(sorted(found))}; "
            "that for turns without tools is to be in chat_template.jinja"
        )
    return found


def _read(path: Path, folder: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as exc:
        raise InvalidEncoding(f"{path.relative_to(folder)} is not UTF-8: {exc.reason} at byte {exc.start}") from exc


def _listed(said: object) -> dict[str, str]:
    """What ``tokenizer_config.json`` says: nothing, the only one, or a list of several."""
    match said:
        case None:
            return {}
        case str():
            return {DEFAULT: said}
        case list():
            named = [(one.get("name"), one.get("template")) for one in said if isinstance(one, dict)]
            found = {name: text for name, text in named if isinstance(name, str) and isinstance(text, str)}
            if len(found) == len(said):
                return found
    raise InvalidEncoding(
        "chat_template of tokenizer_config.json must be text, or a list of {name, template} with each name once, "
        f"got {said!r:.200}"
    )
