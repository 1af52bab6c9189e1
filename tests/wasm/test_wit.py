"""What the WIT declares is what the host offers, and what it calls wasi-nn is wasi-nn."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from wit_llm.wasm.engine import INTERFACES

WIT = Path(__file__).parents[2] / "wit-llm"

# sha256 of the release's text without comments, white space folded: the file `wit/wasi-nn.wit` of its tag.
RELEASE = "e683b8b19c4358d27dc0ce28dec6725a550164aa7ebc998779c2c77d982c7757"
PULL_REQUEST_79 = (
    "interface prompt { use graph.{graph}; init: func(graph: graph) -> result<context, string>; "
    "resource context { compute: func(prompt: string) -> result<string, string>; } }"
)
RESOURCE = r"resource ([a-z-]+) \{"
ML_PROMPT = "world ml-prompt { include ml; import prompt; }"


def folded(path: Path) -> str:
    """A WIT file without comments, white space and last commas."""
    text = re.sub(r"//[^\n]*", "", path.read_text())
    return re.sub(r",\s*}", " }", re.sub(r"\s+", " ", text)).strip()


def blocks(text: str) -> dict[str, str]:
    """The inside of each ``interface NAME { … }`` of a folded file."""
    found = {}
    for match in re.finditer(r"interface ([a-z-]+) \{", text):
        depth, end = 1, match.end()
        while depth:
            depth += {"{": 1, "}": -1}.get(text[end], 0)
            end += 1
        found[match[1]] = text[match.end() : end - 1]
    return found


def functions(block: str) -> set[str]:
    """The functions of an interface, as the component model names them."""
    found = set()
    for resource, body in re.findall(r"resource ([a-z-]+) \{([^}]*)\}", block):
        if "constructor(" in body:
            found.add(f"[constructor]{resource}")
        for name, static in re.findall(r"([a-z-]+): (static )?func\(", body):
            found.add(f"[{'static' if static else 'method'}]{resource}.{name}")
    return found | set(re.findall(r"([a-z-]+): func\(", re.sub(r"resource [a-z-]+ \{[^}]*\}", "", block)))


def declared() -> dict[str, set[str]]:
    """Every function of our package and of wasi-nn, by its interface's full name."""
    found = {}
    for file, name in (("nn.wit", "wit-llm:nn/{}@0.1.0"), ("deps/wasi-nn/nn.wit", "wasi:nn/{}@0.2.0-rc-2024-10-28")):
        for interface, block in blocks(folded(WIT / file)).items():
            found[name.format(interface)] = functions(block)
    return found


def test_every_declared_function_is_offered_and_nothing_else_is() -> None:
    """The WIT and the host list the same interfaces with the same functions."""
    offered = {interface.name: set(interface.functions) for interface in INTERFACES}
    assert offered == declared()
    assert sum(map(len, offered.values())) == 43


def test_every_declared_resource_has_a_class_behind_it() -> None:
    """Resources are declared where they are offered."""
    text = [folded(WIT / file) for file in ("nn.wit", "deps/wasi-nn/nn.wit")]
    wanted = [name for whole in text for block in blocks(whole).values() for name in re.findall(RESOURCE, block)]
    assert sorted(wanted) == sorted(name for interface in INTERFACES for name in interface.resources)
    assert len(wanted) == 8


def test_wasi_nn_is_the_release_and_pull_request_79_stands_apart() -> None:
    """The shipped `wasi:nn` is 0.2.0-rc-2024-10-28 to the letter; `prompt` and its world are all that is added."""
    text = folded(WIT / "deps" / "wasi-nn" / "nn.wit")
    assert text.count(PULL_REQUEST_79) == 1
    assert text.count(ML_PROMPT) == 1
    release = re.sub(r"\s+", " ", text.replace(PULL_REQUEST_79, "").replace(ML_PROMPT, "")).strip()
    assert hashlib.sha256(release.encode()).hexdigest() == RELEASE
