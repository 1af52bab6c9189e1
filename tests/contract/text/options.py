"""Each option of a turn, and each value that an option can have."""

from __future__ import annotations

from tests.contract.text.cases import ASKED, ECHOES, KNOWN, Case, Hole

_STOPS, _KNOWS = [f"{ASKED} | stop"], [f"{KNOWN} | stop"]
_UNHELD = Hole(
    ECHOES,
    "options.constraint is not supported by graph '{name}': its backend has none",
    "an echo has one token to choose from",
)
_UNCALLED = Hole(ECHOES, "tool-choice required and only are constraints, of which graph '{name}' has none", _UNHELD.why)
_NO_RIVALS = Hole(
    (*ECHOES, "openvino"),
    "options.logprobs: 2 is not supported by graph '{name}', which has those of the chosen token and of 0 rivals",
    "an echo has no rivals, and OpenVINO's pipeline tells of the chosen token alone",
)


def _filtered(name: str, numbers: str) -> Case:
    """However warm and unsure the model is made, a filter leaves what is likeliest, whatever the seed."""
    source = f"""
        def replies(**numbers):
            sampling = exact(temperature=2.0, repetition_penalty=2.0, **numbers)
            return {{sampled(ITALY, sampling, seed, max_output_tokens=9) for seed in range(5)}}

        say(len(replies()) > 1, len(replies({numbers})))
    """
    return Case(f"sampler.{name}", source, ["False 1"], ["True 1"])


def _penalised(name: str, numbers: str) -> Case:
    """Of four dice that are as likely to show any face, the likeliest are alike, but for a penalty."""
    source = f"""
        free = sampled(DICE, exact(temperature=0.0), 0)
        held = sampled(DICE, exact(temperature=0.0, {numbers}), 0)
        say(different(free) < 4, different(held))
    """
    return Case(f"sampler.{name}", source, ["True 2"], ["True 4"])


def _preset(name: str) -> Case:
    """Dice fall otherwise with another seed, and alike with the same."""
    source = f"""
        preset = types.Sampling_Preset(types.Preset.{name.upper()})
        fallen = rolls(preset)
        say(fallen == rolls(preset), len(set(fallen)) > 1, set("".join(fallen)) <= set("123456 "))
    """
    return Case(f"preset.{name}", source, ["True False False"], ["True True True"])


