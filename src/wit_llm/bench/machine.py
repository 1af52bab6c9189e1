"""What figures were taken on, and with."""

from __future__ import annotations

import os
import platform
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from wit_llm import __version__

_LIBRARIES = ("wasmtime", "openvino-genai", "tokenizers", "torch", "transformers")


def machine() -> dict[str, object]:
    """What the figures were taken on."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cpu": names[0] if names else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(memory_bytes / 2**30, 1),
        "load": round(os.getloadavg()[0], 1),
    }


def versions() -> dict[str, object]:
    """What the figures were taken with."""
    found: dict[str, object] = {"python": platform.python_version(), "wit-llm": __version__}
    for name in _LIBRARIES:
        with suppress(PackageNotFoundError):  # those of an extra
            found[name] = version(name)
    return found
