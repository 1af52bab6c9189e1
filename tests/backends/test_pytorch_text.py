"""Text through transformers models: what transformers says, however requests come, go and stand together."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.backends.asked import EOS, TURNS, Asked
from tests.contract.conftest import TINY
from tests.worker.asking import row
from wit_llm.backends.base import End, Signature, Target
from wit_llm.errors import OperatorError
from wit_llm.options import Decoding, Sampler
from wit_llm.tensor import Admitted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from transformers import PreTrainedModel

    from wit_llm.backends.pytorch_text import CausalLM

pytestmark = pytest.mark.slow  # what imports PyTorch is

WARM = Sampler(temperature=2.0)


def _load(folder: Path, **settings: str) -> CausalLM:
    from wit_llm.backends import pytorch
    from wit_llm.backends.pytorch_text import CausalLM

    graph = pytorch.load(folder, Target.CPU, {"num_threads": "1", "precision": "f32", **settings}, Signature())
    assert isinstance(graph, CausalLM)
    return graph


@pytest.fixture(scope="module")
def tiny() -> CausalLM:
    """The embedded model in f32."""
    return _load(TINY)


@pytest.fixture
def asked(tiny: CausalLM) -> Asked[CausalLM]:
    """The same, without anything left of earlier tests."""
    tiny.reset()
    return Asked(tiny)


def _generate(model: PreTrainedModel, token_ids: Sequence[int], count: int, **options: Any) -> list[int]:
    """What transformers says of a prompt alone."""
    import torch

    rows = torch.tensor([token_ids])
    with torch.inference_mode():
        said = model.generate(  # type: ignore[operator]
            rows,
            attention_mask=torch.ones_like(rows),
            max_new_tokens=count,
            do_sample=False,
            pad_token_id=0,
            **options,
        )
    reply: list[int] = said[0, len(token_ids) :].tolist()
    return reply


# ------------------------------------------------------------ the same as transformers


def test_greedy_tokens_are_those_of_transformers(asked: Asked[CausalLM]) -> None:
    """In f32 every turn that the embedded model knows has the tokens of ``generate``, alone and among others."""
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(TINY, dtype=torch.float32)
    wanted = [_generate(model, token_ids, 160, eos_token_id=EOS) for token_ids in TURNS]
    decoding = Decoding(160, (EOS,))
    assert len(wanted) == 165
    assert asked.replies(TURNS, decoding) == wanted
    asked.graph.reset()
    assert [asked.reply(token_ids, decoding) for token_ids in TURNS] == wanted


# Families that are told apart by what their attention does; each smallest, with weights that have learned nothing.
_SMALL = {
    "vocab_size": 101,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 128,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
_DYNAMIC = {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0}
_MIXED = ["sliding_attention", "full_attention", "sliding_attention"]


def _made(folder: Path, kind: str, **fields: Any) -> PreTrainedModel:
    """A model with random weights, in a folder."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    torch.manual_seed(1)
    config = AutoConfig.for_model(kind, **{**_SMALL, **fields})
    made = AutoModelForCausalLM.from_config(config, dtype=torch.float32)  # type: ignore[no-untyped-call]
    model: PreTrainedModel = made.eval()
    for weights in model.parameters():
        weights.data *= 3 if weights.ndim > 1 else 1  # or all logits would be near zero
    model.save_pretrained(folder)
    model.generation_config.eos_token_id = None
    return model


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        pytest.param("llama", {}, id="grouped-heads"),
        pytest.param("gpt2", {"n_embd": 32, "n_layer": 3, "n_head": 4, "n_positions": 128}, id="learned-positions"),
        pytest.param("mistral", {"sliding_window": 6}, id="sliding-window"),
        pytest.param("gemma3_text", {"sliding_window": 6, "layer_types": _MIXED}, id="some-layers-slide"),
        pytest.param("mixtral", {"num_local_experts": 4}, id="experts"),
        pytest.param(
            "deepseek_v3",
            {
                "num_key_value_heads": 4,
                "qk_nope_head_dim": 8,
                "qk_rope_head_dim": 8,
                "v_head_dim": 12,
                "kv_lora_rank": 16,
                "q_lora_rank": None,
                "n_routed_experts": 4,
                "num_experts_per_tok": 2,
                "n_group": 1,
                "topk_group": 1,
                "moe_intermediate_size": 16,
            },
            id="values-smaller-than-keys",
        ),
    ],
)
def test_other_architectures_say_what_they_say_in_transformers(
    kind: str, fields: dict[str, Any], tmp_path: Path
) -> None:
    """Prompts of different lengths, read in parts of five tokens, and the second turn of one of them."""
    model = _made(tmp_path, kind, **fields)
    asked = Asked(_load(tmp_path, max_num_batched_tokens="5"))
    prompts = [[5, 9, 11, 40, 33, 77, 21, 3, 8, 60, 61, 62, 63], [5, 9, 11], [7] * 9, [5, 9, 11, 40, 33, 77, 99, 98]]
    replies = asked.replies(prompts, Decoding(14))
    assert replies == [_generate(model, token_ids, 14) for token_ids in prompts]
    second = [*prompts[0], *replies[0][:5], 50]
    assert asked.reply(second, Decoding(14)) == _generate(model, second, 14)


