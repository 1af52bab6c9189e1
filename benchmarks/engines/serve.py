"""
The main of an engine's process: ``python -m engines.serve MODULE MODEL OPTIONS LINE``.

A module has ``start``, which takes the model's path and the options by name and gives what answers, and ``version``.
"""

from __future__ import annotations

import importlib
import json
import sys
from multiprocessing.connection import Connection
from pathlib import Path

from engines.line import Failed, Ready


def main() -> None:
    """Load, say so, and answer until no work comes."""
    module, model, options, descriptor = sys.argv[1:]
    line = Connection(int(descriptor))
    try:
        engine = importlib.import_module(f"engines.{module}")
        answer = engine.start(Path(model), **json.loads(options))
        line.send(Ready(engine.version()))
        while (work := line.recv()) is not None:
            line.send(answer(work))
    except EOFError:  # who asked has gone
        return
    except Exception as error:  # noqa: BLE001 -- whatever it is, it stands in the table
        line.send(Failed(f"{type(error).__name__}: {error}".splitlines()[0]))


if __name__ == "__main__":
    main()
