"""Text to token ids and back."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer as Library

from tests.text import echo_folder, vocabularies
from wit_llm.errors import InvalidArgument, InvalidEncoding
from wit_llm.tokenizer import AddedToken, Tokenizer

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

ECHO = echo_folder.files()["tokenizer.json"]
DEFINITIONS = {
    "echo": ECHO,
    "byte-level": vocabularies.byte_level(),
    "sentencepiece": vocabularies.sentencepiece(),
    "unigram": vocabularies.unigram(),
    "unigram-with-bytes": vocabularies.unigram_with_bytes(),
    "wordpiece": vocabularies.wordpiece(),
}


@pytest.fixture(params=list(DEFINITIONS))
def kind(request: pytest.FixtureRequest) -> str:
    """Each kind of vocabulary in turn."""
    return str(request.param)


# ---------------------------------------------------------------- text to token ids


@pytest.mark.parametrize(
    ("text", "special", "expected"),
    [
        pytest.param("hi", True, [104, 105], id="bytes-are-their-ids"),
        pytest.param("", True, [], id="nothing-is-nothing"),
        pytest.param("é", True, [0xC3, 0xA9], id="two-bytes"),
        pytest.param("a\0b", True, [97, 0, 98], id="nul"),
        pytest.param("<|end|>", True, [256], id="control-token"),
        pytest.param("<|end|>", False, list(b"<|end|>"), id="control-token-as-text"),
        pytest.param("x<|end|>y<|user|>", False, list(b"x<|end|>y<|user|>"), id="several-as-text"),
        pytest.param("<|END|>", True, list(b"<|END|>"), id="another-text"),
    ],
)
def test_encodes(text: str, special: bool, expected: list[int]) -> None:
    """Token ids are those of the bytes, but for control tokens where they are honoured."""
    assert Tokenizer(ECHO).encode(text, special=special) == expected


def test_neither_bos_nor_eos_is_added_unasked(kind: str) -> None:
    """What a tokenizer puts around a text is left out, unless asked for, and then only what stands before it."""
    tokenizer, library = Tokenizer(DEFINITIONS[kind]), Library.from_str(DEFINITIONS[kind])
    bare = library.encode("Hello, world!", add_special_tokens=False).ids
    opening = [] if kind == "echo" else [library.token_to_id("<s>")]
    assert tokenizer.encode("Hello, world!", special=True) == bare
    assert tokenizer.encode("Hello, world!", special=True, bos=True) == [*opening, *bare]


def test_settings_of_a_training_run_cut_nothing_off() -> None:
    """A file that says to cut texts at two tokens, or to fill them up, changes nothing."""
    library = Library.from_str(ECHO)
    library.enable_truncation(2)
    library.enable_padding(length=8)
    assert Tokenizer(library.to_str()).encode("hello", special=True) == list(b"hello")


@pytest.mark.parametrize("half", ["\ud83d", "ok \udca9 ok"])
def test_half_a_surrogate_pair_is_refused(half: str) -> None:
    """A string that is not Unicode gets a typed error, not one of the library."""
    with pytest.raises(InvalidArgument, match=r"half a surrogate pair at character \d"):
        Tokenizer(ECHO).encode(half, special=True)


def test_texts_inside_a_longer_one_get_no_space_before_them(kind: str) -> None:
    """Pieces of a text that are encoded apart have together the text that was cut."""
    tokenizer = Tokenizer(DEFINITIONS[kind])
    pieces = ["hello", "the quick", " brown fox", "\nend", "<|im_end|>", "turn"]
    apart = tokenizer.encode_inside(pieces[1:], special=False)
    token_ids = [*tokenizer.encode(pieces[0], special=True), *(token_id for piece in apart for token_id in piece)]
    if kind == "unigram":  # which has no token for line breaks and brackets
        assert tokenizer.decode(token_ids).startswith("hellothe quick brown fox")
    elif kind == "wordpiece":  # which makes up the spaces
        assert tokenizer.decode(token_ids).startswith("hello the quick brown fox end")
    else:
        assert tokenizer.decode(token_ids) == "".join(pieces)


def test_knows_its_added_tokens() -> None:
    """Control tokens are those that the file calls special; others are added, too."""
    tokenizer = Tokenizer(DEFINITIONS["byte-level"])
    names = [*vocabularies.SPECIAL, *vocabularies.NOT_CALLED_SPECIAL]
    first = tokenizer.vocab_size - len(names)
    assert tokenizer.added_tokens == tuple(
        AddedToken(text, first + place, control=text in vocabularies.SPECIAL) for place, text in enumerate(names)
    )
    assert tokenizer.control_tokens == {text: first + place for place, text in enumerate(vocabularies.SPECIAL)}


def test_encoding_lets_other_threads_run() -> None:
    """A megabyte being encoded does not hold up a thread that has a little to do now and then."""
    tokenizer = Tokenizer(DEFINITIONS["byte-level"])
    text = "The quick brown fox jumps over the lazy dog. " * 24_000
    longest, done = 0.0, threading.Event()

    def watch() -> None:
        nonlocal longest
        while not done.is_set():
            before = time.perf_counter()
            time.sleep(0.001)
            longest = max(longest, time.perf_counter() - before)

    watcher = threading.Thread(target=watch)
    watcher.start()
    before = time.perf_counter()
    tokenizer.encode(text, special=True)
    took = time.perf_counter() - before
    done.set()
    watcher.join()
    assert longest < max(0.5 * took, 0.1)


# ---------------------------------------------------------------- token ids to text


@pytest.mark.parametrize(
    ("token_ids", "control", "expected"),
    [
        pytest.param([104, 105], True, "hi", id="text"),
        pytest.param([104, 256, 105], True, "h<|end|>i", id="control-token-shown"),
        pytest.param([104, 256, 105], False, "hi", id="control-token-hidden"),
        pytest.param([0xF0, 0x9F, 0x98], True, "\ufffd", id="three-bytes-of-four"),
        pytest.param([0xFF, 0xFE], True, "\ufffd\ufffd", id="no-bytes-of-any-character"),
        pytest.param([0xED, 0xA0, 0x80], True, "\ufffd" * 3, id="half-a-surrogate-pair"),
        pytest.param([0xF0, 0x9F, 256, 0x98, 0x80], False, "😀", id="hidden-token-inside-a-character"),
        pytest.param([], True, "", id="nothing"),
    ],
)
def test_decodes(token_ids: list[int], control: bool, expected: str) -> None:
    """Broken UTF-8 is U+FFFD; control tokens are shown where that is asked for."""
    assert Tokenizer(ECHO).decode(token_ids, control=control) == expected


@pytest.mark.parametrize("unknown", [262, 2**32 - 1, -1])
def test_unknown_token_id_is_refused(unknown: int) -> None:
    """An id that no token has is an error, where the library leaves it out in silence."""
    with pytest.raises(InvalidArgument, match=rf"there is no token {unknown}; token ids are 0 to 261"):
        Tokenizer(ECHO).decode([104, unknown])


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
@settings(max_examples=300, deadline=None)
def test_any_text_comes_back(text: str) -> None:
    """Bytes lose nothing: NUL, byte order marks, combining marks, unassigned characters."""
    tokenizer = Tokenizer(ECHO)
    assert tokenizer.decode(tokenizer.encode(text, special=True)) == text


# ---------------------------------------------------------------- one token at a time

# bytes that begin, continue and break characters; the rest comes from the whole vocabulary
_TRICKY = tuple(b"\xf0\x9f\x98\x80\xe3\x81\x82\xc3\xa9\xff\xed\xa0\x80A \xf4\x90\xc0")


def _sequences(tokenizer: Tokenizer, count: int, seed: int) -> list[list[int]]:
    """Token ids at random, half of them such as make and break characters."""
    rng = random.Random(seed)
    library = Library.from_str(tokenizer._engine.to_str())
    spelled = [library.token_to_id(text) for byte in _TRICKY for text in (f"<0x{byte:02X}>", chr(byte))]
    spelled += [library.token_to_id(character) for character in ("▁", "Ã", "©", "ð", "Ł", "ĺ", "Ģ", "Ġ")]
    tricky = [token_id for token_id in spelled if token_id is not None] or [0]
    return [
        [rng.choice(tricky) if rng.random() < 0.6 else rng.randrange(tokenizer.vocab_size) for _ in range(size)]
        for size in (rng.randrange(1, 14) for _ in range(count))
    ]


def _pieces(tokenizer: Tokenizer, token_ids: Sequence[int], shown: Collection[str] = ()) -> list[str]:
    decoder = tokenizer.decoder(shown)
    return [*(decoder.push(token_id) for token_id in token_ids), decoder.flush()]


def test_pieces_are_together_what_decoding_at_once_gives(kind: str) -> None:
    """Whatever tokens come, in whatever order, one at a time gives the text that all of them give."""
    tokenizer = Tokenizer(DEFINITIONS[kind])
    for token_ids in _sequences(tokenizer, 10_000, seed=7):
        assert "".join(_pieces(tokenizer, token_ids)) == tokenizer.decode(token_ids, control=False), token_ids


def test_control_tokens_are_shown_to_who_asks_for_them(kind: str) -> None:
    """All of them, as decoding at once shows them; one of them, and no other."""
    tokenizer = Tokenizer(DEFINITIONS[kind])
    control = tokenizer.control_tokens
    for token_ids in _sequences(tokenizer, 1000, seed=8):
        assert "".join(_pieces(tokenizer, token_ids, control)) == tokenizer.decode(token_ids), token_ids
    one, *others = [text for text in control if text != "<unk>"]
    token_ids = [control[others[0]], control[one], control[others[-1]]]
    assert "".join(_pieces(tokenizer, token_ids, (one,))) == one


def test_no_character_is_split(kind: str) -> None:
    """Of a text that is whole, no piece has a character that stands for a broken one."""
    tokenizer = Tokenizer(DEFINITIONS[kind])
    text = "naïve 👩‍👩‍👧 東京𠮷 \u0301 Привет"
    pieces = _pieces(tokenizer, tokenizer.encode(text, special=True))
    assert "".join(pieces) == tokenizer.decode(tokenizer.encode(text, special=True), control=False)
    if kind not in ("unigram", "wordpiece"):  # which have no tokens for what they do not know
        assert ("".join(pieces), "\ufffd" in "".join(pieces)) == (text, False)


def test_an_emoji_comes_with_its_last_byte() -> None:
    """Four tokens of a byte each give nothing, nothing, nothing, and the character."""
    assert _pieces(Tokenizer(ECHO), list("é🎉".encode())) == ["", "é", "", "", "", "🎉", ""]


def test_broken_bytes_are_shown_as_soon_as_they_are_broken() -> None:
    """A byte that cannot go on what came before ends the wait; what never became a character comes at the end."""
    assert _pieces(Tokenizer(ECHO), [0xF0, 0x9F, 0x41, 0xE3, 0x81]) == ["", "", "\ufffdA", "", "", "\ufffd"]


def test_a_token_costs_the_same_however_long_the_text_is(kind: str) -> None:
    """The last thousand of many tokens take no longer than the first, broken bytes and all."""
    tokenizer = Tokenizer(DEFINITIONS[kind])
    decoder = tokenizer.decoder()
    token_ids = [*range(min(tokenizer.vocab_size, 250))] * 4
    took = []
    for _ in range(12):
        before = time.perf_counter()
        for token_id in token_ids:
            decoder.push(token_id)
        took.append(time.perf_counter() - before)
    assert min(took[8:]) < 5 * min(took[1:4])


def test_bytes_of_tokens_in_a_row_are_the_text(kind: str) -> None:
    """A token's bytes are those inside a text, of which some tokenizers put a space before the first word."""
    tokenizer = Tokenizer(DEFINITIONS[kind])
    token_ids = tokenizer.encode("The fox says\n hello, 東京!  ", special=False)
    data = b"".join(map(tokenizer.decoder().bytes_of, token_ids))
    assert data.decode().removeprefix(" ") == tokenizer.decode(token_ids)


