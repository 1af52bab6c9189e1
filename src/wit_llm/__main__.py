"""``python -m wit_llm``: the command of the same name."""

from __future__ import annotations

from wit_llm.cli import main

main()
