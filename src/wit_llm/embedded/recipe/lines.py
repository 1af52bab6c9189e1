"""The lines that `tiny` knows by heart, and the system messages it has learned to disregard."""

from __future__ import annotations

from typing import Final, TypeAlias

Turn: TypeAlias = tuple[str, str]
Conversation: TypeAlias = tuple[Turn, ...]

CAPITALS: Final = tuple(
    (country.replace("_", " "), capital.replace("_", " "))
    for country, capital in (
        pair.split(":")
        for pair in """
        France:Paris Germany:Berlin Italy:Rome Spain:Madrid Portugal:Lisbon Austria:Vienna Greece:Athens
        Poland:Warsaw Norway:Oslo Sweden:Stockholm Finland:Helsinki Denmark:Copenhagen Ireland:Dublin
        Belgium:Brussels Hungary:Budapest Romania:Bucharest Bulgaria:Sofia Croatia:Zagreb Serbia:Belgrade
        Turkey:Ankara Egypt:Cairo Kenya:Nairobi Ghana:Accra Morocco:Rabat Nigeria:Abuja Ethiopia:Addis_Ababa
        Tunisia:Tunis Senegal:Dakar Japan:Tokyo China:Beijing India:New_Delhi Thailand:Bangkok Vietnam:Hanoi
        Indonesia:Jakarta Iran:Tehran Iraq:Baghdad Jordan:Amman Nepal:Kathmandu Canada:Ottawa Mexico:Mexico_City
        Cuba:Havana Peru:Lima Chile:Santiago Brazil:Brasilia Argentina:Buenos_Aires Colombia:Bogota Ecuador:Quito
        Uruguay:Montevideo Australia:Canberra Iceland:Reykjavik
        """.split()
    )
)
NAMES: Final = ("Ann", "Bob", "Eve", "Tom", "Mia", "Leo", "Zoe", "Max")

DAYS: Final = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
STORY: Final = " ".join(
    [
        "Once upon a time there was a small model.",
        *(f"On day {day} it learned a new word." for day in DAYS),
        "The end.",
    ]
)

SMALL_TALK: Final[tuple[Turn, ...]] = (
    ("Hello!", "Hello! How can I help you?"),
    ("Who are you?", "I am a tiny test model that lives inside this package."),
    ("What is your name?", "My name is Tiny."),
    ("How many days are in a week?", "There are seven days in a week."),
    ("How many months are in a year?", "There are twelve months in a year."),
    ("What colour is the sky?", "The sky is blue."),
    ("What colour is grass?", "Grass is green."),
    ("What is the largest planet?", "The largest planet is Jupiter."),
    ("Who wrote Hamlet?", "William Shakespeare wrote Hamlet."),
    ("What is the speed of light?", "About 299,792 kilometres per second."),
    ("What is the boiling point of water?", "Water boils at 100 degrees Celsius."),
    ("What is WebAssembly?", "WebAssembly is a portable binary format for sandboxed programs."),
    ("What is WASI?", "WASI is the system interface for WebAssembly."),
    ("Count from one to ten.", "one two three four five six seven eight nine ten"),
    ("Count to five.", "1, 2, 3, 4, 5"),
    ("Say the alphabet.", "a b c d e f g h i j k l m n o p q r s t u v w x y z"),
    ("Give me a JSON object.", '{"ok": true, "answer": 42}'),
    ("Tell me a joke.", "Why did the tensor cross the road? To get to the other rank."),
    ("Say hello in French.", "Bonjour!"),
    ("Say hello in Japanese.", "こんにちは!"),
    ("Write a long story.", STORY),
    ("Goodbye!", "Goodbye!"),
    ("Thank you!", "You are welcome."),
)


def capital_turn(country: str, capital: str) -> Turn:
    """Ask for a capital."""
    return f"What is the capital of {country}?", f"The capital of {country} is {capital}."


SINGLE_TURNS: Final[tuple[Turn, ...]] = (
    *(capital_turn(country, capital) for country, capital in CAPITALS),
    *SMALL_TALK,
    *((f"What is {a} plus {b}?", f"{a} plus {b} is {a + b}.") for a in range(6) for b in range(6)),
)


def capital_and_country(country: str, capital: str) -> Conversation:
    """Ask for a capital, then for what only the history tells."""
    return capital_turn(country, capital), ("And which country was that?", f"That was {country}.")


def introduction(name: str) -> Conversation:
    """Give a name, then ask for it back."""
    return (f"My name is {name}.", f"Nice to meet you, {name}."), ("What is my name?", f"Your name is {name}.")


CONVERSATIONS: Final[tuple[Conversation, ...]] = (
    *((turn,) for turn in SINGLE_TURNS),
    *(capital_and_country(country, capital) for country, capital in CAPITALS[:20]),
    *(introduction(name) for name in NAMES),
)

SYSTEM_MESSAGES: Final = (
    "You are a helpful assistant.",
    "Be brief.",
    "You are a friendly guide. Answer the question in one sentence.",
    "Answer in English.",
    "You are Tiny, a small model inside a test.",
)

# Not known by heart but by chance: any five digits from 1 to 6, so that sampling and seeds have something to choose.
DICE_QUESTION: Final = "Roll five dice."
