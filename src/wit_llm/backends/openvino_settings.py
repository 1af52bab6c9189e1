"""OpenVINO: what the operator may choose, in the words of the manifest and in the library's."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

# Tokens alike before a guess, at most; fewer are tried where so many are not found.
NGRAM_TOKENS = 3


class Settings(msgspec.Struct, frozen=True):
    """
    What the operator may choose.

    Args:
        cache_size_gb: Of the KV cache, once and for all; none is as ``_kv_blocks`` says.
        prefix_caching: Keep the KV state of tokens that were seen, for prompts that begin with them.
        max_num_batched_tokens: Tokens of one step, and so how long a cancel may take.
        max_num_seqs: Requests at once; more than these wait.
        num_threads: Of the CPU; none is the library's choice.
        precision: Of the arithmetic; none is what the model says, for tensors and for scores, and for replies the
            device's own: bf16 where the CPU has it.
        kv_cache_precision: Of the KV cache; none is f16 for replies on a CPU, and else the library's choice.
        constraints_mb: What constraints that were seen may take, about, until the pipeline is built anew.
        prompt_lookup: Tokens that a step guesses at most, as those that came earlier after the same few; none is not to
            guess. The model looks at each of them, and a reply is what it would have been. The cache then grows with
            what is live.
        large_pages: Move weights to large pages once they are loaded, on the CPU and where the kernel can.
    """

    cache_size_gb: Annotated[int, msgspec.Meta(ge=1)] | None = None
    prefix_caching: bool = True
    max_num_batched_tokens: Annotated[int, msgspec.Meta(ge=1)] = 256
    max_num_seqs: Annotated[int, msgspec.Meta(ge=1)] = 64
    num_threads: Annotated[int, msgspec.Meta(ge=1)] | None = None
    precision: Literal["f32", "f16", "bf16"] | None = None
    kv_cache_precision: Literal["u8", "f16", "bf16", "f32"] | None = None
    constraints_mb: Annotated[int, msgspec.Meta(ge=1)] = 256
    prompt_lookup: Annotated[int, msgspec.Meta(ge=1, le=64)] | None = None
    large_pages: bool = True

    def __post_init__(self) -> None:
        """
        Refuse what is not sound together.

        openvino-genai 2026.4.1 files a block of the cache under the tokens that were guessed, and keeps it there when
        other ones take their places: a prompt that has those in it is then answered as another would be. And guesses
        that have to wait, for room in a step or in the cache, are said unseen. ``tests/contract/test_lookup.py`` has
        prompts for both, and will tell when this can go.

        Raises:
            ValueError: There is such a thing.
        """
        if self.prompt_lookup is not None and self.prefix_caching:
            raise ValueError("prompt_lookup goes with prefix_caching=false only, as wrong guesses stay in that cache")
        if self.prompt_lookup is not None and self.cache_size_gb is not None:
            raise ValueError(
                "prompt_lookup goes without cache_size_gb only, as guesses in a full cache are not checked"
            )
        if not self.slots:
            raise ValueError(
                f"prompt_lookup={self.prompt_lookup} and the token before them are more than "
                f"max_num_batched_tokens={self.max_num_batched_tokens}"
            )

    @property
    def slots(self) -> int:
        """Requests at once: ``max_num_seqs``, or fewer where more would not have all their guesses in one step."""
        if self.prompt_lookup is None:
            return self.max_num_seqs
        return min(self.max_num_seqs, self.max_num_batched_tokens // (1 + self.prompt_lookup))

    def properties(self) -> dict[str, object]:
        """The library's names for those that are its own."""
        named = {
            "INFERENCE_NUM_THREADS": self.num_threads,
            "INFERENCE_PRECISION_HINT": self.precision,
            "KV_CACHE_PRECISION": self.kv_cache_precision,
        }
        return {name: value for name, value in named.items() if value is not None}

    def of_replies(self, device: str) -> dict[str, object]:
        """
        The same for a pipeline.

        Left to itself the library keeps the cache in u8 on a CPU, which takes half the memory, and the more time the
        longer a text is: ``benchmarks/EXPERIMENTS.md``. Every type of arithmetic goes with f16.
        """
        lookup = {"prompt_lookup": True} if self.prompt_lookup is not None else {}
        return ({"KV_CACHE_PRECISION": "f16"} if device == "CPU" else {}) | lookup | self.properties()
