"""``wit-llm:nn/prompt`` from inside a guest: turns, options, reads, and every state a reply can be in."""

from __future__ import annotations

import pytest

from tests.conftest import Driver

ECHOES = ["echo", "echo-worker"]
SLOW = "echo,settings.delay_ms=20"


@pytest.mark.parametrize("echo", ECHOES)
def test_a_turn_streams_and_says_how_it_ended(driver: Driver, echo: str) -> None:
    """Pieces add up to the reply; the summary counts tokens and time and names the model."""
    outcome = driver.run(
        """
        talk = session(graph.load_by_name(sys.argv[1]))
        reply = talk.start(types.Turn_Say("Grüße, 漢字 🎉"), None)
        text, summary = read(reply)
        say(text)
        usage = summary.usage
        say(kebab(summary.reason), usage.prompt_tokens, usage.cached_tokens, usage.generated_tokens)
        timing = summary.timing
        say(0 <= timing.queued_us <= timing.first_token_us <= timing.total_us, summary.matched_stop)
        say(summary.model_digest[:7], reply.message().role.name, reply.message().parts[0].value == text)
        say(reply.next_text(), reply.next(), reply.poll())
        """,
        graphs=[echo],
        args=[echo],
    )
    size = len("Grüße, 漢字 🎉".encode())
    assert outcome.stdout.decode().splitlines() == [
        "Grüße, 漢字 🎉",
        f"stop {size} None {size + 1}",
        "True None",
        "sha256: ASSISTANT True",
        "Fragment(text='', finished=True) Batch(events=[], finished=True) Batch(events=[], finished=True)",
    ]


def test_ask_is_a_turn_run_to_its_end_and_history_has_both_sides(driver: Driver) -> None:
    """A kept turn is in the history, the preamble is not."""
    outcome = driver.run(
        """
        talk = session(graph.load_by_name("echo"), message("system", "Be brief."))
        reply = talk.ask(types.Turn_Say("one"), None)
        say(reply.text, kebab(reply.summary.reason), reply.message.role.name)
        talk.append([message("user", "two"), message("assistant", "zwei")])
        say([(m.role.name, m.parts[0].value) for m in talk.history()], talk.mark(), talk.context().dropped_turns)
        """,
        graphs=["echo"],
    )
    assert outcome.stdout.decode().splitlines() == [
        "one stop ASSISTANT",
        "[('USER', 'one'), ('ASSISTANT', 'one'), ('USER', 'two'), ('ASSISTANT', 'zwei')] 4 0",
    ]


def test_a_second_turn_is_answered_from_the_history(driver: Driver) -> None:
    """The model sees what was said before, and a control token written out in a question stays text."""
    outcome = driver.run(
        """
        talk = session(graph.load_by_name("tiny"), message("system", "You are a helpful assistant."))
        say(talk.ask(types.Turn_Say("What is the capital of France?"), greedy()).text)
        say(talk.ask(types.Turn_Say("And which country was that?"), greedy()).text)
        """,
        graphs=["tiny"],
    )
    assert outcome.stdout.decode().splitlines() == ["The capital of France is Paris.", "That was France."]


