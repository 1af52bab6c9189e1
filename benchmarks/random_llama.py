"""Models of the shapes of known ones that have learned nothing, and tokenizers for them, made without a network."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from made_up import SEED, words
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    AutoModelForCausalLM,
    GenerationConfig,
    LlamaConfig,
    PreTrainedConfig,
    PreTrainedTokenizerFast,
    Qwen2Config,
)

from wit_llm.convert.compress import WeightFormat
from wit_llm.convert.folder import convert

CONTROL_TOKENS = ("<|pad|>", "<|bos|>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>")
CHAT_TEMPLATE = (
    "{% for message in messages %}{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)


@dataclass(frozen=True, slots=True)
class Shape:
    """
    What a model is made of.

    Args:
        name: What it is called.
        config: As transformers has it.
        words: How many made-up words its tokenizer learns from; enough for as many tokens as the model has.
    """

    name: str
    config: PreTrainedConfig
    words: int


# Source: ``config.json`` of huggingface.co/HuggingFaceTB/SmolLM2-135M.
SMOLLM2_135M = Shape(
    "smollm2-135m",
    LlamaConfig(
        vocab_size=49_152,
        hidden_size=576,
        num_hidden_layers=30,
        num_attention_heads=9,
        num_key_value_heads=3,
        intermediate_size=1536,
        max_position_embeddings=8192,
        rope_parameters={"rope_type": "default", "rope_theta": 100_000.0},
        rms_norm_eps=1e-5,
        tie_word_embeddings=True,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    ),
    words=60_000,
)
# Source: ``config.json`` of huggingface.co/Qwen/Qwen2.5-0.5B.
QWEN2_5_0_5B = Shape(
    "qwen2.5-0.5b",
    Qwen2Config(
        vocab_size=151_936,
        hidden_size=896,
        num_hidden_layers=24,
        num_attention_heads=14,
        num_key_value_heads=2,
        intermediate_size=4864,
        max_position_embeddings=32_768,
        rope_parameters={"rope_type": "default", "rope_theta": 1_000_000.0},
        rms_norm_eps=1e-6,
        tie_word_embeddings=True,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    ),
    words=200_000,
)
SMALL = Shape(
    "small",
    LlamaConfig(
        vocab_size=2048,
        hidden_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        intermediate_size=256,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    ),
    words=5_000,
)
SHAPES = {shape.name: shape for shape in (SMOLLM2_135M, QWEN2_5_0_5B, SMALL)}


def make(folder: Path) -> Path:
    """The folder with an fp16 IR, made in a minute unless it is there."""
    if not folder.exists():
        convert(make_source(folder.with_name(f"{folder.name}-transformers")), folder, WeightFormat.FP16)
    return folder


def make_source(folder: Path, shape: Shape = SMOLLM2_135M) -> Path:
    """The folder as transformers has it, weights in BF16, made in a minute unless it is there."""
    if folder.exists():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        made = Path(scratch) / folder.name
        _save_tokenizer(made, shape)
        _save_weights(made, shape)
        made.rename(folder)
    return folder


def _save_tokenizer(folder: Path, shape: Shape) -> None:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=shape.config.vocab_size,
        special_tokens=list(CONTROL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([" ".join(words(shape.words))], trainer)
    if tokenizer.get_vocab_size() != shape.config.vocab_size:
        raise RuntimeError(f"{tokenizer.get_vocab_size()} tokens were learned; {shape.config.vocab_size} are wanted")
    pad, bos, end = CONTROL_TOKENS[:3]
    fast = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer,
        pad_token=pad,
        bos_token=bos,
        eos_token=end,
        model_max_length=shape.config.max_position_embeddings,
        clean_up_tokenization_spaces=False,
    )
    fast.chat_template = CHAT_TEMPLATE
    fast.save_pretrained(folder)


def _save_weights(folder: Path, shape: Shape) -> None:
    torch.manual_seed(SEED)
    model: Any = AutoModelForCausalLM.from_config(shape.config)  # type: ignore[no-untyped-call]
    for name, weight in model.named_parameters():
        if name.endswith(".bias"):  # they begin as zeros, by which nobody would see that one has been left out
            torch.nn.init.normal_(weight, std=shape.config.initializer_range)
    model.to(torch.bfloat16).save_pretrained(folder)
    control = {name: getattr(shape.config, name) for name in ("pad_token_id", "bos_token_id", "eos_token_id")}
    GenerationConfig.from_dict({"do_sample": False, **control}).save_pretrained(folder)
