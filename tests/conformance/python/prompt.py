"""
J: text on a graph of wasi:nn. It imports wit-llm:nn beside wasi:nn, hence a component of its own.

The graphs are `tiny`, which can be prompted and knows by heart what it is asked here, and `echo-u8`, which cannot.
"""

# mypy: ignore-errors
# ruff: noqa: ANN001, ANN002, ANN003, ANN201, F401, FBT003 -- the bindings have no types; `Run` is looked for here

from __future__ import annotations

import array
import struct

from componentize_py_types import Err
from suite import Failed, Run, case, computed, load
from wit_world.imports import tokenizer, types
from wit_world.imports.prompt import OverflowPolicy, Session, Setup
from wit_world.imports.tensor import Tensor, TensorType
from wit_world.imports.types import Turn_Messages, Turn_Raw, Turn_Say, Turn_Tokens

CAPITAL = "What is the capital of Japan?"
HAND_MADE = 8
PENALTIES = [step / 20 for step in range(2, 21)]
CLOSE = 0.03  # of a logit: what two ways of computing it may differ by, of which one may be in bf16

# ---------------------------------------------------------------- what the cases are made of


def options(sampling, **fields):
    """Options with these fields, every other one empty."""
    empty = {
        "max_output_tokens": None,
        "sampling": sampling,
        "seed": None,
        "stop": [],
        "constraint": None,
        "tools": [],
        "tool_choice": types.ToolChoice_Auto(),
        "logprobs": None,
        "deadline_ms": None,
        "ignore_eos": False,
        "extra": [],
    }
    return types.Options(**(empty | fields))


def greedy(**fields):
    """Options that take the best token."""
    return options(types.Sampling_Preset(types.Preset.DETERMINISTIC), **fields)


def session(of):
    """A session with nothing before its first turn."""
    return Session.open(of, Setup([], None, OverflowPolicy.FAIL))


def is_text(got, wanted):
    """Whether a reply is this text."""
    if got != wanted:
        raise Failed(f"{got!r}, wanted {wanted!r}")


def is_fresh(talk):
    """Whether a session answers as a new one does."""
    is_text(talk.ask(Turn_Say(CAPITAL), greedy()).text, "The capital of Japan is Tokyo.")


def error_of(kind, call, *arguments):
    """The value of an error, which must be of this kind."""
    try:
        call(*arguments)
    except Err as raised:
        if isinstance(raised.value, kind):
            return raised.value.value
        raise
    raise Failed("no error")


def render(of, text):
    """What the model sees of one message, control tokens spelled out."""
    return tokenizer.render(of, [types.Message(types.Role.USER, [types.Part_Text(text)])], [])


# ---------------------------------------------------------------- cases


@case("J.not-promptable")
def tensors_only():
    """A session on a graph that takes tensors only is not-promptable."""
    with load("echo-u8") as of:
        return error_of(types.Error_NotPromptable, session, of)


@case("J.empty-prompt")
def empty_prompt():
    """An empty prompt is answered or invalid, and nothing breaks."""
    replies = 0
    with load("tiny") as of:
        for turn in (Turn_Say(""), Turn_Raw(""), Turn_Tokens([]), Turn_Messages([])):
            with session(of) as talk:
                try:
                    talk.ask(turn, greedy())
                    replies += 1
                except Err as raised:
                    if not isinstance(raised.value, types.Error_Invalid):
                        raise
        with session(of) as talk:
            is_fresh(talk)
    return f"{replies} of 4 are answered, the others invalid"


@case("J.control-text")
def control_text():
    """Control tokens that a user writes out stay text."""
    with load("tiny") as of, session(of) as talk:
        text = render(of, "a")
        control, plain = (len(tokenizer.encode(of, text, special)) for special in (True, False))
        one = len(tokenizer.encode(of, "a", False))
        base, whole = (talk.measure(Turn_Say(words), None) for words in ("a", text))
    if plain <= control:
        raise Failed("the template has no control tokens to write out")
    if whole != base - one + plain:
        raise Failed(f"{whole} tokens, wanted {base - one + plain}")
    return f"{plain} plain tokens, which are {control} as control tokens"