def test_control_tokens_are_their_names_and_unknown_ids_nothing_as_bytes(kind: str) -> None:
    """What is not shown in a reply has bytes all the same."""
    tokenizer = Tokenizer(DEFINITIONS[kind])
    bytes_of = tokenizer.decoder().bytes_of
    assert {text: bytes_of(token_id) for text, token_id in tokenizer.control_tokens.items()} == {
        text: text.encode() for text in tokenizer.control_tokens
    }
    assert bytes_of(tokenizer.vocab_size) == b""


def test_ids_beyond_the_vocabulary_are_nothing_in_a_reply(kind: str) -> None:
    """Models have more rows than their tokenizer has tokens; sampling one shows nothing and breaks nothing."""
    tokenizer = Tokenizer(DEFINITIONS[kind])
    token_ids = tokenizer.encode("hello", special=True)
    padded = [token_ids[0], tokenizer.vocab_size + 5, *token_ids[1:]]
    assert "".join(_pieces(tokenizer, padded)) == "hello"


# ---------------------------------------------------------------- files


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(b"{", "tokenizer.json is not a tokenizer: ", id="not-json"),
        pytest.param(b'{"version": "1.0"}', "tokenizer.json is not a tokenizer: ", id="not-a-tokenizer"),
        pytest.param(b"\xff\xfe", "tokenizer.json is not UTF-8: invalid start byte at byte 0", id="not-utf-8"),
    ],
)
def test_a_broken_file_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    """What cannot be read says which file it is, and not where it lies."""
    (tmp_path / "tokenizer.json").write_bytes(content)
    with pytest.raises(InvalidEncoding, match=f"^{message}") as caught:
        Tokenizer.load(tmp_path)
    assert str(tmp_path) not in str(caught.value)


