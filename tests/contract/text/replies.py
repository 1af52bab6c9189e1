"""All that a reply can have: events, numbers, and ends."""

from __future__ import annotations

from tests.contract.text.cases import ASKED, BACKENDS, ECHOES, KNOWN, Case

_STOPS, _KNOWS = [f"{ASKED} | stop"], [f"{KNOWN} | stop"]


REPLIES = (
    Case("event.text", "say(''.join(events(types.Event_Text)))", [ASKED], [KNOWN]),
    Case(
        "event.reasoning",
        """
        begun = types.Message(types.Role.ASSISTANT, [types.Part_Reasoning("The capital of")])
        say("".join(events(types.Event_Reasoning, types.Turn_Resume([message("user", ITALY.value), begun]))))
        say(parts(talk.history()[1]))
        """,
        [f"{ASKED}|The capital of", f"{[('reasoning', f'The capital of{ASKED}|The capital of')]}"],
        [" Italy is Rome.", f"{[('reasoning', KNOWN)]}"],
    ),
    Case(
        "event.call",
        """
        choice = types.ToolChoice_Auto() if name.startswith("echo") else types.ToolChoice_Only("weather")
        asked = types.Turn_Say('<tool_call>{"name": "weather", "arguments": {"city": "Rome"}}</tool_call>')
        (call,) = events(types.Event_Call, asked, tools=[WEATHER], tool_choice=choice)
        say(call.name, json.loads(call.arguments_json)["city"] in ("Rome", "Oslo"), bool(call.id))
        say(parts(talk.history()[1])[-1] == ("call", call))
        """,
        ["weather True True", "True"],
    ),
    Case(
        "event.logprobs",
        "say(len(events(types.Event_Logprobs, logprobs=0)), events(types.Event_Logprobs))",
        ["30 []"],
        ["9 []"],
    ),
    Case("event.prefill", "say(events(types.Event_Prefill))", ["[]"], untold=BACKENDS),
    Case("usage.prompt-tokens", "say(ask().summary.usage.prompt_tokens)", [f"{len(ASKED)}"], ["10"]),
    Case(
        "usage.cached-tokens",
        """
        ask()
        say(ask(WHICH).summary.usage.cached_tokens)
        """,
        ["None"],
        ["18"],
        untold=(*ECHOES, "openvino"),
    ),
    Case("usage.generated-tokens", "say(ask().summary.usage.generated_tokens)", [f"{len(ASKED) + 1}"], ["9"]),
    Case(
        "usage.reasoning-tokens",
        """
        begun = types.Message(types.Role.ASSISTANT, [types.Part_Reasoning("The capital of")])
        usage = ask(types.Turn_Resume([message("user", ITALY.value), begun])).summary.usage
        say(usage.reasoning_tokens, usage.generated_tokens)
        """,
        ["44 45"],
        ["5 6"],
    ),
    Case("finish-reason.stop", "ends(ask())", _STOPS, _KNOWS),
    Case(
        "finish-reason.stop-string",
        "ends(ask(stop=['capital']))",
        ["What is the  | stop-string"],
        ["The  | stop-string"],
    ),
    Case("finish-reason.length", "ends(ask(max_output_tokens=3))", ["Wha | length"], ["The capital of | length"]),
    Case(
        "finish-reason.context-full",
        """
        window = prompt.describe(loaded).context_window
        reply = ask(types.Turn_Say("0" * (window - 20)), ignore_eos=True)
        usage = reply.summary.usage
        say(kebab(reply.summary.reason), usage.prompt_tokens + usage.generated_tokens == window)
        """,
        ["context-full True"],
    ),
    Case(
        "finish-reason.tool-calls",
        """
        choice = types.ToolChoice_Auto() if name.startswith("echo") else types.ToolChoice_Required()
        asked = types.Turn_Say('<tool_call>{"name": "weather", "arguments": {"city": "Rome"}}</tool_call>')
        say(kebab(ask(asked, tools=[WEATHER], tool_choice=choice).summary.reason))
        """,
        ["tool-calls"],
    ),
    Case(
        "finish-reason.cancelled",
        """
        with talk.start(STORY, greedy(ignore_eos=True)) as reply:
            reply.stop()
            say(kebab(read(reply)[1].reason), talk.mark())
        """,
        ["cancelled 2"],
    ),
    Case(
        "finish-reason.deadline", "say(kebab(ask(STORY, ignore_eos=True, deadline_ms=1).summary.reason))", ["deadline"]
    ),
)
