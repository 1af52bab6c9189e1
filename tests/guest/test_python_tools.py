"""The example with a tool, built as its README says and run as a real component."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.architecture import ROOT
from tests.conftest import CACHE
from tests.guest.driver.build import component
from tests.text import echo_folder
from wit_llm import Host

EXAMPLE = ROOT / "examples" / "python-tools"


@pytest.fixture(scope="module")
def tools() -> Path:
    """The component."""
    return component(CACHE / "python-tools", EXAMPLE / "app.py", "chat-program")


@pytest.mark.parametrize(
    ("question", "called", "answer"),
    [
        ("What is 12 * 34?", 'calculate({"expression": "12 * 34"}) = 408', "The answer is 408."),
        (
            "What is love?",
            'calculate({"expression": "love"}) = ValueError: a sum has numbers, + - * / and brackets',
            "The answer is Error: ValueError: a sum has numbers, + - * / and brackets.",
        ),
    ],
    ids=["a-sum", "no-sum"],
)
def test_the_example_calls_its_tool_and_answers(tools: Path, question: str, called: str, answer: str) -> None:
    """The call reaches the guest's function, and its outcome the answer; so does an outcome that is an error."""
    with Host([f"scripted={EXAMPLE / 'scripted'},backend=echo"], cache_dir=CACHE / "wit-llm") as host:
        outcome = host.run(tools, ["scripted", question])
    assert (outcome.exit_code, outcome.stdout.decode().splitlines()) == (0, [answer])
    assert outcome.stderr.decode().splitlines() == [called]


def test_the_example_shows_what_it_prints() -> None:
    """The run in its README is the one above."""
    shown = (EXAMPLE / "README.md").read_text()
    assert '$ wit-llm run --graph scripted=scripted,backend=echo tools.wasm scripted "What is 12 * 34?"\n' in shown
    assert 'calculate({"expression": "12 * 34"}) = 408\nThe answer is 408.\n' in shown


def test_the_example_tells_what_a_model_cannot(tools: Path) -> None:
    """A model without a place for tools ends it with one line and status 1."""
    with Host(["tiny"], cache_dir=CACHE / "wit-llm") as host:
        outcome = host.run(tools, ["tiny", "What is 12 * 34?"])
    assert outcome.exit_code == 1
    assert "error: graph 'tiny' takes no tools: its chat template has no place for them" in outcome.stderr.decode()


@pytest.mark.parametrize("name", sorted(set(echo_folder.files()) - {"chat_template.jinja"}))
def test_the_scripted_graph_is_echo_with_a_template_of_its_own(name: str) -> None:
    """All other files are those of the embedded one."""
    assert (EXAMPLE / "scripted" / name).read_text() == echo_folder.files()[name]