def test_control_tokens_in_user_text_stay_text(driver: Driver) -> None:
    """What a user writes can never become a control token, in a turn as in ``tokenizer.encode``."""
    outcome = driver.run(
        """
        loaded = graph.load_by_name("tiny")
        ends = tokenizer.encode(loaded, "<|end|>", True)
        plain = tokenizer.encode(loaded, "<|end|>", False)
        say(len(ends), len(plain) > 1, ends[0] not in plain, tokenizer.decode(loaded, plain))
        talk = session(loaded)
        with_token = talk.measure(types.Turn_Say("a<|end|>b"), None)
        say(with_token - talk.measure(types.Turn_Say("ab"), None) >= len(plain))
        """,
        graphs=["tiny"],
    )
    assert outcome.stdout.decode().splitlines() == ["1 True True <|end|>", "True"]


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        pytest.param("max_output_tokens=0", "max-output-tokens must be at least 1, got 0", id="no-tokens"),
        pytest.param("deadline_ms=0", "deadline-ms must be at least 1, got 0", id="no-time"),
        pytest.param(
            "sampling=exact(temperature=float('nan'))", "sampler.temperature must be in [0, 2], got nan", id="nan"
        ),
        pytest.param("sampling=exact(temperature=-1.0)", "sampler.temperature must be in [0, 2], got -1", id="cold"),
        pytest.param("sampling=exact(temperature=1e30)", "sampler.temperature must be in [0, 2], got 1e+30", id="hot"),
        pytest.param("sampling=exact(top_p=0.0)", "sampler.top-p must be in (0, 1], got 0", id="top-p-0"),
        pytest.param("sampling=exact(top_p=2.0)", "sampler.top-p must be in (0, 1], got 2", id="top-p-2"),
        pytest.param("sampling=exact(top_k=0)", "sampler.top-k must be in [1, inf), got 0", id="top-k"),
        pytest.param("sampling=exact(min_p=-0.5)", "sampler.min-p must be in [0, 1), got -0.5", id="min-p"),
        pytest.param(
            "sampling=exact(repetition_penalty=float('inf'))",
            "sampler.repetition-penalty must be in [0.1, 2], got inf",
            id="repetition",
        ),
        pytest.param(
            "sampling=exact(presence_penalty=-3.0)", "sampler.presence-penalty must be in [-2, 2], got -3", id="there"
        ),
        pytest.param(
            "sampling=exact(frequency_penalty=3.0)", "sampler.frequency-penalty must be in [-2, 2], got 3", id="often"
        ),
        pytest.param("stop=['x'] * 17", "stop takes at most 16 strings, got 17", id="stops"),
        pytest.param("stop=['']", "a stop string has 1 to 128 bytes, got 0", id="empty-stop"),
        pytest.param("stop=['x' * 129]", "a stop string has 1 to 128 bytes, got 129", id="long-stop"),
        pytest.param("extra=[('speed', 'high')]", "extra: unknown key 'speed'", id="extra"),
    ],
)
def test_options_out_of_range_are_invalid_and_name_the_field(driver: Driver, fields: str, told: str) -> None:
    """Every range is closed and checked, and a refused turn changes nothing."""
    outcome = driver.run(
        f"""
        talk = session(graph.load_by_name("echo"))
        say(failure(talk.start, types.Turn_Say("x"), options({fields})))
        say(failure(talk.measure, types.Turn_Say("x"), options({fields})))
        say(talk.mark(), talk.ask(types.Turn_Say("fine"), None).text)
        """,
        graphs=["echo"],
    )
    first, second, after = outcome.stdout.decode().splitlines()
    assert first == second
    assert first.startswith(f"invalid: {told}")
    assert after == "0 fine"


@pytest.mark.parametrize(
    ("call", "told"),
    [
        pytest.param("ask(constraint=types.Constraint_Regex('a'))", "options.constraint", id="regex"),
        pytest.param("ask(tools=[types.Tool('a', 'b', '{}')])", "graph 'echo' takes no tools", id="tools"),
        pytest.param("ask(logprobs=1)", "options.logprobs", id="rivals"),
        pytest.param("embed.embed(loaded, ['a'])", "embed", id="embed"),
        pytest.param("embed.score(loaded, 'a', ['b'])", "score", id="score"),
        pytest.param("talk.ask(picture, None)", "media", id="media"),
    ],
)
def test_what_is_not_done_yet_is_unsupported_by_name(driver: Driver, call: str, told: str) -> None:
    """Nothing is silently ignored."""
    outcome = driver.run(
        f"""
        loaded = graph.load_by_name("echo")
        talk = session(loaded)
        ask = lambda **fields: talk.ask(types.Turn_Say("hello"), options(**fields))
        blob = types.Part_Media(types.Blob("image/png", b"0"))
        picture = types.Turn_Messages([types.Message(types.Role.USER, [blob])])
        say(failure(lambda: {call}))
        """,
        graphs=["echo"],
    )
    line = outcome.stdout.decode().strip()
    assert line.startswith("unsupported: ")
    assert told in line


