"""A Llama of SmolLM2-135M's shape that has learned nothing, and a tokenizer for it, made without a network."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from wit_llm.convert.compress import WeightFormat
from wit_llm.convert.folder import convert

SEED = 0
VOCABULARY = 49_152
WINDOW_TOKENS = 8192
WORDS = 60_000
CONTROL_TOKENS = ("<|pad|>", "<|bos|>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>")
CHAT_TEMPLATE = (
    "{% for message in messages %}{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)


def words(count: int, seed: int = SEED) -> list[str]:
    """Made-up words of two to four syllables."""
    rng = np.random.default_rng(seed)
    syllables = np.array([consonant + vowel for consonant in "bcdfghjklmnprstvwz" for vowel in "aeiou"])
    lengths = rng.integers(2, 5, count)
    return ["".join(rng.choice(syllables, length)) for length in lengths]


def make(folder: Path) -> Path:
    """The folder with an fp16 IR, made in a minute unless it is there."""
    if not folder.exists():
        convert(make_source(folder.with_name(f"{folder.name}-transformers")), folder, WeightFormat.FP16)
    return folder


def make_source(folder: Path) -> Path:
    """
    The folder as transformers has it, weights in BF16, made in a minute unless it is there.

    Source: ``config.json`` of huggingface.co/HuggingFaceTB/SmolLM2-135M.
    """
    if folder.exists():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        made = Path(scratch) / folder.name
        _save_tokenizer(made)
        _save_weights(made)
        made.rename(folder)
    return folder


def _save_tokenizer(folder: Path) -> None:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=list(CONTROL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([" ".join(words(WORDS))], trainer)
    if tokenizer.get_vocab_size() != VOCABULARY:
        raise RuntimeError(f"{tokenizer.get_vocab_size()} tokens were learned; {VOCABULARY} are wanted")
    pad, bos, end = CONTROL_TOKENS[:3]
    fast = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer,
        pad_token=pad,
        bos_token=bos,
        eos_token=end,
        model_max_length=WINDOW_TOKENS,
        clean_up_tokenization_spaces=False,
    )
    fast.chat_template = CHAT_TEMPLATE
    fast.save_pretrained(folder)


def _save_weights(folder: Path) -> None:
    torch.manual_seed(SEED)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=VOCABULARY,
            hidden_size=576,
            num_hidden_layers=30,
            num_attention_heads=9,
            num_key_value_heads=3,
            intermediate_size=1536,
            max_position_embeddings=WINDOW_TOKENS,
            rope_parameters={"rope_type": "default", "rope_theta": 100_000.0},
            rms_norm_eps=1e-5,
            tie_word_embeddings=True,
            pad_token_id=0,
            bos_token_id=1,
            eos_token_id=2,
        )
    )
    model.bfloat16().save_pretrained(folder)
    generation = {"do_sample": False, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    GenerationConfig.from_dict(generation).save_pretrained(folder)
