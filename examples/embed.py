"""A host in ten lines: a sandboxed guest that may load the graph `tiny`, its input and its output in Python's hands."""

from __future__ import annotations

from importlib.resources import files

from wit_llm import Host

guest = files("wit_llm.embedded.chat") / "chat.wasm"  # any component that is a program; this one comes along

with Host(["tiny"]) as host:
    outcome = host.run(str(guest), ["--transcript", "tiny"], stdin=b"My name is Ann.\nWhat is my name?\n")

print(outcome.exit_code, outcome.stdout.decode(), sep="\n", end="")