@pytest.mark.parametrize(
    ("kind", "fields", "why"),
    [
        pytest.param("mamba", {}, "its attention cannot be replaced", id="no-attention"),
        pytest.param(
            "gptj",
            {"n_embd": 32, "n_layer": 2, "n_head": 4, "rotary_dim": 4},
            "its attention cannot be replaced",
            id="own-attention",
        ),
        pytest.param("gemma2", {}, "its attention has 'softcap'", id="capped-scores"),
        pytest.param(
            "llama",
            {"rope_parameters": _DYNAMIC},
            "its rotary embedding of type 'dynamic' is another for longer sequences",
            id="frequencies-of-a-pass",
        ),
        pytest.param("llama4_text", {}, "it has layers of type 'chunked_attention'", id="chunks"),
    ],
)
def test_architectures_that_do_not_suit_are_refused_by_name(
    kind: str, fields: dict[str, Any], why: str, tmp_path: Path
) -> None:
    """A model that does something else than can be done here is not loaded, and the error says what."""
    _made(tmp_path, kind, **fields)
    with pytest.raises(OperatorError, match=f"^models of type '{kind}' cannot generate here: {why}; those can whose "):
        _load(tmp_path)


# ------------------------------------------------------------ together


def test_a_reply_does_not_depend_on_its_neighbours(asked: Asked[CausalLM]) -> None:
    """Sampled tokens of a seed are the same alone, and beside prompts and replies that come and go."""
    decoding = Decoding(60, (), WARM, seed=7)
    alone = asked.reply(TURNS[0], decoding)
    asked.graph.reset()
    neighbours = [
        asked.add(token_ids, Decoding(9 + place, (), WARM, place)) for place, token_ids in enumerate(TURNS[1:6])
    ]
    number = asked.add(TURNS[0], decoding)
    for _ in range(7):
        asked.step()
    asked.graph.cancel(neighbours[0])
    asked.add(TURNS[30] * 8, Decoding(3))
    assert asked.finish(number) == [alone]


def test_numbers_that_are_none_end_the_reply_that_they_are_of(tmp_path: Path) -> None:
    """Where arithmetic of few bits overflows, say: greedy or not, what it says is no reply, and a neighbour's is."""
    model = _made(tmp_path, "llama", vocab_size=640)
    model.get_parameter("model.embed_tokens.weight").data[45] = float("nan")
    model.save_pretrained(tmp_path)
    asked = Asked(_load(tmp_path))
    decoding = Decoding(20, (), WARM, seed=7)
    alone = asked.reply([5, 9, 11], decoding)
    number = asked.add([5, 9, 11], decoding)
    lost = [asked.add([7, 45], Decoding(20, (), sampler)) for sampler in (Sampler(temperature=0.0), WARM)]
    assert asked.finish(number) == [alone]
    told = "the model's logits are not finite numbers here; with the setting precision = f32 they may be"
    assert asked.lost == dict.fromkeys(lost, told)