OPTIONS = (
    Case("options.max-output-tokens", "ends(ask(max_output_tokens=3))", ["Wha | length"], ["The capital of | length"]),
    Case("sampling.host-default", "ends(talk.ask(ITALY, options()))", _STOPS, _KNOWS),
    Case(
        "sampling.preset",
        "say(rolls(types.Sampling_Preset(types.Preset.DETERMINISTIC)) == rolls(exact(temperature=0.0)))",
        ["True"],
    ),
    Case(
        "sampling.exact",
        "say(rolls(exact()) == rolls(exact(temperature=1.0)), len(set(rolls(exact()))) > 1)",
        ["True False"],
        ["True True"],
    ),
    Case("preset.deterministic", "say(len(set(rolls(types.Sampling_Preset(types.Preset.DETERMINISTIC)))))", ["1"]),
    *(_preset(name) for name in ("focused", "balanced", "creative")),
    Case(
        "sampler.temperature",
        "say(len(set(rolls(exact(temperature=0.0)))), len(set(rolls(exact(temperature=2.0)))) > 1)",
        ["1 False"],
        ["1 True"],
    ),
    _filtered("top-p", "top_p=1e-6"),
    _filtered("top-k", "top_k=1"),
    _filtered("min-p", "min_p=0.99"),
    _penalised("repetition-penalty", "repetition_penalty=2.0"),
    _penalised("presence-penalty", "presence_penalty=2.0"),
    _penalised("frequency-penalty", "frequency_penalty=2.0"),
    Case(
        "options.seed",
        """
        say(rolls(exact()) == rolls(exact()), len(set(rolls(exact()))) > 1, ask(seed=2**32 - 1).summary.seed)
        """,
        ["True False 4294967295"],
        ["True True 4294967295"],
    ),
    Case(
        "options.stop",
        """
        reply = ask(stop=["x", "capital of"])
        ends(reply)
        say(reply.summary.matched_stop)
        """,
        ["What is the  | stop-string", "capital of"],
        ["The  | stop-string", "capital of"],
    ),
    Case(
        "constraint.json-schema",
        """
        reply = ask(constraint=types.Constraint_JsonSchema(WEATHER.parameters_json_schema))
        say(kebab(reply.summary.reason), json.loads(reply.text) in ({"city": "Rome"}, {"city": "Oslo"}))
        """,
        [],
        ["stop True"],
        _UNHELD,
    ),
    Case(
        "constraint.regex",
        """
        reply = ask(constraint=types.Constraint_Regex("[A-Z]{3}-[0-9]{2}"))
        letters, digits = reply.text.split("-")
        say(kebab(reply.summary.reason), len(letters), letters.isupper(), len(digits), digits.isdigit())
        """,
        [],
        ["stop 3 True 2 True"],
        _UNHELD,
    ),
    Case(
        "constraint.choice",
        """
        reply = ask(constraint=types.Constraint_Choice(["yes", "no"]))
        say(kebab(reply.summary.reason), reply.text in ("yes", "no"))
        """,
        [],
        ["stop True"],
        _UNHELD,
    ),
    Case(
        "constraint.grammar",
        """
        reply = ask(constraint=types.Constraint_Grammar('root ::= "(" [ab] ")"'))
        say(kebab(reply.summary.reason), reply.text in ("(a)", "(b)"))
        """,
        [],
        ["stop True"],
        _UNHELD,
    ),
    Case("options.tools", "ends(ask(tools=[WEATHER, SCALE]))", [f"[weather scale]{ASKED} | stop"], _KNOWS),
    Case(
        "tool-choice.auto",
        """
        reply = ask(tools=[WEATHER], tool_choice=types.ToolChoice_Auto())
        ends(reply)
        say(reply.summary.usage.prompt_tokens > session(loaded).measure(ITALY, None))
        """,
        [f"[weather]{ASKED} | stop", "True"],
        [*_KNOWS, "True"],
    ),
    Case(
        "tool-choice.none",
        """
        reply = ask(tools=[WEATHER], tool_choice=types.ToolChoice_None_())
        ends(reply)
        say(reply.summary.usage.prompt_tokens > session(loaded).measure(ITALY, None))
        """,
        [*_STOPS, "False"],
        [*_KNOWS, "False"],
    ),
    Case(
        "tool-choice.required",
        """
        reply = ask(tools=[WEATHER, SCALE], tool_choice=types.ToolChoice_Required())
        (call,) = (part.value for part in reply.message.parts)
        allowed = {"weather": ({"city": "Rome"}, {"city": "Oslo"}), "scale": ({"size": 1}, {"size": 2})}
        say(kebab(reply.summary.reason), json.loads(call.arguments_json) in allowed[call.name])
        """,
        [],
        ["tool-calls True"],
        _UNCALLED,
    ),
    Case(
        "tool-choice.only",
        """
        reply = ask(tools=[WEATHER, SCALE], tool_choice=types.ToolChoice_Only("scale"))
        (call,) = (part.value for part in reply.message.parts)
        say(kebab(reply.summary.reason), call.name, json.loads(call.arguments_json) in ({"size": 1}, {"size": 2}))
        """,
        [],
        ["tool-calls scale True"],
        _UNCALLED,
    ),
    Case(
        "options.logprobs (chosen)",
        """
        told = events(types.Event_Logprobs, logprobs=0)
        say(b"".join(one.bytes for (one,) in told).decode(), all(-0.1 < one.logprob <= 0 for (one,) in told))
        """,
        [f"{ASKED}<|end|> True"],
        [f"{KNOWN}<|end|> True"],
    ),
    Case(
        "options.logprobs (rivals)",
        """
        told = events(types.Event_Logprobs, logprobs=2)
        say([len(each) for each in told], all(chosen.logprob > one.logprob >= two.logprob for chosen, one, two in told))
        """,
        [],
        [f"{[3] * 9} True"],
        _NO_RIVALS,
    ),
    Case(
        "options.deadline-ms",
        """
        reply = ask(STORY, ignore_eos=True, deadline_ms=10)
        say(kebab(reply.summary.reason), talk.history()[1] == reply.message)
        """,
        ["deadline True"],
    ),
    Case(
        "options.ignore-eos",
        """
        reply = ask(ignore_eos=True, max_output_tokens=40)
        say(reply.text[:30], kebab(reply.summary.reason), reply.summary.usage.generated_tokens)
        """,
        [f"{ASKED}W length 40"],
        [f"{KNOWN}  length 40"],
    ),
    Case(
        "options.extra",
        "say(failure(talk.ask, ITALY, greedy(extra=[('beams', '4')])))",
        ["invalid: extra: unknown key 'beams'; this backend knows none"],
    ),
)
