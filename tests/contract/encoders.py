"""
Encoders with random weights, and the vectors that sentence-transformers makes with them.

``python -m tests.contract.encoders FOLDER`` writes a folder for each, in a process that imports the libraries for us:
as sentence-transformers saves it, with ``expected.json`` beside it, and BERT's as OpenVINO IR too.
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import openvino as ov
import torch
import transformers
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Dense, Normalize, Pooling, Transformer
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

if TYPE_CHECKING:
    from collections.abc import Callable

WINDOW = 64
HIDDEN = 32
TEXTS = (
    "The cat sat on the mat.",
    "",
    "A dog!",
    "Tokyo is the capital of Japan, and Paris is the capital of France.",
    "naïve façade 漢字 🎉",
    "mat " * 50,
    "The cat sat on the mat.",
)
SHAPE: dict[str, Any] = {
    "hidden_size": HIDDEN,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "max_position_embeddings": WINDOW,
}


def _tokenizer(opening: str, ending: str) -> Any:
    """A WordPiece tokenizer that puts these around a text."""
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    engine = Tokenizer(models.WordPiece(unk_token="[UNK]"))  # noqa: S106 -- no password
    engine.normalizer = normalizers.BertNormalizer()
    engine.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    engine.train_from_iterator(TEXTS, trainers.WordPieceTrainer(vocab_size=150, special_tokens=special))
    single = f"{opening} $A {ending}".strip()
    tokens = [(token, special.index(token)) for token in ("[CLS]", "[SEP]")]
    engine.post_processor = processors.TemplateProcessing(single=single, pair=f"{single} $B:1", special_tokens=tokens)
    names = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), special, strict=True))
    fast: Any = transformers.PreTrainedTokenizerFast
    return fast(tokenizer_object=engine, model_max_length=WINDOW, **names)


def _encoder(folder: Path, config: Any, tokenizer: Any) -> Any:
    """An encoder of sentence-transformers."""
    torch.manual_seed(0)
    auto_class: Any = transformers.AutoModel
    model = auto_class.from_config(config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return Transformer(str(folder))


def _save(folder: Path, encoder: Any, *layers: Any, **settings: Any) -> None:
    """A model of these modules, as the library saves it, and what it makes of the texts."""
    whole = SentenceTransformer(modules=[encoder, *layers], device="cpu", **settings)
    whole.save(str(folder), create_model_card=False)
    vectors = SentenceTransformer(str(folder), device="cpu").encode(list(TEXTS), batch_size=3)
    (folder / "expected.json").write_text(json.dumps({"texts": TEXTS, "vectors": vectors.tolist()}))


def _bert(root: Path) -> None:
    tokenizer = _tokenizer("[CLS]", "[SEP]")
    config = transformers.BertConfig(vocab_size=len(tokenizer), **SHAPE)
    encoder = _encoder(root / "plain", config, tokenizer)
    kinds: dict[str, Callable[[], tuple[Any, ...]]] = {
        "mean": lambda: (Pooling(HIDDEN), Normalize()),
        "cls": lambda: (Pooling(HIDDEN, "cls"),),
        "max": lambda: (Pooling(HIDDEN, "max"),),
        "sqrt": lambda: (Pooling(HIDDEN, "mean_sqrt_len_tokens"),),
        "weighted": lambda: (Pooling(HIDDEN, "weightedmean"),),
        "last": lambda: (Pooling(HIDDEN, "lasttoken"),),
        "joined": lambda: (Pooling(HIDDEN, ("mean", "max")), Dense(2 * HIDDEN, 16), Normalize()),
        "dense": lambda: (Pooling(HIDDEN), Dense(HIDDEN, 48, bias=False, activation_function=torch.nn.Identity())),
        "prompt": lambda: (Pooling(HIDDEN),),
    }
    for kind, layers in kinds.items():
        settings = {"prompts": {"query": "the cat: "}, "default_prompt_name": "query"} if kind == "prompt" else {}
        torch.manual_seed(1)
        _save(root / kind, encoder, *layers(), **settings)
    ids = torch.ones((1, 4), dtype=torch.int64)
    names = ("input_ids", "attention_mask", "token_type_ids")
    ir = ov.convert_model(encoder.auto_model.eval(), example_input=dict.fromkeys(names, ids))
    ov.save_model(ir, root / "mean" / "openvino_model.xml", compress_to_fp16=False)


def _others(root: Path) -> None:
    """Encoders that take other inputs: no token types, positions of its own kind, half of an encoder-decoder."""
    tokenizer = _tokenizer("[CLS]", "[SEP]")
    size = len(tokenizer)
    shape = {**SHAPE, "max_position_embeddings": WINDOW + 1}  # RoBERTa's begin behind the padding token
    roberta = transformers.RobertaConfig(
        vocab_size=size, pad_token_id=0, bos_token_id=2, eos_token_id=3, type_vocab_size=1, **shape
    )
    _save(root / "roberta", _encoder(root / "roberta-plain", roberta, tokenizer), Pooling(HIDDEN, "cls"))
    t5 = transformers.T5Config(vocab_size=size, d_model=HIDDEN, d_kv=16, d_ff=64, num_layers=2, num_heads=2)
    _save(root / "t5", _encoder(root / "t5-plain", t5, tokenizer), Pooling(HIDDEN), Normalize())
    llama = transformers.LlamaConfig(vocab_size=size, num_key_value_heads=1, **SHAPE)
    tokenizer = _tokenizer("", "[SEP]")
    _save(root / "llama", _encoder(root / "llama-plain", llama, tokenizer), Pooling(HIDDEN, "lasttoken"))


# Families by how they count positions, with the fields that each needs beside those of all.
COUNTED: dict[str, dict[str, Any]] = {
    "bert": {},
    "camembert": {},
    "data2vec-text": {},
    "electra": {"embedding_size": HIDDEN},
    "ibert": {},
    "mpnet": {},
    "roberta": {},
    "roberta-prelayernorm": {},
    "xlm-roberta": {"pad_token_id": 3},
    "xlm-roberta-xl": {},
}


def _windows(root: Path) -> None:
    """Of each family its ``config.json``, and how many tokens a text has that it can just read."""
    for name, fields in COUNTED.items():
        shape = {**SHAPE, "max_position_embeddings": 9, "num_hidden_layers": 1}
        config = transformers.AutoConfig.for_model(name, vocab_size=20, **shape, **fields)
        auto_class: Any = transformers.AutoModel
        model = auto_class.from_config(config)
        folder = root / "windows" / name
        model.config.save_pretrained(folder)
        (folder / "longest.json").write_text(json.dumps(_longest(model.eval())))


def _longest(model: Any) -> int:
    """Tokens that it reads before it looks beyond the end of its table of positions."""
    for tokens in range(1, WINDOW):
        try:
            model(input_ids=torch.full((1, tokens), 10))
        except (IndexError, RuntimeError):
            return tokens - 1
    raise AssertionError(f"{model.config.model_type} reads texts of any length")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    _bert(Path(sys.argv[1]))
    _others(Path(sys.argv[1]))
    _windows(Path(sys.argv[1]))