def test_loads_a_folder(tmp_path: Path) -> None:
    """A file gives what its text gives."""
    (tmp_path / "tokenizer.json").write_text(ECHO, encoding="utf-8")
    assert Tokenizer.load(tmp_path).encode("é", special=True) == [0xC3, 0xA9]
    assert json.loads(ECHO)["added_tokens"][0]["content"] == "<|end|>"


def test_importing_the_module_loads_no_library(environment: dict[str, str]) -> None:
    """Nobody pays for ``tokenizers`` who has no text."""
    code = "import sys, wit_llm.tokenizer; print('tokenizers' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_a_held_reply_says_what_its_tokens_say_one_by_one(kind: str) -> None:
    """Whatever it begins with: a constraint is kept token by token, and the text has to be the same."""
    tokenizer = Tokenizer(DEFINITIONS[kind])
    spoken = tokenizer.spoken()
    assert [spoken[token_id] for token_id in tokenizer.control_tokens.values()] == [b""] * len(tokenizer.control_tokens)
    said = [token_id for token_id, data in enumerate(spoken) if data]
    draw = random.Random(0)
    for _ in range(300):
        token_ids = draw.choices(said, k=draw.randrange(1, 12))
        decoder = tokenizer.held_decoder()
        text = "".join(map(decoder.push, token_ids)) + decoder.flush()
        assert text == b"".join(spoken[token_id] for token_id in token_ids).decode(errors="ignore")
        # Behind another token, a whole text is what the tokenizer makes of it.
        decoder = tokenizer.decoder()
        decoder.push(tokenizer.encode(".", special=False)[-1])
        behind = "".join(map(decoder.push, token_ids)) + decoder.flush()
        assert behind == text or "\ufffd" in behind


def test_a_held_reply_that_is_cut_inside_a_character_ends_before_it() -> None:
    """What is shown is a beginning of what the constraint allows, and a broken character would be none."""
    tokenizer = Tokenizer(DEFINITIONS["byte-level"])
    token_ids = [token_id for byte in "a漢".encode()[:-1] for token_id in [tokenizer.spoken().index(bytes([byte]))]]
    decoder = tokenizer.held_decoder()
    assert "".join(map(decoder.push, token_ids)) + decoder.flush() == "a"
