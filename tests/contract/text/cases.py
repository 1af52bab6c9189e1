"""What a promise of ``wit-llm:nn`` is: its name, a guest that tries it, and what that guest has to say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

BACKENDS = ("echo", "echo-worker", "openvino", "pytorch")
ECHOES = BACKENDS[:2]

# What `tiny` is asked, and the lines that it knows; `echo` repeats all that was said.
ASKED, KNOWN = "What is the capital of Italy?", "The capital of Italy is Rome."
THEN_ASKED, THEN_KNOWN = "And which country was that?", "That was Italy."
THEN_ECHOED = f"{ASKED}|{ASKED}|{THEN_ASKED}"

# Ahead of each guest.
PRELUDE = (
    f"""
name, embedder = sys.argv[1:3]
loaded = graph.load_by_name(name)
talk = session(loaded)
ITALY, WHICH = types.Turn_Say({ASKED!r}), types.Turn_Say({THEN_ASKED!r})
STORY, DICE = types.Turn_Say("Write a long story."), types.Turn_Say("Roll five dice.")
"""
    """
def lent(name, key, **schema):
    schema = {"type": "object", "properties": {key: schema}, "required": [key], "additionalProperties": False}
    return types.Tool(name, "", json.dumps(schema))

WEATHER, SCALE = lent("weather", "city", enum=["Rome", "Oslo"]), lent("scale", "size", enum=[1, 2])

def ask(turn=ITALY, **fields):
    return talk.ask(turn, greedy(**fields))

def ends(reply):
    say(f"{reply.text} | {kebab(reply.summary.reason)}")

def drain(reply):
    found, finished = [], False
    while not finished:
        batch = reply.next()
        found, finished = found + batch.events, batch.finished
    return found

def events(case, turn=ITALY, **fields):
    return [event.value for event in drain(talk.start(turn, greedy(**fields))) if isinstance(event, case)]

def sampled(turn, sampling, seed, **fields):
    return session(loaded).ask(turn, options(sampling=sampling, seed=seed, **fields)).text

def rolls(sampling, seeds=range(5)):
    return [sampled(DICE, sampling, seed) for seed in seeds]

def different(text):
    return len(set(text.split()[1:]))

def parts(message):
    return [(kebab(part), part.value) for part in message.parts]
"""
)


class Hole(NamedTuple):
    """
    Backends that do not do what the others do.

    Args:
        backends: Which.
        told: The text of their ``unsupported``, with ``{name}`` for the graph's.
        why: That they truly cannot.
    """

    backends: tuple[str, ...]
    told: str
    why: str


NO_HOLE = Hole((), "", "")


@dataclass(frozen=True, slots=True)
class Case:
    """
    One promise.

    Args:
        name: What of the WIT, as ``owner.member``; in brackets, what of that.
        source: What the guest does, with what ``PRELUDE`` has.
        echo: The lines that it says where the model is ``echo``.
        tiny: The same of ``tiny``; none where they are the same.
        hole: Who does not keep it.
        untold: Backends whose engine does not tell what is asked for, so that the WIT's ``none`` comes, as on ``echo``.
    """

    name: str
    source: str
    echo: list[str]
    tiny: list[str] | None = None
    hole: Hole = NO_HOLE
    untold: tuple[str, ...] = ()

    def lines(self, backend: str) -> list[str]:
        """What the guest has to say."""
        return self.echo if backend in (*ECHOES, *self.untold) or self.tiny is None else self.tiny