def test_a_long_prompt_does_not_stall_the_others() -> None:
    """While a prompt of many passes is read, a live reply gets a token each step, and a short prompt its own."""
    asked = Asked(_load(TINY, max_num_batched_tokens="16", prefix_caching="false"))
    live = asked.add(TURNS[0], Decoding(200))
    while live not in asked.step():
        pass
    long = asked.add(TURNS[3] * 40, Decoding(1))
    assert [asked.step() for _ in range(8)] == [[live]] * 8
    short = asked.add(TURNS[1][:8], Decoding(1))
    assert [sorted(asked.step()) for _ in range(2)] == [[live], [live, short]]
    assert not asked.token_ids[long]


def test_reading_a_prompt_in_parts_changes_nothing(asked: Asked[CausalLM]) -> None:
    """A prompt read three tokens at a time has the reply of one read whole."""
    wanted = asked.replies(TURNS[:8], Decoding(40, (EOS,)))
    assert Asked(_load(TINY, max_num_batched_tokens="3")).replies(TURNS[:8], Decoding(40, (EOS,))) == wanted


# ------------------------------------------------------------ what is kept


LONG = TURNS[7] * 10


def _known(asked: Asked[CausalLM], number: int) -> int:
    """Tokens of a request that need not be computed."""
    return len(asked.graph._live[number].state.token_ids)


def test_the_next_turn_computes_its_new_tokens_only(asked: Asked[CausalLM]) -> None:
    """What an earlier request read and said is known to a later one that begins with it, and the reply is the same."""
    decoding = Decoding(20)
    first = asked.reply(LONG, decoding)
    again = [*LONG, *first, *TURNS[1]]
    number = asked.add(again, decoding)
    assert _known(asked, number) == len(LONG) + len(first) - 1  # the last token was chosen, and never read
    second = asked.finish(number)[0]
    asked.graph.reset()
    number = asked.add(again, decoding)
    assert _known(asked, number) == 0
    assert asked.finish(number)[0] == second


def test_two_may_go_on_from_one_beginning(asked: Asked[CausalLM]) -> None:
    """Requests that begin alike and go on differently, at once and later, each have their own reply."""
    asked.graph.reset()
    prompts = [[*LONG, *TURNS[place]] for place in range(4)]
    wanted = []
    for token_ids in prompts:
        asked.graph.reset()
        wanted.append(asked.reply(token_ids, Decoding(20)))
    asked.graph.reset()
    asked.reply(LONG, Decoding(1))
    numbers = [asked.add(token_ids, Decoding(20)) for token_ids in prompts]
    assert [_known(asked, number) for number in numbers] == [len(LONG)] * 4
    assert asked.finish(*numbers) == wanted
    assert asked.replies(prompts, Decoding(20)) == wanted


def test_a_cancelled_request_leaves_only_what_was_computed(asked: Asked[CausalLM]) -> None:
    """A prompt cancelled half-way is known to its half, and the rest is computed."""
    wanted = asked.reply(LONG, Decoding(20))
    graph = _load(TINY, max_num_batched_tokens="64")
    later = Asked(graph)
    first = later.add(LONG, Decoding(20))
    later.step()
    graph.cancel(first)
    assert later.finish(first) == [[]]
    assert later.ends[first] is End.CANCELLED
    number = later.add(LONG, Decoding(20))
    assert _known(later, number) == 64
    assert later.finish(number) == [wanted]


def test_a_failed_step_leaves_nothing(asked: Asked[CausalLM]) -> None:
    """After a failure and a reset the same prompt is computed from its beginning, with the same reply."""
    wanted = asked.reply(TURNS[0], Decoding(20))
    asked.add([*TURNS[0], 640_000], Decoding(20))  # the door would not have let it in
    with pytest.raises(Exception, match="^generating failed in PyTorch: index out of range"):
        asked.step()
    asked.graph.reset()
    assert asked.graph.step() == []
    number = asked.add(TURNS[0], Decoding(20))
    assert _known(asked, number) == 0
    assert asked.finish(number) == [wanted]