@pytest.mark.parametrize(
    ("turn", "fields", "reason", "text"),
    [
        pytest.param("one two", "", "stop", "one two", id="stop"),
        pytest.param("one two three", "stop=['two']", "stop-string two", "one ", id="stop-string"),
        pytest.param("one two three", "stop=['e three', 'x']", "stop", "one two three", id="no-stop-string"),
        pytest.param("one two three", "stop=['three four']", "stop", "one two three", id="half-a-stop-string"),
        pytest.param("one two three", "max_output_tokens=3", "length", "one", id="length"),
        pytest.param("ab", "max_output_tokens=5, ignore_eos=True", "length", "ababa", id="ignore-eos"),
    ],
)
def test_every_reason_to_end_is_told(driver: Driver, turn: str, fields: str, reason: str, text: str) -> None:
    """Finish reasons, which stop string matched, and a text that never shows any part of it."""
    outcome = driver.run(
        f"""
        reply = session(graph.load_by_name("echo")).ask(types.Turn_Say({turn!r}), options({fields}))
        say(kebab(reply.summary.reason), reply.summary.matched_stop or "")
        say(reply.text)
        """,
        graphs=["echo"],
    )
    told, shown = outcome.stdout.decode().splitlines()
    assert (told.strip(), shown) == (reason, text)


def test_a_full_window_ends_a_reply_and_a_prompt_beyond_it_is_an_overflow(driver: Driver) -> None:
    """``context-full`` keeps the text; ``overflow`` has the numbers, truncates nothing and changes nothing."""
    outcome = driver.run(
        """
        loaded = graph.load_by_name("echo")
        window = prompt.describe(loaded).context_window
        talk = session(loaded)
        reply = talk.ask(types.Turn_Say("ab" * 20), options(ignore_eos=True))
        say(window, kebab(reply.summary.reason), len(reply.text))
        error = err(session(loaded).ask, types.Turn_Say("x" * 100), None)
        say(kebab(error), error.value.requested, error.value.available, error.value.window)
        fresh = session(loaded)
        say(fresh.measure(types.Turn_Say("x" * 100), None), fresh.mark())
        """,
        graphs=["echo,settings.window=64"],
    )
    assert outcome.stdout.decode().splitlines() == ["64 context-full 24", "overflow 100 63 64", "100 0"]


def test_a_deadline_ends_a_reply_and_keeps_its_text(driver: Driver) -> None:
    """The reply that was too slow is cut with reason ``deadline``, near its time, and stays in the history."""
    outcome = driver.run(
        """
        talk = session(graph.load_by_name("echo"))
        begin = time.monotonic()
        reply = talk.ask(types.Turn_Say("x" * 100), options(deadline_ms=300))
        took = time.monotonic() - begin
        say(kebab(reply.summary.reason), 0 < len(reply.text) < 100, 0.25 < took < 0.9, talk.mark())
        """,
        graphs=[SLOW],
    )
    assert outcome.stdout == b"deadline True True 2\n"


def test_stop_keeps_a_turn_and_drop_takes_it_back(driver: Driver) -> None:
    """``stop`` ends as ``cancelled`` with its text kept; an unfinished reply that is dropped never was."""
    outcome = driver.run(
        """
        talk = session(graph.load_by_name("echo"))
        with talk.start(types.Turn_Say("y" * 200), None) as reply:
            reply.next_text()
            say(failure(reply.summary), failure(reply.message))
            reply.stop()
            text, summary = read(reply)
            say(kebab(summary.reason), talk.mark(), len(talk.history()[1].parts[0].value) < 200)
        with talk.start(types.Turn_Say("z" * 200), None) as reply:
            reply.next_text()
            say(failure(talk.start, types.Turn_Say("a"), None))
            say(failure(talk.append, [message("user", "a")]), "|", failure(talk.rewind, 0))
            say(talk.mark())
        say(talk.mark())
        say(talk.ask(types.Turn_Say("after"), None).text)
        """,
        graphs=[SLOW],
    )
    lines = outcome.stdout.decode().splitlines()
    assert lines[0].count("invalid: ") == 2
    assert lines[1] == "cancelled 2 True"
    assert lines[2].startswith("invalid: ")
    assert lines[3].count("invalid: ") == 2
    assert lines[4:] == ["2", "2", "after"]


