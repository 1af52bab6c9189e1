"""Each kind of turn, and of part of a message."""

from __future__ import annotations

from tests.contract.text.cases import ASKED, BACKENDS, KNOWN, THEN_ASKED, THEN_ECHOED, THEN_KNOWN, Case, Hole

_STOPS, _KNOWS = [f"{ASKED} | stop"], [f"{KNOWN} | stop"]
_NO_MEDIA = Hole(
    BACKENDS, "a media part of a message is not supported by this host; text is", "no backend here sees or hears"
)
_CALL = '{"name": "weather", "arguments": {"city": "Rome"}}'


TURNS = (
    Case(
        "turn.say",
        """
        ask()
        ends(ask(WHICH))
        """,
        [f"{THEN_ECHOED} | stop"],
        [f"{THEN_KNOWN} | stop"],
    ),
    Case(
        "turn.messages",
        f"""
        told = [message("user", ITALY.value), message("assistant", {KNOWN!r}), message("user", WHICH.value)]
        ends(ask(types.Turn_Messages(told)))
        talk.rewind(0)
        talk.append([message("user", ITALY.value)])
        ends(ask(types.Turn_Messages([])))
        """,
        [f"{ASKED}|{KNOWN}|{THEN_ASKED} | stop", *_STOPS],
        [f"{THEN_KNOWN} | stop", *_KNOWS],
    ),
    Case(
        "turn.resume",
        """
        ends(ask(types.Turn_Resume([message("user", ITALY.value), message("assistant", "The capital of")])))
        say(parts(talk.history()[1]))
        talk.rewind(0)
        ask(max_output_tokens=3)
        ends(ask(types.Turn_Resume([])))
        """,
        [
            f"{ASKED}|The capital of | stop",
            f"{[('text', f'The capital of{ASKED}|The capital of')]}",
            f"{ASKED}|Wha | stop",
        ],
        [" Italy is Rome. | stop", f"{[('text', KNOWN)]}", " Italy is Rome. | stop"],
    ),
    Case(
        "turn.raw",
        """
        ends(ask(types.Turn_Raw(f"<|user|>{ITALY.value}<|end|><|assistant|>")))
        say(talk.mark())
        """,
        [*_STOPS, "0"],
        [*_KNOWS, "0"],
    ),
    Case(
        "turn.tokens",
        """
        ends(ask(types.Turn_Tokens(tokenizer.encode(loaded, f"<|user|>{ITALY.value}<|end|><|assistant|>", True))))
        say(talk.mark())
        """,
        [*_STOPS, "0"],
        [*_KNOWS, "0"],
    ),
    Case(
        "part.text",
        """
        halves = [types.Part_Text(ITALY.value[:9]), types.Part_Text(ITALY.value[9:])]
        ends(ask(types.Turn_Messages([types.Message(types.Role.USER, halves)])))
        """,
        _STOPS,
        _KNOWS,
    ),
    Case(
        "part.reasoning",
        """
        thought = types.Message(types.Role.ASSISTANT, [types.Part_Reasoning("Hm. "), types.Part_Text("Yes.")])
        talk.append([message("user", "No?"), thought])
        say(talk.history()[1] == thought)
        say(tokenizer.render(loaded, talk.history(), []))
        """,
        ["True", "No?|Hm. Yes."],
        ["True", "<|user|>No?<|end|><|assistant|>Hm. Yes.<|end|>"],
    ),
    Case(
        "part.media",
        """
        picture = types.Part_Media(types.Blob("image/png", b"0"))
        ask(types.Turn_Messages([types.Message(types.Role.USER, [picture])]))
        """,
        [],
        hole=_NO_MEDIA,
    ),
    Case(
        "part.call",
        """
        call = types.Part_Call(types.ToolCall("1", "weather", '{"city": "Rome"}'))
        talk.append([message("user", "Sun?"), types.Message(types.Role.ASSISTANT, [call])])
        say(talk.history()[1].parts == [call])
        say(tokenizer.render(loaded, talk.history(), []))
        """,
        ["True", "Sun?|<tool_call>", _CALL, "</tool_call>"],
        ["True", "<|user|>Sun?<|end|><|assistant|><tool_call>", _CALL, "</tool_call><|end|>"],
    ),
    Case(
        "part.outcome",
        """
        call = types.Part_Call(types.ToolCall("1", "weather", '{"city": "Rome"}'))
        talk.append([message("user", "Sun?"), types.Message(types.Role.ASSISTANT, [call])])
        outcome = types.Part_Outcome(types.ToolResult("1", ITALY.value, False))
        ends(ask(types.Turn_Messages([types.Message(types.Role.TOOL, [outcome])])))
        say(talk.history()[2].parts == [outcome])
        """,
        ["Sun?|<tool_call>", _CALL, f"</tool_call>|{ASKED} | stop", "True"],
        [*_KNOWS, "True"],
    ),
)
