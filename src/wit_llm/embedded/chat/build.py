"""What makes ``chat.wasm`` of ``chat.c``."""

from __future__ import annotations

import sys
from pathlib import Path

from wit_llm.embedded.c.build import Committed, Guest

CHAT = Committed(Path(__file__).parent, {"chat.wasm": Guest(("chat.c",), "chat")})

if __name__ == "__main__":
    sys.exit(CHAT.main(sys.argv[1:]))
