"""Each function of ``prompt``, ``tokenizer`` and ``embed``, and what a session is set up with."""

from __future__ import annotations

from tests.contract.text.cases import ASKED, ECHOES, KNOWN, THEN_ASKED, THEN_ECHOED, THEN_KNOWN, Case, Hole

FUNCTIONS = (
    Case(
        "prompt.describe",
        """
        info = prompt.describe(loaded)
        say(info.name == name, info.digest[:7], info.context_window, info.defaults.sampling.value.temperature)
        say(str(info.can).removeprefix("Capability."))
        """,
        ["True sha256: 4096 0.0", "CHAT|RAW|TOOLS|REASONING|SEED"],
        ["True sha256: 1024 0.0", "CHAT|RAW|TOOLS|REASONING|JSON_SCHEMA|REGEX|CHOICE|GRAMMAR|SEED|SCORING"],
    ),
    Case("prompt.default-options", "say(prompt.default_options() == options())", ["True"]),
    Case(
        "prompt.wait-any",
        """
        talks = [session(loaded), session(loaded)]
        replies = {reply.key(): reply for reply in (talk.start(ITALY, greedy()) for talk in talks)}
        live = dict(replies)
        while live:
            for key in prompt.wait_any(list(live), None):
                if live[key].next().finished:
                    del live[key]
        say(prompt.wait_any(list(replies), None) == list(replies), prompt.wait_any([], None))
        say([reply.message().parts[0].value for reply in replies.values()])
        """,
        ["True []", f"{[ASKED, ASKED]}"],
        ["True []", f"{[KNOWN, KNOWN]}"],
    ),
    Case(
        "session.open",
        "say(talk.mark(), talk.history(), talk.context().used, ask().text)",
        [f"0 [] 0 {ASKED}"],
        [f"0 [] 0 {KNOWN}"],
    ),
    Case(
        "setup.preamble",
        """
        talk = session(loaded, message("system", "Be brief."))
        say(talk.measure(ITALY, None) > session(loaded).measure(ITALY, None), ask().text, len(talk.history()))
        """,
        [f"True Be brief.|{ASKED} 2"],
        [f"True {KNOWN} 2"],
    ),
    Case(
        "setup.defaults",
        """
        talk = session(loaded, defaults=greedy(stop=["capital"]))
        ends(talk.ask(ITALY, None))
        """,
        ["What is the  | stop-string"],
        ["The  | stop-string"],
    ),
    Case(
        "session.start",
        """
        reply = talk.start(ITALY, greedy())
        say(failure(talk.start, WHICH, None))
        say(read(reply)[0], talk.mark())
        """,
        ["invalid: a reply of this session is being produced: finish, stop or drop it first", f"{ASKED} 2"],
        ["invalid: a reply of this session is being produced: finish, stop or drop it first", f"{KNOWN} 2"],
    ),
    Case("session.ask", "ends(ask())", [f"{ASKED} | stop"], [f"{KNOWN} | stop"]),
    Case(
        "session.append",
        f"""
        say(talk.append([message("user", ITALY.value), message("assistant", {KNOWN!r})]).used == talk.context().used)
        ends(ask(WHICH))
        """,
        ["True", f"{ASKED}|{KNOWN}|{THEN_ASKED} | stop"],
        ["True", f"{THEN_KNOWN} | stop"],
    ),
    Case(
        "session.measure",
        """
        ask()
        measured = talk.measure(WHICH, greedy())
        say(measured, measured == ask(WHICH).summary.usage.prompt_tokens)
        """,
        [f"{len(THEN_ECHOED)} True"],
        ["28 True"],
    ),
    Case(
        "session.context",
        """
        ask()
        say(talk.context())
        """,
        [f"Context(used={len(f'{ASKED}|{ASKED}')}, window=4096, dropped_turns=0)"],
        ["Context(used=19, window=1024, dropped_turns=0)"],
    ),
    Case(
        "session.history",
        """
        ask()
        say([(one.role.name, parts(one)) for one in talk.history()])
        """,
        [f"{[('USER', [('text', ASKED)]), ('ASSISTANT', [('text', ASKED)])]}"],
        [f"{[('USER', [('text', ASKED)]), ('ASSISTANT', [('text', KNOWN)])]}"],
    ),
    Case(
        "session.fork",
        """
        ask()
        copy = talk.fork()
        say(copy.ask(WHICH, greedy()).text, copy.mark(), talk.mark())
        """,
        [f"{THEN_ECHOED} 4 2"],
        [f"{THEN_KNOWN} 4 2"],
    ),
    Case(
        "session.mark",
        """
        ask()
        talk.append([message("user", "x")])
        say(talk.mark())
        """,
        ["3"],
    ),
    Case(
        "session.rewind",
        """
        ask(types.Turn_Say("What is the capital of Spain?"))
        say(talk.rewind(0).used)
        ask()
        say(ask(WHICH).text)
        """,
        ["0", THEN_ECHOED],
        ["0", THEN_KNOWN],
    ),
    Case(
        "overflow-policy.fail",
        """
        window = prompt.describe(loaded).context_window
        talk.append([message("user", "0" * window)])
        error = err(ask)
        say(kebab(error), error.value.requested > window, error.value.available, talk.mark())
        """,
        ["overflow True 4095 1"],
        ["overflow True 1023 1"],
    ),
    Case(
        "overflow-policy.drop-oldest-turns",
        """
        talk = session(loaded, drop_oldest_turns=True)
        for _ in range(2):
            talk.append([message("user", "0" * prompt.describe(loaded).context_window), message("assistant", "1")])
        ends(ask())
        say(talk.context().dropped_turns, parts(talk.history()[0]))
        """,
        [f"{ASKED} | stop", f"2 {[('text', ASKED)]}"],
        [f"{KNOWN} | stop", f"2 {[('text', ASKED)]}"],
    ),
    Case(
        "generation.next",
        """
        reply = talk.start(ITALY, greedy())
        say("".join(event.value for event in drain(reply)), reply.next())
        """,
        [f"{ASKED} Batch(events=[], finished=True)"],
        [f"{KNOWN} Batch(events=[], finished=True)"],
    ),
    Case("generation.next-text", "say(read(talk.start(ITALY, greedy()))[0])", [ASKED], [KNOWN]),
    Case(
        "generation.poll",
        """
        reply, found = talk.start(ITALY, greedy()), []
        while not (batch := reply.poll()).finished:
            found += batch.events
        say("".join(event.value for event in found + batch.events))
        """,
        [ASKED],
        [KNOWN],
    ),
    Case(
        "generation.stop",
        """
        for _ in range(5):  # where the machine stands still, a reply may be over before it is told to stop
            talk = session(loaded)
            reply = talk.start(STORY, greedy(ignore_eos=True))
            text = reply.next_text().text
            reply.stop()
            text += read(reply)[0]
            if kebab(reply.summary().reason) == "cancelled":
                break
        say(kebab(reply.summary().reason), 0 < len(text), parts(talk.history()[1]) == [("text", text)])
        """,
        ["cancelled True True"],
    ),
    Case(
        "generation.summary",
        """
        reply = talk.start(ITALY, greedy(seed=7))
        say(failure(reply.summary))
        drain(reply)
        told = reply.summary()
        say(kebab(told.reason), told.matched_stop, told.seed, told.model_digest == prompt.describe(loaded).digest)
        say(told.timing.queued_us <= told.timing.first_token_us <= told.timing.total_us)
        """,
        ["invalid: read the generation until it is finished first", "stop None 7 True", "True"],
    ),
    Case(
        "generation.message",
        """
        reply = talk.start(ITALY, greedy())
        drain(reply)
        say(reply.message().role.name, parts(reply.message()))
        """,
        [f"ASSISTANT {[('text', ASKED)]}"],
        [f"ASSISTANT {[('text', KNOWN)]}"],
    ),
    Case(
        "generation.key",
        """
        first, second = (session(loaded).start(ITALY, greedy()).key() for _ in range(2))
        say(first == second, prompt.wait_any([first, second], None))
        """,
        ["False []"],
    ),
    Case(
        "tokenizer.encode",
        "say([tokenizer.encode(loaded, 'Rome<|end|>', special) for special in (True, False)])",
        [f"{[[*b'Rome', 256], [*b'Rome<|end|>']]}"],
        ["[[56, 85, 291, 2], [56, 85, 291, 34, 98, 294, 74, 98, 36]]"],
    ),
    Case(
        "tokenizer.decode",
        "say(tokenizer.decode(loaded, tokenizer.encode(loaded, 'Rome 漢<|end|>', True)))",
        ["Rome 漢<|end|>"],
    ),
    Case(
        "tokenizer.render",
        "say(tokenizer.render(loaded, [message('user', 'Hi')], [WEATHER]))",
        ["[weather]Hi"],
        ["<|system|>weather<|end|><|user|>Hi<|end|><|assistant|>"],
    ),
    Case(
        "embed.embed",
        """
        vectors = embed.embed(graph.load_by_name(embedder), ["cat dog", "Cat", "dog dog dog dog"])
        values = [round(value, 4) for value in vectors.values]
        bert, summed = [0.0, 0.0, 0.3333, -0.3333, -0.6667, 0.6667], [8.0, 0.0, 6.3333, -0.3333, 10.8333, 1.1667]
        say(vectors.dimensions, values in (bert, summed), vectors.usage.prompt_tokens)
        """,
        [],
        ["2 True 13"],
        Hole(
            ECHOES,
            "graph '{name}' does not embed: it is no encoder with a modules.json, as sentence-transformers has it",
            "an echo has no vectors",
        ),
    ),
    Case(
        "embed.score",
        f"""
        prefix = tokenizer.render(loaded, [message("user", ITALY.value)], [])
        known, other, nothing = embed.score(loaded, prefix, [{KNOWN!r}, "The capital of Italy is Oslo.", ""])
        say(-0.01 < known.logprob <= 0, -60 < other.logprob < -20, known.tokens, nothing)
        """,
        [],
        ["True True 8 Scored(logprob=0.0, tokens=0)"],
        Hole(
            ECHOES,
            "graph '{name}' does not score: its backend has no probabilities to tell",
            "an echo has no probabilities",
        ),
    ),
)
