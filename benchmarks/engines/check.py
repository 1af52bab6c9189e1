"""
Whether what an engine replies is what the model says.

The measure is transformers in FP32. Each token of a reply is looked at after all tokens before it: how far its logit is
below the best one, in standard deviations of all logits there. Zero everywhere is the greedy reply of FP32 itself; a
token by chance is more than four below. What a guest replies is text: of it the first tokens of eight prompts are
looked at, and where an engine computes the same in the same order, the text is that one's, to the last character.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from engines.prompts import Prompts
from engines.table import AbsentError, Engine, ask
from sides import Line, Side
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils.logging import disable_progress_bar

# Weights of 16 bits and more, of eight and of four, which random ones lose more by than learned ones.
TOLERANCES = {16: 0.25, 8: 0.5, 4: 3.0}


def reference(line: Line, folder: Path) -> None:
    """Answer each work and what was done of it with how far its tokens are below the best, at most."""
    disable_progress_bar()  # type: ignore[no-untyped-call]
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    tokens = _tokens_by_text(AutoTokenizer.from_pretrained(folder), model.config.vocab_size)
    while (question := line.recv()) is not None:
        work, done = question
        line.send(max(_below(model, tokens, *pair) for pair in zip(work.prompts, done.replies, strict=True)))


def _tokens_by_text(tokenizer: Any, count: int) -> dict[str, list[int]]:  # noqa: ANN401 -- untyped
    tokens: dict[str, list[int]] = {}
    for token, text in enumerate(tokenizer.batch_decode([[token] for token in range(count)], skip_special_tokens=True)):
        tokens.setdefault(text, []).append(token)
    return tokens


@torch.inference_mode()
def _below(model: Any, tokens: dict[str, list[int]], prompt: list[int], reply: list[int] | str) -> float:  # noqa: ANN401
    known = [] if isinstance(reply, str) else reply[:-1]
    logits = model(torch.tensor([prompt + known])).logits[0, len(prompt) - 1 :]  # [token of the reply, vocab]
    if isinstance(reply, str):
        if reply not in tokens:
            return float("inf")
        reply = [max(tokens[reply], key=lambda token: float(logits[0, token]))]
    chosen = logits.gather(1, torch.tensor(reply)[:, None])[:, 0]
    return float(((logits.max(1).values - chosen) / logits.std(1)).max())


class Check:
    """
    The works that every engine is asked first.

    Args:
        folder: Of the model, as transformers has it.
        prompts: Where they come from.
    """

    def __init__(self, folder: Path, prompts: Prompts) -> None:
        self._reference = Side.start(reference, folder)
        self._tokenizer: Any = AutoTokenizer.from_pretrained(folder)
        self._first, self._long = prompts.work(8, 64, 1), prompts.work(1, 16, 16)
        self._replies: dict[str, str] = {}

    def close(self) -> None:
        """End the reference's process."""
        self._reference.close()

    def of(self, engine: Engine, side: Side) -> float:
        """
        Ask an engine; one that has a twin after its twin.

        Returns:
            How far its tokens are below the best, at most.

        Raises:
            AbsentError: It is wrong, or has failed.
        """
        below: float = self._reference.answer((self._first, ask(side, self._first)))
        done = ask(side, self._long)
        if isinstance(text := done.replies[0], str):
            self._compare(engine, text)
        else:
            self._replies[f"{engine.name} {engine.bits}"] = self._tokenizer.decode(text, skip_special_tokens=True)
            below = max(below, self._reference.answer((self._long, done)))
        if below > TOLERANCES[engine.bits]:
            raise AbsentError(
                f"wrong: a token is {below:.2g} standard deviations below the best, and {TOLERANCES[engine.bits]} are"
                " allowed"
            )
        return below

    def _compare(self, engine: Engine, text: str) -> None:
        if engine.twin is None:
            return
        twin = self._replies.get(f"{engine.twin} {engine.bits}")
        if twin is None:
            raise AbsentError(f"cannot be checked, because {engine.twin} is not there")
        if text != twin:
            raise AbsentError(f"wrong: {text!r}; {engine.twin} replies {twin!r}")