@case("J.overflow")
def too_long():
    """A prompt longer than the window is overflow with its numbers, and nothing is cut."""
    with load("tiny") as of, session(of) as talk:
        said = error_of(types.Error_Overflow, talk.ask, Turn_Say("seven " * 10_000), greedy())
        is_fresh(talk)
    if said.requested <= said.available:
        raise Failed(f"numbers that fit: {said}")
    return f"{said.requested} tokens; the window of {said.window} leaves {said.available}"


@case("J.prompt-bytes")
def too_many_bytes():
    """A prompt of 5 MB is overflow or quota, and the session works on."""
    with load("tiny") as of, session(of) as talk:
        said = error_of((types.Error_Overflow, types.Error_Quota), talk.ask, Turn_Say("a" * (5 << 20)), greedy())
        is_fresh(talk)
    return str(said)


@case("J.sessions")
def sessions_are_limited():
    """Too many sessions are quota, and all is well once they are dropped."""
    hoard = []
    with load("tiny") as of:
        try:
            while len(hoard) < 100:
                hoard.append(session(of))
            told = "no limit up to 100"
        except Err as raised:
            if not (
                isinstance(raised.value, types.Error_Quota) and raised.value.value.kind == types.QuotaKind.SESSIONS
            ):
                raise
            told = f"quota after {len(hoard)}"
        for one in hoard:
            one.__exit__(None, None, None)
        with session(of) as talk:
            is_fresh(talk)
    return told


@case("J.max-tokens")
def max_tokens():
    """max-output-tokens ends a reply as length."""
    with load("tiny") as of, session(of) as talk:
        reply = talk.ask(Turn_Say("Write a long story."), greedy(max_output_tokens=3))
    if (reply.summary.reason, reply.summary.usage.generated_tokens) != (types.FinishReason.LENGTH, 3):
        raise Failed(f"{reply.summary}")
    return repr(reply.text)


@case("J.stop")
def stop_string():
    """A stop string ends a reply as stop-string, and is not part of it."""
    with load("tiny") as of, session(of) as talk:
        reply = talk.ask(Turn_Say(CAPITAL), greedy(stop=["is "]))
    is_text(reply.text, "The capital of Japan ")
    if (reply.summary.reason, reply.summary.matched_stop) != (types.FinishReason.STOP_STRING, "is "):
        raise Failed(f"{reply.summary}")
    return repr(reply.text)


@case("J.greedy")
def greedy_repeats():
    """Greedy replies repeat."""
    with load("tiny") as of:
        for _ in range(3):
            with session(of) as talk:
                is_fresh(talk)
    return "three times the same"


@case("J.characters")
def whole_characters():
    """A character that is split across tokens comes in one piece."""
    pieces, finished = [], False
    with load("tiny") as of, session(of) as talk, talk.start(Turn_Say("Say hello in Japanese."), greedy()) as reply:
        while not finished:
            fragment = reply.next_text()  # what is no UTF-8 would have trapped
            pieces.append(fragment.text)
            finished = fragment.finished
    is_text("".join(pieces), "こんにちは!")
    return f"5 characters of several bytes in {len(pieces)} fragments"


@case("J.history")
def history():
    """The second turn knows the first."""
    with load("tiny") as of, session(of) as talk:
        first = talk.ask(Turn_Say("My name is Ann."), greedy())
        second = talk.ask(Turn_Say("What is my name?"), greedy())
    is_text(first.text, "Nice to meet you, Ann.")
    is_text(second.text, "Your name is Ann.")
    before, after = first.summary.usage, second.summary.usage
    if after.prompt_tokens <= before.prompt_tokens + before.generated_tokens:
        raise Failed(f"the second prompt has {after.prompt_tokens} tokens, the first {before.prompt_tokens}")
    return f"{before.prompt_tokens} tokens, then {after.prompt_tokens}"


