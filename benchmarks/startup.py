"""
How long until something happens, and how much memory does the host take?

`import wit_llm` and `wit-llm --help` against Python alone; the first character of `wit-llm chat "Hello!"`, its
component compiled before, against a script that asks openvino-genai the same in its own process. Memory is the peak of
the process that was started, its worker not included: of the command, and of a Python program with a `Host`. Bars:
0.3 s, 0.4 s, 2 s and 120 MB.
"""

# ruff: noqa: D400 -- the first line is a question

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import NamedTuple

from measure import CACHE, Bar, Of, Report, Row, in_turns, parser

import wit_llm

TINY = Path(wit_llm.__file__).parent / "embedded" / "tiny"
QUESTION = "Hello!"
MEMORY_BAR = Bar(Of.OURS, at_most=120)
LOOK_AGAIN_S = 0.002

PASS = ("-c", "pass")
IMPORT = ("-c", "import wit_llm")
IMPORT_HOST = ("-c", "from wit_llm import Host")
HELP = ("-m", "wit_llm", "--help")
CHAT = ("-m", "wit_llm", "chat", QUESTION)
PROGRAM = (
    "-c",
    f"""
from wit_llm import Host
from wit_llm.cli.packaged import CHAT_GUEST

with Host(["tiny"]) as host:
    print(host.run(CHAT_GUEST, ["tiny", {QUESTION!r}]).stdout.decode(), end="", flush=True)
""",
)
DIRECT = (
    "-c",
    f"""
import numpy as np
import openvino as ov
import openvino_genai as genai
from tokenizers import Tokenizer

tokenizer = Tokenizer.from_file({str(TINY / "tokenizer.json")!r})
token_ids = tokenizer.encode({f"<|user|>{QUESTION}<|end|><|assistant|>"!r}, add_special_tokens=False).ids
pipeline = genai.ContinuousBatchingPipeline({str(TINY)!r}, genai.SchedulerConfig(), "CPU")
config = genai.GenerationConfig()
config.max_new_tokens = 100
config.eos_token_id = tokenizer.token_to_id("<|end|>")
handle = pipeline.add_request(0, ov.Tensor(np.array([token_ids], np.int64)), config)
while handle.get_status() == genai.GenerationStatus.RUNNING:
    pipeline.step()
    while handle.can_read():
        for output in handle.read().values():
            print(tokenizer.decode(output.generated_ids), end="", flush=True)
print(flush=True)
""",
)


class Chatted(NamedTuple):
    """How a process did that says one thing."""

    first_s: float
    peak_mb: float


def _environment() -> dict[str, str]:
    return {**os.environ, "XDG_CACHE_HOME": str(CACHE)}


def _whole_s(arguments: tuple[str, ...], _number: int) -> float:
    """From the start of a Python process to its end."""
    began = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL, env=_environment())
    return time.perf_counter() - began


def _chat(arguments: tuple[str, ...], answer: str, _number: int) -> Chatted:
    """Start a Python process, wait for its first character, and watch its memory until its end."""
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        bufsize=0,
        env=_environment(),
    )
    with process:
        if process.stdout is None:
            raise RuntimeError("the process has no output")
        said = process.stdout.read(1)
        first_s = time.perf_counter() - began
        peak_mb = 0.0
        while process.poll() is None:
            peak_mb = _peak_mb(process.pid) or peak_mb
            time.sleep(LOOK_AGAIN_S)
        said += process.stdout.read()
    if said.decode() != f"{answer}\n" or process.returncode:
        raise RuntimeError(f"{arguments[:3]} said {said!r} instead of {answer!r}, and ended with {process.returncode}")
    return Chatted(first_s, peak_mb)


def _peak_mb(pid: int) -> float | None:
    """The most that a process had in memory so far; none where it is about to end."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 / 1e6
    return None


def _answer() -> str:
    """What `tiny` says."""
    conversations = json.loads((TINY / "lines.json").read_text(encoding="utf-8"))
    return next(str(turns[0][1]) for turns in conversations if turns[0][0] == QUESTION)


def main() -> int:
    """Measure starts, then chats."""
    report = Report(__doc__, parser(__doc__).parse_args(), {"graph": "tiny", "question": repr(QUESTION)})
    for name, arguments, bar in (
        ("import wit_llm", IMPORT, Bar(Of.OURS, at_most=0.3)),
        ("from wit_llm import Host", IMPORT_HOST, None),
        ("wit-llm --help", HELP, Bar(Of.OURS, at_most=0.4)),
    ):
        starts = list(in_turns(partial(_whole_s, arguments), partial(_whole_s, PASS), report.pairs))
        report.add(Row(name, "s", "python -c pass", starts, bar))
    answer = _answer()
    direct = partial(_chat, DIRECT, answer)
    command = list(in_turns(partial(_chat, CHAT, answer), direct, report.pairs))
    first = [(ours.first_s, rival.first_s) for ours, rival in command]
    report.add(Row("wit-llm chat, first character", "s", "direct", first, Bar(Of.OURS, at_most=2)))
    memory = [(ours.peak_mb, rival.peak_mb) for ours, rival in command]
    report.add(Row("wit-llm chat, memory", "MB", "direct", memory, MEMORY_BAR))
    program = list(in_turns(partial(_chat, PROGRAM, answer), direct, report.pairs))
    memory = [(ours.peak_mb, rival.peak_mb) for ours, rival in program]
    report.add(Row("a program with a Host, memory", "MB", "direct", memory, MEMORY_BAR))
    return report.status()


if __name__ == "__main__":
    sys.exit(main())
