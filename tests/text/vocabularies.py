"""Small tokenizers of the kinds that models have, each the text of its ``tokenizer.json``."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from functools import cache

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

CORPUS = (
    "The quick brown fox jumps over the lazy dog. the the then there",
    "user assistant system end start of turn turn model answer question\n\nHello, world! hello",
    "naïve café, 東京 東京 こんにちは, Привет, 12 123 1234",
    "    indented code = [1, 2, 3]\n\tif x < y and y > z: return x",
)
# Control tokens of the templates beside this file.
SPECIAL = (
    "<s>",
    "</s>",
    "<|im_start|>",
    "<|im_end|>",
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<|eot_id|>",
    "[INST]",
    "[/INST]",
    "<start_of_turn>",
    "<end_of_turn>",
)
# What SentencePiece writes for what is in no piece.
SINGLE_BYTES = tuple(f"<0x{byte:02X}>" for byte in range(256))
# Added to the vocabulary without being called special: control tokens only of a template that writes them.
NOT_CALLED_SPECIAL = ("<|user|>", "<b>", "\n\n\n")


def _finished(tokenizer: Tokenizer) -> str:
    tokenizer.add_special_tokens(list(SPECIAL))
    tokenizer.add_tokens([AddedToken(text, normalized=False) for text in NOT_CALLED_SPECIAL])
    opening = [("<s>", tokenizer.token_to_id("<s>")), ("</s>", tokenizer.token_to_id("</s>"))]
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=opening)
    return str(tokenizer.to_str())


def with_added(definition: str, special: Iterable[str], others: Iterable[str] = ()) -> str:
    """The same vocabulary with control tokens, and with tokens that are added but not called special."""
    tokenizer = Tokenizer.from_str(definition)
    tokenizer.add_special_tokens(sorted(special))
    tokenizer.add_tokens([AddedToken(text, normalized=False) for text in sorted(others)])
    return str(tokenizer.to_str())


@cache
def byte_level() -> str:
    """As GPT-2, Llama 3, Qwen and most others: tokens are pieces of UTF-8."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=420, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(CORPUS, trainer)
    return _finished(tokenizer)


@cache
def sentencepiece() -> str:
    """As Llama 2, Mistral and Gemma: tokens are text, a space is put before each text, bytes stand for the rest."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))  # noqa: S106 -- no secret
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    trainer = trainers.BpeTrainer(vocab_size=500, special_tokens=["<unk>", *SINGLE_BYTES], show_progress=False)
    tokenizer.train_from_iterator(CORPUS, trainer)
    definition = Tokenizer.from_str(tokenizer.to_str())
    definition.decoder = _sentencepiece_decoder()
    return _finished(_without_added(definition, SINGLE_BYTES))


def _sentencepiece_decoder() -> decoders.Decoder:
    return decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )


def _without_added(tokenizer: Tokenizer, texts: Sequence[str]) -> Tokenizer:
    """The trainer makes control tokens of single bytes; models have them as ordinary tokens."""
    definition = json.loads(tokenizer.to_str())
    definition["added_tokens"] = [token for token in definition["added_tokens"] if token["content"] not in texts]
    return Tokenizer.from_str(json.dumps(definition))


@cache
def unigram() -> str:
    """As T5: pieces with a probability each, words begin with a mark."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=120,
        unk_token="<unk>",  # noqa: S106 -- no secret
        special_tokens=["<unk>", "<s>", "</s>"],
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    return _finished(tokenizer)


@cache
def unigram_with_bytes() -> str:
    """As SentencePiece's own default with byte fallback: pieces with a probability each, bytes for the rest."""
    learned = json.loads(unigram())["model"]
    pieces = [(text, score) for text, score in learned["vocab"] if text not in SPECIAL]
    pieces += [(text, -20.0) for text in SINGLE_BYTES]
    unknown = next(place for place, (text, _) in enumerate(pieces) if text == "<unk>")
    tokenizer = Tokenizer(models.Unigram(pieces, unknown, byte_fallback=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    tokenizer.decoder = _sentencepiece_decoder()
    return _finished(tokenizer)


@cache
def wordpiece() -> str:
    """As BERT: lower case, pieces that go on with a word are marked, and the spaces between words are made up."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))  # noqa: S106 -- no secret
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    trainer = trainers.WordPieceTrainer(vocab_size=200, special_tokens=["[UNK]"], show_progress=False)
    tokenizer.train_from_iterator(CORPUS, trainer)
    return _finished(tokenizer)