@case("J.drop-frees")
def drop_frees():
    """A dropped reply frees its place and takes its turn back."""
    with load("tiny") as of, session(of) as kept:
        for _ in range(60):
            with session(of) as talk:
                with talk.start(Turn_Say("Write a long story."), greedy()):
                    pass
                if talk.mark():
                    raise Failed(f"{talk.mark()} messages after a dropped reply")
        is_fresh(kept)
    return "60 replies dropped at once"


# ---------------------------------------------------------------- the shared door


def row(values):
    """A tensor of one row of I64."""
    return Tensor([1, len(values)], TensorType.I64, struct.pack(f"{len(values)}q", *values))


def logits_after(on, ids):
    """What the model computes of these tokens, given as tensors, about the next one: [vocabulary]."""
    places = [("position_ids", row(range(len(ids))))]  # not every model wants them
    inputs = [("input_ids", ids), ("attention_mask", [1] * len(ids))]
    try:
        [(_, dimensions, _, data)] = computed(on, *((name, row(values)) for name, values in inputs), *places)
    except Err as raised:
        raised.value.__exit__(None, None, None)
        [(_, dimensions, _, data)] = computed(on, *((name, row(values)) for name, values in inputs))
    return array.array("f", data[-4 * dimensions[2] :])


def by_hand(of):
    """The tokens of a prompt, and those of its reply by hand-made tensors, each with the logits it is the best of."""
    ids = list(tokenizer.encode(of, render(of, CAPITAL), True))
    made = []
    with of.init_execution_context() as on:
        for _ in range(HAND_MADE):
            logits = logits_after(on, ids + [token for token, _ in made])
            made.append((max(range(len(logits)), key=logits.__getitem__), logits))
    return ids, made


@case("J.same-door")
def same_door():
    """Hand-made tensors, tokens and a prompt give the same tokens."""
    with load("tiny") as of:
        ids, made = by_hand(of)
        text = tokenizer.decode(of, [token for token, _ in made])
        for turn in (Turn_Say(CAPITAL), Turn_Tokens(ids)):
            with session(of) as talk:
                is_text(talk.ask(turn, greedy(max_output_tokens=HAND_MADE)).text, text)
    return repr(text)


def penalised(logits, context, penalty):
    """The logits once every token of the context is made less likely."""
    fewer = array.array("f", logits)
    for token in set(context):
        fewer[token] = logits[token] / penalty if logits[token] > 0 else logits[token] * penalty
    return fewer


@case("J.same-logits")
def same_logits():
    """Under each repetition penalty a prompt chooses what hand-made logits choose: equal, up to their scale."""
    choices, turned = 0, 0
    with load("tiny") as of, session(of) as talk:
        ids, made = by_hand(of)
        for best, logits in made:
            for penalty in PENALTIES:
                second, first = sorted(penalised(logits, ids, penalty))[-2:]
                if first - second < CLOSE * abs(first):
                    continue
                token = penalised(logits, ids, penalty).index(first)
                sampler = types.Sampler(0.0, None, None, None, penalty, None, None)
                one = options(types.Sampling_Exact(sampler), max_output_tokens=1, ignore_eos=True)
                is_text(talk.ask(Turn_Tokens(ids), one).text, tokenizer.decode(of, [token]))
                choices, turned = choices + 1, turned + (token != best)
            ids.append(best)
    if not turned:
        raise Failed(f"no penalty turns one of {choices} choices")
    return f"{choices} choices, {turned} of them turned by a penalty"


@case("J.over-tensors")
def over_tensors():
    """An input `prompt`, U8, gives an output `response`, U8: the words of a session's first turn."""
    said = CAPITAL.encode()
    with load("tiny") as of, session(of) as talk, of.init_execution_context() as on:
        [(name, dimensions, ty, data)] = computed(on, ("prompt", Tensor([len(said)], TensorType.U8, said)))
        wanted = talk.ask(Turn_Say(CAPITAL), None).text
    is_text(data.decode(), wanted)
    if (name, dimensions, ty) != ("response", [len(data)], "U8"):
        raise Failed(f"{name} {ty}{dimensions}")
    return repr(wanted)
