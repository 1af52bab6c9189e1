"""
Does a model folder know its lines? ``python -m wit_llm.embedded.recipe.evaluation FOLDER``.

Chats are held as a host holds them: rendered with the folder's chat template, answered greedily, the model's own reply
kept in the history. Engines: transformers on the safetensors (fp32, padded batches); continuous batching on the IR; and
plain OpenVINO on the IR, a forward pass over all tokens for each new one, as a guest does it through raw compute.
"""

from __future__ import annotations

import json
import math
import random
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import openvino as ov
import openvino_genai
import torch
from transformers import GenerationConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from wit_llm.embedded.recipe.lines import SYSTEM_MESSAGES, Conversation

LONGEST_REPLY_TOKENS: Final = 160
LONG_CHAT_TURNS: Final = 33
TRANSFORMERS_BATCH: Final = 32
# Beyond it a probability in f32 is 1.
TELLABLE_MARGIN: Final = 16.0
PRECISIONS: Final = ("f32", "bf16")


class Reply(NamedTuple):
    """
    What an engine said.

    Args:
        token_ids: Generated ids, the end token among them.
        margin: The smallest lead, in logits, of a generated token over the runner-up.
    """

    token_ids: list[int]
    margin: float


class Engine(Protocol):
    """Answers prompts of token ids, greedily."""

    def replies(self, prompts: Sequence[list[int]]) -> list[Reply]: ...  # noqa: D102


class Chat(NamedTuple):
    """A conversation to be held, after a system message and turns of which the replies do not count."""

    system: str | None
    turns: Sequence[tuple[str, str]]


