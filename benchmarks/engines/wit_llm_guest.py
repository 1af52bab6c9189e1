"""wit-llm: each request is a run of the packaged chat guest, and all of them run at once."""

from __future__ import annotations

import json
import time
from contextlib import ExitStack
from pathlib import Path

from engines.line import Answer, Done, Work

from wit_llm import Grant, Host, __version__
from wit_llm.cli.packaged import CHAT_GUEST
from wit_llm.wasm.stdio import Captured


def version() -> str:
    """What it is, with its version."""
    return f"wit-llm {__version__}"


def start(model: Path, *, threads: int, backend: str, cache_dir: str) -> Answer:
    """Load the model once; who answers keeps the host."""
    grant = Grant("model", model, backend=backend, settings={"num_threads": str(threads)})
    host = Host([grant], cache_dir=Path(cache_dir))

    def answer(work: Work) -> Done:
        """Start a guest for each, with its prompt as text; time counts from before the first start."""
        arguments = ["--ignore-eos", "--max-output-tokens", str(work.reply_tokens), "--stats", "model", "-"]
        with ExitStack() as stack:
            outputs = [(stack.enter_context(Captured()), stack.enter_context(Captured())) for _ in work.texts]
            began = time.perf_counter()
            guests = [
                host.start(CHAT_GUEST, arguments, stdin=text.encode(), stdout=out, stderr=err)
                for text, (out, err) in zip(work.texts, outputs, strict=True)
            ]
            for guest in guests:
                guest.wait()
            whole_s = time.perf_counter() - began
            said = [(out.read().decode(), err.read().decode()) for out, err in outputs]
        return _done(work, said, whole_s)

    return answer


def _done(work: Work, said: list[tuple[str, str]], whole_s: float) -> Done:
    stats = []
    for (_, err), prompt in zip(said, work.prompts, strict=True):
        try:
            numbers = json.loads(err.splitlines()[-1])
        except (IndexError, ValueError):
            raise RuntimeError(err) from None
        asked = (len(prompt), work.reply_tokens)
        if (made := (numbers["prompt_tokens"], numbers["generated_tokens"])) != asked:
            raise RuntimeError(f"prompt and reply have {made} tokens; {asked} were asked for")
        stats.append(numbers)
    replies = [out.removesuffix("\n") for out, _ in said]
    first_s = min(numbers["first_token_us"] for numbers in stats) / 1e6
    # Of one request alone the reply's own end counts, as with the others, and not the guest's.
    total_s = stats[0]["total_us"] / 1e6 if len(stats) == 1 else whole_s
    return Done(replies, first_s, total_s)
