"""What makes ``bench.wasm`` of ``bench.c`` and ``json.c``."""

from __future__ import annotations

import sys
from pathlib import Path

from wit_llm.embedded.c.build import Committed, Guest

BENCH = Committed(Path(__file__).parent, {"bench.wasm": Guest(("bench.c", "json.c"), "chat")})

if __name__ == "__main__":
    sys.exit(BENCH.main(sys.argv[1:]))
