"""Tools and reasoning from inside a guest, with a graph whose replies are what its template writes."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import wit_llm
from tests.architecture import ROOT
from tests.conftest import Driver
from tests.text import echo_folder

SCRIPTED = f"scripted={ROOT / 'examples' / 'python-tools' / 'scripted'},backend=echo"
LEND = """
schema = json.dumps({"type": "object", "properties": {"q": {"type": "string"}}, "required": ["q"]})
lend = options(tools=[types.Tool("look-up", "Looks it up.", schema)])
loaded = graph.load_by_name(sys.argv[1])
"""


@pytest.fixture
def thinker(tmp_path: Path) -> str:
    """A graph that thinks: it repeats its prompt, which its template has opened, and which is what the user said."""
    for name, content in echo_folder.files().items():
        (tmp_path / name).write_text(content, encoding="utf-8")
    (tmp_path / "chat_template.jinja").write_text("{{ messages[-1].content }}{# <think> </think> #}")
    return f"thinker={tmp_path},backend=echo"


@pytest.fixture(scope="module")
def caller(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The model ``tiny``, which knows of no tools, with a template that has a place for them."""
    folder = tmp_path_factory.mktemp("caller")
    tiny = Path(wit_llm.__file__).parent / "embedded" / "tiny"
    for name in ("openvino_model.xml", "openvino_model.bin", "tokenizer.json", "tokenizer_config.json"):
        shutil.copy(tiny / name, folder)
    for name in ("config.json", "generation_config.json"):
        shutil.copy(tiny / name, folder)
    own = (tiny / "chat_template.jinja").read_text()
    place = "{% if tools %}<|system|>{{ tools[0].function.name }} <tool_call>{'name': }<|end|>{% endif %}"
    (folder / "chat_template.jinja").write_text(f"{place}{own}{{# tool_calls #}}")
    return f"caller={folder}"


def _run(driver: Driver, source: str, graph: str) -> list[str]:
    text = LEND + driver.source(source)
    return driver.run(text, graphs=[graph], args=[graph.partition("=")[0]]).stdout.decode().splitlines()


def test_a_call_is_one_event_and_its_outcome_goes_back_in(driver: Driver) -> None:
    """Text streams before it, the reason is tool-calls, and the history has call and outcome."""
    assert _run(
        driver,
        """
        talk = session(loaded)
        reply = talk.start(types.Turn_Say("the rank"), lend)
        events, finished = [], False
        while not finished:
            batch = reply.next()
            events, finished = events + batch.events, batch.finished
        say("".join(e.value for e in events if isinstance(e, types.Event_Text)))
        say([e.value for e in events if isinstance(e, types.Event_Call)])
        say(kebab(reply.summary().reason), [kebab(part) for part in reply.message().parts])
        call = reply.message().parts[1].value
        back = types.Turn_Messages([types.Message(types.Role.TOOL, [
            types.Part_Outcome(types.ToolResult(call.id, "two", False)),
        ])])
        measured = talk.measure(back, lend)
        copy = talk.fork()
        answer = talk.ask(back, lend)
        say(answer.text, kebab(answer.summary.reason), measured == answer.summary.usage.prompt_tokens)
        say([(m.role.name, [kebab(part) for part in m.parts]) for m in talk.history()])
        say(copy.ask(back, lend).text, talk.mark(), talk.rewind(1).dropped_turns, len(talk.history()))
        """,
        SCRIPTED,
    ) == [
        "I will work it out.",
        "[ToolCall(id='call00001', name='look-up', arguments_json='{\"q\": \"the rank\"}')]",
        "tool-calls ['text', 'call']",
        "The answer is two. stop True",
        "[('USER', ['text']), ('ASSISTANT', ['text', 'call']), ('TOOL', ['outcome']), ('ASSISTANT', ['text'])]",
        "The answer is two. 4 0 1",
    ]


def test_what_a_graph_can_and_how_it_is_rendered(driver: Driver) -> None:
    """``can`` has tools, ``render`` takes them."""
    assert _run(
        driver,
        """
        can = prompt.describe(loaded).can
        say(bool(can & prompt.Capability.TOOLS), bool(can & prompt.Capability.REASONING))
        asked = [message("user", "What is 1?")]
        say(tokenizer.render(loaded, asked, lend.tools))
        say(tokenizer.render(loaded, asked, []))
        say(failure(tokenizer.render, loaded, asked, [types.Tool("a b", "", schema)]))
        say(failure(session(loaded).start, types.Turn_Raw("x"), lend))
        """,
        SCRIPTED,
    ) == [
        "True False",
        "I will work it out.",
        "<tool_call>",
        '{"name": "look-up", "arguments": {"q": "1"}}',
        "</tool_call>",
        "I have no tools.",
        "invalid: a tool's name is 1 to 64 of A-Z a-z 0-9 _ . -, got 'a b'",
        "invalid: tools go into the chat template, and a turn of raw text or of tokens has none",
    ]


def test_reasoning_is_apart(driver: Driver, thinker: str) -> None:
    """In events, in the message, in the history and in the usage; ``next-text`` reads over it."""
    assert _run(
        driver,
        """
        talk = session(loaded)
        reply = talk.start(types.Turn_Say("<think>Hm 漢.</think>\\n\\nYes"), None)
        events, finished = [], False
        while not finished:
            batch = reply.next()
            events, finished = events + batch.events, batch.finished
        say("".join(e.value for e in events if isinstance(e, types.Event_Reasoning)))
        say("".join(e.value for e in events if isinstance(e, types.Event_Text)))
        say(reply.message().parts, talk.history()[1] == reply.message())
        usage = reply.summary().usage
        say(usage.reasoning_tokens, usage.generated_tokens)
        say(read(talk.start(types.Turn_Say("<think>Hm.</think>\\n\\nYes"), None))[0])
        say(bool(prompt.describe(loaded).can & prompt.Capability.REASONING))
        """,
        thinker,
    ) == [
        "Hm 漢.",
        "Yes",
        "[Part_Reasoning(value='Hm 漢.'), Part_Text(value='Yes')] True",
        f"{len('<think>Hm 漢.</think>'.encode())} {len('<think>Hm 漢.</think>'.encode()) + 6}",
        "Yes",
        "True",
    ]


def test_a_real_model_can_be_made_to_call(driver: Driver, caller: str) -> None:
    """One that never heard of tools calls the one it is told to, with arguments that its schema allows."""
    assert _run(
        driver,
        """
        def tool(name, schema):
            return types.Tool(name, "", json.dumps(schema))

        city = {"type": "object", "properties": {"city": {"enum": ["Rome", "Oslo"]}}, "required": ["city"]}
        size = {"type": "object", "properties": {"size": {"type": "integer", "maximum": 9, "minimum": 1}},
                "required": ["size"]}
        tools = [tool("weather", city), tool("scale", size)]
        for choice in (types.ToolChoice_Required(), types.ToolChoice_Only("weather"), types.ToolChoice_Only("scale")):
            talk = session(loaded)
            reply = talk.ask(types.Turn_Say("What is the capital of Italy?"), greedy(tools=tools, tool_choice=choice))
            (part,) = reply.message.parts
            arguments = json.loads(part.value.arguments_json)
            fits = arguments.get("city") in ("Rome", "Oslo") or arguments.get("size") in range(1, 10)
            say(kebab(reply.summary.reason), kebab(part), part.value.name if kebab(choice) == "only" else "any", fits)
        """,
        caller,
    ) == ["tool-calls call any True", "tool-calls call weather True", "tool-calls call scale True"]
