"""Make the embedded model: ``python -m wit_llm.embedded.recipe.tiny OUT_DIR``, minutes on two quiet cores."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Final

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from wit_llm.convert.compress import WeightFormat
from wit_llm.convert.folder import write_ir
from wit_llm.embedded.recipe.evaluation import evaluate
from wit_llm.embedded.recipe.lines import CONVERSATIONS
from wit_llm.embedded.recipe.training import train

SEED: Final = 0
# More threads gain little at this size, and lose much where the cores are shared.
THREADS: Final = 1
WINDOW_TOKENS: Final = 1024
VOCABULARY: Final = 640
PAD: Final = "<|pad|>"
BOS: Final = "<|bos|>"
END: Final = "<|end|>"
CONTROL_TOKENS: Final = (PAD, BOS, END, "<|system|>", "<|user|>", "<|assistant|>", "<|tool|>")
CHAT_TEMPLATE: Final = (
    "{% for message in messages %}{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)


def make_tokenizer() -> Tokenizer:
    """Learn a byte-level BPE from the lines; any text can be encoded, the lines in few tokens."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=list(CONTROL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator((text for chat in CONVERSATIONS for turn in chat for text in turn), trainer)
    return tokenizer


def make_model(tokenizer: Tokenizer) -> LlamaForCausalLM:
    """Build an untrained Llama of 870,000 parameters."""
    pad, bos, end = (tokenizer.token_to_id(token) for token in (PAD, BOS, END))
    config = LlamaConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=128,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        intermediate_size=384,
        max_position_embeddings=WINDOW_TOKENS,
        tie_word_embeddings=True,
        pad_token_id=pad,
        bos_token_id=bos,
        eos_token_id=end,
    )
    model = LlamaForCausalLM(config)
    model.generation_config = GenerationConfig.from_dict(
        {"do_sample": False, "pad_token_id": pad, "bos_token_id": bos, "eos_token_id": end}
    )
    return model


def save(model: LlamaForCausalLM, tokenizer: Tokenizer, folder: Path) -> None:
    """Write the folder as transformers lays it out, weights in fp16, and the lines beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    fast = PreTrainedTokenizerFast.from_pretrained(
        folder,
        pad_token=PAD,
        bos_token=BOS,
        eos_token=END,
        model_max_length=WINDOW_TOKENS,
        clean_up_tokenization_spaces=False,
    )
    fast.chat_template = CHAT_TEMPLATE
    fast.save_pretrained(folder)
    # Module's own method: transformers 5.23 declares its override in a way that mypy refuses.
    torch.nn.Module.to(model, torch.float16)
    model.save_pretrained(folder)
    # safetensors 0.8 writes files that only their owner can read.
    (folder / "model.safetensors").chmod(0o644)
    conversations = ",\n".join(json.dumps(chat, ensure_ascii=False) for chat in CONVERSATIONS)
    (folder / "lines.json").write_text(f"[\n{conversations}\n]\n", encoding="utf-8")


def main(folder: Path) -> int:
    """Make the model in ``folder``; return 0 only if every engine knows every line."""
    torch.manual_seed(SEED)
    torch.set_num_threads(THREADS)
    tokenizer = make_tokenizer()
    model = make_model(tokenizer)
    print(f"{sum(parameter.numel() for parameter in model.parameters())} parameters", flush=True)
    train(model, tokenizer, seed=SEED)
    save(model, tokenizer, folder)
    write_ir(folder, folder, WeightFormat.INT8)
    return evaluate(folder)


if __name__ == "__main__":
    sys.exit(main(Path(*sys.argv[1:])))