def test_a_slot_is_free_within_a_step_of_the_drop(driver: Driver) -> None:
    """A reply dropped half-way makes room at once: the next prompt does not wait for what is left of it."""
    outcome = driver.run(
        """
        loaded = graph.load_by_name("tiny")
        story = types.Turn_Say("Write a long story.")
        times = []
        for _ in range(5):
            talk = session(loaded)
            with talk.start(story, greedy()) as reply:
                reply.next_text()
            begin = time.monotonic()
            say(session(loaded).ask(types.Turn_Say("Count to five."), greedy()).text)
            times.append(time.monotonic() - begin)
        whole = time.monotonic()
        session(loaded).ask(story, greedy())
        whole = time.monotonic() - whole
        say(sorted(times)[2] < whole)
        """,
        graphs=["tiny,settings.max_num_seqs=1"],
    )
    assert outcome.stdout.decode().splitlines() == ["1, 2, 3, 4, 5"] * 5 + ["True"]


def test_poll_never_waits_and_wait_any_tells_who_is_ready(driver: Driver) -> None:
    """Two replies at once from one guest, read as they come, by their keys."""
    outcome = driver.run(
        """
        loaded = graph.load_by_name("echo")
        begin = time.monotonic()
        live = {}
        for word in ("alpha", "beta"):
            talk = session(loaded)
            reply = talk.start(types.Turn_Say(word), None)
            live[reply.key()] = [reply, "", talk]
        first = next(iter(live.values()))[0].poll()
        say(time.monotonic() - begin < 0.5, first.finished)
        while live:
            for key in prompt.wait_any(list(live), None):
                batch = live[key][0].next()
                live[key][1] += "".join(e.value for e in batch.events if isinstance(e, types.Event_Text))
                if batch.finished:
                    say(live.pop(key)[1])
        say(prompt.wait_any([], 10_000), prompt.wait_any([12345], 10_000))
        talk = session(loaded)
        quiet = talk.start(types.Turn_Say("a"), None)
        while not quiet.next().finished:
            pass
        say(prompt.wait_any([quiet.key()], 10_000) == [quiet.key()])
        slow = talk.start(types.Turn_Say("a"), None)
        say(prompt.wait_any([slow.key()], 1))
        """,
        graphs=[SLOW],
    )
    lines = outcome.stdout.decode().splitlines()
    assert lines[0] == "True False"
    assert sorted(lines[1:3]) == ["alpha", "beta"]
    assert lines[3:] == ["[] []", "True", "[]"]


def test_raw_and_tokens_stand_alone(driver: Driver) -> None:
    """No template, no history before them, none after; ``tokens`` is what ``raw`` becomes."""
    outcome = driver.run(
        """
        loaded = graph.load_by_name("echo")
        talk = session(loaded)
        talk.ask(types.Turn_Say("before"), None)
        say(talk.ask(types.Turn_Raw("raw text"), None).text, talk.mark())
        ids = tokenizer.encode(loaded, "token text", True)
        say(talk.ask(types.Turn_Tokens(ids), None).text, talk.mark())
        say(failure(talk.ask, types.Turn_Tokens([2**31 - 1]), None))
        say(failure(talk.ask, types.Turn_Tokens([]), None).partition(":")[0])
        say(failure(talk.ask, types.Turn_Raw(""), None).partition(":")[0], talk.mark())
        """,
        graphs=["echo"],
    )
    lines = outcome.stdout.decode().splitlines()
    assert lines[:2] == ["raw text 2", "token text 2"]
    assert lines[2].startswith("invalid: ")
    assert "2147483647" in lines[2]
    assert lines[3:] == ["invalid", "invalid 2"]


def test_pull_request_79_runs_on_a_session(driver: Driver) -> None:
    """The proposed ``wasi:nn/prompt`` takes the graph, answers with strings and remembers its conversation."""
    outcome = driver.run(
        """
        context = nn_prompt.init(graph.load_by_name("tiny"))
        say(context.compute("My name is Ann."))
        say(context.compute("What is my name?"))
        try:
            context.compute("word " * 5000)
        except Err as error:
            say(error.value)
        """,
        graphs=["tiny"],
    )
    lines = outcome.stdout.decode().splitlines()
    assert lines[:2] == ["Nice to meet you, Ann.", "Your name is Ann."]
    assert lines[2].startswith("the prompt has ")


TELL_LOGPROBS = """
talk = session(graph.load_by_name("tiny"))
reply = talk.start(types.Turn_Say("What is the capital of Japan?"), greedy(logprobs=int(sys.argv[1])))
events = []
while True:
    batch = reply.next()
    events += batch.events
    if batch.finished:
        break
texts = "".join(event.value for event in events if kebab(event) == "text")
told = [event.value for event in events if kebab(event) == "logprobs"]
say(texts)
say(b"".join(one[0].bytes for one in told).decode())
say(len(told) == reply.summary().usage.generated_tokens, {len(one) for one in told})
say(all(one[0].logprob <= 0 and one == sorted(one, key=lambda other: -other.logprob) for one in told))
say(kebab(events[0]), kebab(events[1]), kebab(events[-1]))
"""