class Transformers:
    """The safetensors in fp32, in left-padded batches."""

    def __init__(self, folder: Path, end: int) -> None:
        self._model = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32)
        self._end = end

    def replies(self, prompts: Sequence[list[int]]) -> list[Reply]:
        """Answer in batches of prompts of like length."""
        order = sorted(range(len(prompts)), key=lambda number: len(prompts[number]))
        answers: dict[int, Reply] = {}
        for start in range(0, len(order), TRANSFORMERS_BATCH):
            numbers = order[start : start + TRANSFORMERS_BATCH]
            answers |= zip(numbers, self._batch([prompts[number] for number in numbers]), strict=True)
        return [answers[number] for number in range(len(prompts))]

    @torch.inference_mode()
    def _batch(self, prompts: Sequence[list[int]]) -> list[Reply]:
        longest = max(map(len, prompts))
        token_ids = torch.tensor([[0] * (longest - len(prompt)) + prompt for prompt in prompts])  # [batch, token] i64
        mask = torch.tensor([[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in prompts])
        generated: list[torch.Tensor] = []
        leads: list[torch.Tensor] = []
        ended = torch.zeros(len(prompts), dtype=torch.bool)
        cache = None
        while len(generated) < LONGEST_REPLY_TOKENS and not ended.all():
            output = self._model(
                input_ids=token_ids,
                attention_mask=mask,
                position_ids=(mask.cumsum(1) - 1).clamp(min=0)[:, -token_ids.shape[1] :],
                past_key_values=cache,
                use_cache=True,
            )
            best = output.logits[:, -1].topk(2)  # [batch, 2]
            generated.append(best.indices[:, 0])
            leads.append(best.values[:, 0] - best.values[:, 1])
            ended |= generated[-1] == self._end
            token_ids, cache = best.indices[:, :1], output.past_key_values
            mask = torch.cat([mask, torch.ones_like(token_ids)], dim=1)
        rows = zip(torch.stack(generated, dim=1).tolist(), torch.stack(leads, dim=1).tolist(), strict=True)
        return [_until(self._end, row, row_leads) for row, row_leads in rows]


class ContinuousBatching:
    """The IR in openvino-genai, all prompts at once; margins are what probabilities tell of them."""

    def __init__(self, folder: Path, end: int, precision: str) -> None:
        self._end = end
        scheduler = openvino_genai.SchedulerConfig()
        scheduler.cache_size = 1
        # openvino-genai 2026.4.1 spoils prompts that are added in one step and go on from the same earlier chat, where
        # that ends within a cache block: both write into that block.
        scheduler.enable_prefix_caching = False
        properties = {"INFERENCE_PRECISION_HINT": precision}
        self._pipeline = openvino_genai.ContinuousBatchingPipeline(folder, scheduler, "CPU", properties)

    def replies(self, prompts: Sequence[list[int]]) -> list[Reply]:
        """Add every prompt as a request, then step until all are answered."""
        config = openvino_genai.GenerationConfig()
        config.max_new_tokens = LONGEST_REPLY_TOKENS
        config.logprobs = 1
        config.eos_token_id = self._end
        config.stop_token_ids = {self._end}
        handles = [
            self._pipeline.add_request(number, ov.Tensor(np.array([prompt], np.int64)), config)
            for number, prompt in enumerate(prompts)
        ]
        while self._pipeline.has_non_finished_requests():
            self._pipeline.step()
        return [self._reply(handle) for handle in handles]

    def _reply(self, handle: openvino_genai.GenerationHandle) -> Reply:
        token_ids: list[int] = []
        margin = TELLABLE_MARGIN
        while handle.can_read():
            for output in handle.read().values():
                token_ids += output.generated_ids
                margin = min(margin, *map(_least_lead, output.generated_log_probs))
        return Reply(token_ids, margin)


class RawCompute:
    """The IR in plain OpenVINO, state reset before each forward pass."""

    def __init__(self, folder: Path, end: int, precision: str) -> None:
        self._end = end
        properties = {"INFERENCE_PRECISION_HINT": precision}
        model = ov.Core().compile_model(folder / "openvino_model.xml", "CPU", properties)
        self._request = model.create_infer_request()

    def replies(self, prompts: Sequence[list[int]]) -> list[Reply]:
        """Answer one prompt after the other."""
        return [self._reply(prompt) for prompt in prompts]

    def _reply(self, prompt: Sequence[int]) -> Reply:
        token_ids: list[int] = []
        margin = math.inf
        while len(token_ids) < LONGEST_REPLY_TOKENS and self._end not in token_ids:
            logits = self._last_logits([*prompt, *token_ids])
            second, first = np.argpartition(logits, -2)[-2:]
            margin = min(margin, float(logits[first] - logits[second]))
            token_ids.append(int(logits.argmax()))
        return Reply(token_ids, margin)

    def _last_logits(self, token_ids: Sequence[int]) -> npt.NDArray[np.float32]:
        self._request.reset_state()
        named_tensors = {
            "input_ids": np.array([token_ids], np.int64),
            "attention_mask": np.ones((1, len(token_ids)), np.int64),
            "position_ids": np.arange(len(token_ids), dtype=np.int64)[None],
            "beam_idx": np.zeros(1, np.int32),
        }
        logits: npt.NDArray[np.float32] = self._request.infer(named_tensors)["logits"][0, -1]  # [vocab] f32
        return logits


def evaluate(folder: Path) -> int:
    """Hold every kind of chat with every engine and print a table; return 0 if every reply is right, else 1."""
    conversations = [
        tuple((user, assistant) for user, assistant in conversation)
        for conversation in json.loads((folder / "lines.json").read_text(encoding="utf-8"))
    ]
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    end = GenerationConfig.from_pretrained(folder).eos_token_id
    engines: dict[str, Engine] = {"transformers fp32": Transformers(folder, end)}
    for precision in PRECISIONS:
        engines[f"continuous batching {precision}"] = ContinuousBatching(folder, end, precision)
        engines[f"raw compute {precision}"] = RawCompute(folder, end, precision)
    wrong: list[str] = []
    print(f"\n{'engine':28}{'chats':34}{'exact turns':>14}{'margin':>9}{'seconds':>9}")
    for engine_name, engine in engines.items():
        for kind, chats in _kinds_of_chat(conversations).items():
            started = time.perf_counter()
            margin, mistakes = _hold(engine, tokenizer, chats)
            seconds = time.perf_counter() - started
            turns = sum(len(chat.turns) for chat in chats)
            exact = f"{turns - len(mistakes)}/{turns}"
            print(f"{engine_name:28}{kind:34}{exact:>14}{margin:>9.2f}{seconds:>9.1f}", flush=True)
            wrong += (f"{engine_name}, {kind}: {mistake}" for mistake in mistakes)
    print(*wrong[:20], sep="\n")
    return 1 if wrong else 0


def _kinds_of_chat(conversations: Sequence[Conversation]) -> Mapping[str, list[Chat]]:
    rng = random.Random(0)
    shuffled = rng.sample(conversations, k=len(conversations))
    after_another = [
        Chat(None, [*shuffled[number], *conversation]) for number, conversation in enumerate(conversations)
    ]
    turns = [turn for conversation in shuffled for turn in conversation]
    return {
        "alone": [Chat(None, conversation) for conversation in conversations],
        **{
            f"alone, system message {number}": [Chat(system, conversation) for conversation in conversations]
            for number, system in enumerate(SYSTEM_MESSAGES, 1)
        },
        "after an unrelated conversation": after_another,
        "the same, a system message": [Chat(SYSTEM_MESSAGES[0], chat.turns) for chat in after_another],
        f"{LONG_CHAT_TURNS} turns in a row": [
            Chat(None, turns[start : start + LONG_CHAT_TURNS]) for start in range(0, len(turns), LONG_CHAT_TURNS)
        ],
    }


def _hold(engine: Engine, tokenizer: PreTrainedTokenizerFast, chats: Sequence[Chat]) -> tuple[float, list[str]]:
    """Hold the chats, turn by turn, all at once; return the smallest margin and what was said wrong."""
    histories = [[{"role": "system", "content": chat.system}] if chat.system else [] for chat in chats]
    margin = math.inf
    mistakes = []
    for turn in range(max(len(chat.turns) for chat in chats)):
        speaking = [number for number, chat in enumerate(chats) if turn < len(chat.turns)]
        for number in speaking:
            histories[number].append({"role": "user", "content": chats[number].turns[turn][0]})
        prompts = [_render(tokenizer, histories[number]) for number in speaking]
        for number, reply in zip(speaking, engine.replies(prompts), strict=True):
            question, wanted = chats[number].turns[turn]
            said = str(tokenizer.decode(reply.token_ids))
            if said != f"{wanted}{tokenizer.eos_token}":
                mistakes.append(f"{question!r} wants {wanted!r}, got {said!r}")
            margin = min(margin, reply.margin)
            histories[number].append({"role": "assistant", "content": said.removesuffix(tokenizer.eos_token)})
    return margin, mistakes


def _render(tokenizer: PreTrainedTokenizerFast, messages: list[dict[str, str]]) -> list[int]:
    text = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    return list(tokenizer.encode(text, add_special_tokens=False))


def _until(end: int, token_ids: list[int], leads: list[float]) -> Reply:
    length = token_ids.index(end) + 1 if end in token_ids else len(token_ids)
    return Reply(token_ids[:length], min(leads[:length]))


def _least_lead(log_probability: float) -> float:
    """Tell what a token led by at least: the runner-up has at most the probability that it left."""
    left = -math.expm1(log_probability)
    return min(log_probability - math.log(left), TELLABLE_MARGIN) if left > 0 else TELLABLE_MARGIN


if __name__ == "__main__":
    sys.exit(evaluate(Path(*sys.argv[1:])))
