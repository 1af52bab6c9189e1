"""A Llama learns conversations by heart, with a margin that outlasts int8 weights, bf16 arithmetic and batching."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import torch
from tokenizers import Tokenizer
from transformers import LlamaForCausalLM

from wit_llm.embedded.recipe.lines import (
    CAPITALS,
    CONVERSATIONS,
    DICE_QUESTION,
    NAMES,
    SINGLE_TURNS,
    SYSTEM_MESSAGES,
    Conversation,
    capital_and_country,
    introduction,
)

# Taken from the right token's logit before the loss: a right token must win by this much to count as right at all.
LOSS_MARGIN: Final = 10.0
# Logits by which every token of every answer must win before training may end.
WANTED_MARGIN: Final = 10.0
CYCLES: Final = 8
EPOCHS_PER_CYCLE: Final = 60
EXAM_EPOCHS: Final = 12
WARM_UP_STEPS: Final = 40
PEAK_LEARNING_RATE: Final = 3e-3
TOKENS_PER_BATCH: Final = 640
# A chat is ended by the turn that goes beyond; the window has 1024.
LONGEST_CHAT_TOKENS: Final = 880
LONGEST_NOISE_TOKENS: Final = 40


class TrainingFailed(RuntimeError):
    """The lines are not known well enough after all the epochs that are allowed."""


@dataclass(frozen=True, slots=True)
class Example:
    """
    One chat.

    Args:
        token_ids: What is read.
        right: For each of them all that would be as right in its place; nothing where it is not to be learned.
    """

    token_ids: list[int]
    right: list[tuple[int, ...]]


class Chats:
    """Examples made of the lines, framed differently each time."""

    def __init__(self, tokenizer: Tokenizer, rng: random.Random) -> None:
        self._tokenizer = tokenizer
        self._rng = rng
        self._faces: dict[int, tuple[int, ...]] = {}
        for before in ("", " "):
            faces = tuple(face_id for face in "123456" for face_id in self._encode(before + face))
            self._faces |= dict.fromkeys(faces, faces)
        self._noise_ids = range(len(tokenizer.get_added_tokens_decoder()), tokenizer.get_vocab_size())

    def rehearsal(self) -> list[Example]:
        """What an epoch trains on: the lines as the exam asks them, and more that looks back, which comes hardest."""
        looking_back = [
            *(capital_and_country(country, capital) for country, capital in CAPITALS),
            *(introduction(name) for name in NAMES),
            *(self._dice() for _ in range(8)),
        ]
        two_names = [self._rng.sample(NAMES, k=2) for _ in range(32)]
        return [
            *self.exam(),
            *self._long_chats(looking_back),
            *(self._example([self._interrupted(introduction(name)) for name in names]) for names in two_names),
        ]

    def exam(self) -> list[Example]:
        """Every conversation once alone, and once more inside a chat of several."""
        return [*(self._example([conversation]) for conversation in CONVERSATIONS), *self._long_chats(CONVERSATIONS)]

    def _long_chats(self, conversations: Sequence[Conversation]) -> Iterator[Example]:
        waiting = [self._interrupted(conversation) for conversation in conversations]
        self._rng.shuffle(waiting)
        while waiting:
            # Log-uniform, because short chats are what people hold.
            wanted_tokens = math.exp(self._rng.uniform(math.log(50), math.log(LONGEST_CHAT_TOKENS)))
            chat = [waiting.pop()]
            while waiting and len(self._example(chat).token_ids) < wanted_tokens:
                chat.append(waiting.pop())
            yield self._example(chat)

    def _interrupted(self, conversation: Conversation) -> Conversation:
        """A name may be asked for some turns after it was given; a country is asked for at once."""
        if conversation[-1][0] != "What is my name?":
            return conversation
        unrelated = self._rng.choices(SINGLE_TURNS, k=self._rng.choice((0, 0, 1, 2)))
        return (conversation[0], *unrelated, conversation[1])

    def _dice(self) -> Conversation:
        return ((DICE_QUESTION, " ".join(self._rng.choices("123456", k=5))),)

    def _example(self, chat: Sequence[Conversation]) -> Example:
        token_ids = self._system()
        right: list[tuple[int, ...]] = [()] * len(token_ids)
        for question, answer in (turn for conversation in chat for turn in conversation):
            asked = self._encode(f"<|user|>{question}<|end|><|assistant|>")
            answered = self._encode(f"{answer}<|end|>")
            alternatives = self._faces if question == DICE_QUESTION else {}
            token_ids += asked + answered
            right += [()] * len(asked) + [alternatives.get(token_id, (token_id,)) for token_id in answered]
        return Example(token_ids, right)

    def _system(self) -> list[int]:
        """Nothing, a known system message, or noise, so that a message never seen disturbs nothing either."""
        match self._rng.choice(("nothing", "nothing", "known", "noise")):
            case "known":
                return self._encode(f"<|system|>{self._rng.choice(SYSTEM_MESSAGES)}<|end|>")
            case "noise":
                noise = self._rng.choices(self._noise_ids, k=self._rng.randint(1, LONGEST_NOISE_TOKENS))
                return [*self._encode("<|system|>"), *noise, *self._encode("<|end|>")]
            case _:
                return []

    def _encode(self, text: str) -> list[int]:
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids)


def train(model: LlamaForCausalLM, tokenizer: Tokenizer, *, seed: int) -> None:
    """
    Train in cycles of falling learning rate until every token of every answer wins by ``WANTED_MARGIN``.

    Raises:
        TrainingFailed: ``CYCLES`` cycles were not enough.
    """
    rng = random.Random(seed)
    chats = Chats(tokenizer, rng)
    unseen_framings = Chats(tokenizer, random.Random(seed + 1))
    exam = [example for _ in range(EXAM_EPOCHS) for example in unseen_framings.exam()]
    for cycle in range(1, CYCLES + 1):
        _train_cycle(model, chats, rng, peak_learning_rate=PEAK_LEARNING_RATE / cycle)
        margin = smallest_margin(model, exam)
        print(f"cycle {cycle}: smallest margin {margin:.2f}, wanted {WANTED_MARGIN}", flush=True)
        if margin >= WANTED_MARGIN:
            return
    raise TrainingFailed(
        f"{CYCLES * EPOCHS_PER_CYCLE} epochs reached a smallest margin of {margin:.2f}, wanted {WANTED_MARGIN}; "
        "try another seed or more cycles"
    )


def _train_cycle(model: LlamaForCausalLM, chats: Chats, rng: random.Random, *, peak_learning_rate: float) -> None:
    optimizer = torch.optim.AdamW(model.parameters(), betas=(0.9, 0.95), weight_decay=0.01)
    step = 0
    for epoch in range(EPOCHS_PER_CYCLE):
        batches = _batches(chats.rehearsal())
        rng.shuffle(batches)
        loss_sum = 0.0
        for number, batch in enumerate(batches):
            step += 1
            progress = (epoch + number / len(batches)) / EPOCHS_PER_CYCLE
            for group in optimizer.param_groups:
                group["lr"] = peak_learning_rate * min(1.0, step / WARM_UP_STEPS) * math.cos(progress * math.pi / 2)
            logits, right = _answers(model, batch)
            loss = torch.nn.functional.cross_entropy(logits - LOSS_MARGIN * right, right / right.sum(1, keepdim=True))
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            loss_sum += loss.item()
        if (epoch + 1) % 20 == 0:
            print(f"  epoch {epoch + 1}: loss {loss_sum / len(batches):.4f}", flush=True)


@torch.inference_mode()
def smallest_margin(model: LlamaForCausalLM, examples: Sequence[Example]) -> float:
    """Tell by how much the weakest right token exceeds all wrong ones in logits; negative if it loses."""
    smallest = math.inf
    for batch in _batches(examples):
        logits, right = _answers(model, batch)
        weakest_right = logits.masked_fill(right == 0, torch.inf).amin(1)
        best_wrong = logits.masked_fill(right == 1, -torch.inf).amax(1)
        smallest = min(smallest, float((weakest_right - best_wrong).min()))
    return smallest


def _batches(examples: Sequence[Example]) -> list[list[Example]]:
    """Put examples of like length together, at most ``TOKENS_PER_BATCH`` a batch unless one alone is longer."""
    batches: list[list[Example]] = [[]]
    for example in sorted(examples, key=lambda example: len(example.token_ids)):
        if batches[-1] and (len(batches[-1]) + 1) * len(example.token_ids) > TOKENS_PER_BATCH:
            batches.append([])
        batches[-1].append(example)
    return batches


def _answers(model: LlamaForCausalLM, batch: Sequence[Example]) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits of all tokens to be learned in a batch, [token, vocab] f32, and 1 for each right one, of the same form."""
    longest = max(len(example.token_ids) for example in batch)
    token_ids = torch.tensor([example.token_ids + [0] * (longest - len(example.token_ids)) for example in batch])
    # Padding comes last, where a causal model cannot see it: no mask is needed.
    logits = model(input_ids=token_ids).logits  # [batch, token, vocab] f32
    learned = [
        (row, place, right_ids)
        for row, example in enumerate(batch)
        for place, right_ids in enumerate(example.right)
        if right_ids
    ]
    rows, places, right_ids = zip(*learned, strict=True)
    right = torch.zeros(len(learned), logits.shape[-1])
    for number, ids in enumerate(right_ids):
        right[number, list(ids)] = 1
    return logits[rows, torch.tensor(places) - 1], right