@pytest.mark.parametrize(
    ("grant", "rivals"),
    [
        pytest.param("tiny", 0, id="openvino"),
        pytest.param("tiny,backend=pytorch", 4, id="pytorch", marks=pytest.mark.slow),
    ],
)
def test_a_guest_reads_logprobs(driver: Driver, grant: str, rivals: int) -> None:
    """An event for each token, before its text; a greedy reply's own token is the likeliest; bytes are the text's."""
    outcome = driver.run(TELL_LOGPROBS, graphs=[grant], args=[str(rivals)])
    assert outcome.stdout.decode().splitlines() == [
        "The capital of Japan is Tokyo.",
        "The capital of Japan is Tokyo.<|end|>",
        f"True {{{1 + rivals}}}",
        "True",
        "logprobs text logprobs",
    ]


@pytest.mark.slow
def test_a_second_turn_says_what_was_there_already(driver: Driver) -> None:
    """PyTorch tells: all but what is new in the second turn, and nothing of what another guest has said."""
    source = """
    talk = session(graph.load_by_name("tiny"))
    for text in ("My name is Ann.", "What is my name?"):
        usage = talk.ask(types.Turn_Say(text), greedy()).summary.usage
        say(usage.prompt_tokens, usage.cached_tokens)
    """
    outputs = [driver.run(source, graphs=["tiny,backend=pytorch"]).stdout.decode() for _ in range(2)]
    assert outputs[0] == outputs[1]
    (first, known_first), (second, known_second) = (map(int, line.split()) for line in outputs[0].splitlines())
    assert known_first == 0
    assert first < known_second < second


def test_describe_and_defaults_say_what_a_model_can(driver: Driver) -> None:
    """A guest can ask before it tries."""
    outcome = driver.run(
        """
        info = prompt.describe(graph.load_by_name("tiny"))
        say(info.name, info.context_window, info.max_logprobs, prompt.Capability.CHAT in info.can)
        say(prompt.default_options() == options())
        """,
        graphs=["tiny"],
    )
    assert outcome.stdout.decode().splitlines() == ["tiny 1024 0 True", "True"]


def test_tokenizer_decodes_renders_and_refuses_unknown_ids(driver: Driver) -> None:
    """Control tokens are shown, unknown ids named, and ``render`` is the template's own text."""
    outcome = driver.run(
        """
        loaded = graph.load_by_name("tiny")
        say(tokenizer.decode(loaded, tokenizer.encode(loaded, "<|user|>Hi 漢", True)))
        say(failure(tokenizer.decode, loaded, [640]))
        say(tokenizer.render(loaded, [message("user", "Hi")], []))
        """,
        graphs=["tiny"],
    )
    lines = outcome.stdout.decode().splitlines()
    assert lines[0] == "<|user|>Hi 漢"
    assert lines[1].startswith("invalid: ")
    assert "640" in lines[1]
    assert lines[2] == "<|user|>Hi<|end|><|assistant|>"


def test_everything_can_be_dropped_in_any_order(driver: Driver) -> None:
    """Graph, session and reply let go of each other in all six orders, in the middle of a reply."""
    outcome = driver.run(
        """
        for order in ("gsr", "grs", "sgr", "srg", "rgs", "rsg"):
            held = {"g": graph.load_by_name("echo")}
            held["s"] = session(held["g"])
            held["r"] = held["s"].start(types.Turn_Say("x" * 50), None)
            held["r"].next_text()
            reason = ""
            for name in order:
                item = held.pop(name)
                if name == "r" and "s" not in held:
                    reason = kebab(read(item)[1].reason)
                item.__exit__(None, None, None)
            say(order, reason)
        """,
        graphs=[SLOW],
    )
    assert [line.strip() for line in outcome.stdout.decode().splitlines()] == [
        "gsr cancelled", "grs", "sgr cancelled", "srg cancelled", "rgs", "rsg",
    ]  # fmt: skip