def test_what_was_not_used_for_longest_goes_first() -> None:
    """No more is kept than the setting says."""
    token_bytes = 4 * 2 * (32 + 32) * 4  # layers, heads, keys and values, f32
    asked = Asked(_load(TINY, cache_size_gb=str(2.5 * len(LONG) * token_bytes / 2**30)))
    prompts = [[first, *LONG[1:]] for first in (10, 11, 12)]
    for token_ids in prompts:
        asked.reply(token_ids, Decoding(1))
    assert [_known(asked, asked.add(token_ids, Decoding(1))) > 0 for token_ids in prompts] == [False, True, True]


def test_nothing_is_kept_where_the_operator_says_so() -> None:
    """Without prefix caching every prompt is computed whole."""
    asked = Asked(_load(TINY, prefix_caching="false"))
    asked.reply(LONG, Decoding(1))
    assert _known(asked, asked.add(LONG, Decoding(1))) == 0


# ------------------------------------------------------------ precision


def _stored_as(dtype: str, folder: Path) -> Path:
    """The embedded model with its weights in another type."""
    import torch
    from transformers import AutoModelForCausalLM

    AutoModelForCausalLM.from_pretrained(TINY, dtype=getattr(torch, dtype)).save_pretrained(folder)
    return folder


@pytest.mark.parametrize(
    ("stored", "precision", "computed"),
    [("float16", None, "float32"), ("bfloat16", "f32", "float32"), ("float32", "bf16", "bfloat16")],
)
def test_precision_is_the_operators_or_loses_nothing(
    stored: str, precision: str | None, computed: str, tmp_path: Path
) -> None:
    """Arithmetic has the type of the setting; without one a CPU computes weights of f16 in f32."""
    from wit_llm.backends import pytorch, pytorch_text

    settings = {"num_threads": "1"} | ({"precision": precision} if precision else {})
    graph = pytorch.load(_stored_as(stored, tmp_path), Target.CPU, settings, Signature())
    assert isinstance(graph, pytorch_text.CausalLM)
    assert str(graph._forward.layout.dtype) == f"torch.{computed}"
    # What positions are multiplied by, which bf16 has not the digits for.
    assert {str(buffer.dtype) for name, buffer in graph._forward.model.named_buffers() if "inv_freq" in name} == {
        "torch.float32"
    }


def test_weights_of_bf16_are_computed_in_bf16_where_the_cpu_has_it(tmp_path: Path) -> None:
    """It is twice as fast there, and nowhere else."""
    from wit_llm.backends import pytorch, pytorch_text
    from wit_llm.backends.pytorch_linear import computes

    graph = pytorch.load(_stored_as("bfloat16", tmp_path), Target.CPU, {"num_threads": "1"}, Signature())
    assert isinstance(graph, pytorch_text.CausalLM)
    dtype = graph._forward.layout.dtype
    assert str(dtype) == ("torch.bfloat16" if "avx512_bf16" in Path("/proc/cpuinfo").read_text() else "torch.float32")
    assert computes(dtype)


def test_bf16_is_near_f32(tiny: CausalLM) -> None:
    """Logits in bf16 are off by at most a fiftieth of what lies between the largest and the smallest of f32."""
    import numpy as np

    half = _load(TINY, precision="bf16")
    for token_ids in (*TURNS[::20], (LONG * 4)[:1000]):
        admitted = Admitted((row("input_ids", token_ids), row("attention_mask", [1] * len(token_ids))))
        exact, rounded = (
            np.frombuffer(bytes(graph.compute(admitted)[0].tensor.data), np.float32) for graph in (tiny, half)
        )
        assert np.abs(rounded - exact).max() <= (exact.max() - exact.min()) / 50
