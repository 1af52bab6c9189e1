"""
Models that think and call tools: their chat templates, their tokens, and replies of theirs written down.

The templates are the models' own; see ``templates/NOTICE``. A reply is what the model writes for what the test
hands it, cut where its tokens end; what is in its vocabulary as one token is one here.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.text import echo_folder
from wit_llm.text.message import Call, Part, Reasoning, Text
from wit_llm.tokenizer import Tokenizer

_FOLDER = Path(__file__).with_name("templates") / "real"
# What llama.cpp has added to the templates of models that always think.
_SWITCHES = (
    "{%- if not enable_thinking -%}{{- '</think>' -}}{%- endif -%}",
    "{% if not enable_thinking %}{{- '</think>' -}}{% endif %}",
)

# Text, and whether the model's own tokenizer calls it special; the first ends a reply.
_QWEN = {
    "<|im_end|>": True,
    "<|endoftext|>": True,
    "<|im_start|>": True,
    "<|object_ref_start|>": True,
    "<|repo_name|>": True,
    "<tool_call>": False,
    "</tool_call>": False,
    "<tool_response>": False,
    "</tool_response>": False,
    "<think>": False,
    "</think>": False,
}
_LLAMA = dict.fromkeys(
    (
        "<|eot_id|>",
        "<|begin_of_text|>",
        "<|start_header_id|>",
        "<|end_header_id|>",
        "<|eom_id|>",
        "<|python_tag|>",
    ),
    True,
)
_MISTRAL = dict.fromkeys(
    (
        "</s>",
        "<s>",
        "[INST]",
        "[/INST]",
        "[AVAILABLE_TOOLS]",
        "[/AVAILABLE_TOOLS]",
        "[TOOL_RESULTS]",
        "[/TOOL_RESULTS]",
        "[TOOL_CALLS]",
        "[TOOL_CONTENT]",
        "[SYSTEM_PROMPT]",
        "[/SYSTEM_PROMPT]",
        "[ARGS]",
        "[CALL_ID]",
        "[THINK]",
        "[/THINK]",
    ),
    True,
)
_DEEPSEEK_NAMES = (
    "end▁of▁sentence begin▁of▁sentence User Assistant tool▁calls▁begin tool▁calls▁end tool▁call▁begin tool▁call▁end "
    "tool▁sep tool▁outputs▁begin tool▁outputs▁end tool▁output▁begin tool▁output▁end"
)
_DEEPSEEK = {f"<\uff5c{name}\uff5c>": "sentence" in name for name in _DEEPSEEK_NAMES.split()}
_DEEPSEEK |= {"<think>": False, "</think>": False}


@dataclass(frozen=True)
class Model:
    """
    A model's files.

    Args:
        name: In a word.
        file: Of its template.
        tokens: Of its vocabulary, beside one for each byte.
        bos: What the template knows as ``bos_token``.
        tools: The family that its template shows.
        reasoning: How it marks reasoning.
    """

    name: str
    file: str
    tokens: dict[str, bool]
    bos: str
    tools: str | None
    reasoning: str | None = None

    @property
    def template(self) -> str:
        """Its own, as the model came with it."""
        source = (_FOLDER / f"{self.file}.jinja").read_text(encoding="utf-8")
        for switch in _SWITCHES:
            source = source.replace(switch, "")
        return source

    @property
    def definition(self) -> str:
        """The text of its ``tokenizer.json``."""
        return echo_folder.tokenizer(self.tokens)

    @property
    def special_tokens(self) -> dict[str, str]:
        """As its ``tokenizer_config.json`` has them."""
        return {"bos_token": self.bos, "eos_token": next(iter(self.tokens))}

    def token_ids(self, *pieces: str) -> tuple[int, ...]:
        """Of pieces of a reply; one that is a token is that token."""
        places = {text: 256 + place for place, text in enumerate(self.tokens)}
        return tuple(
            token_id for piece in pieces for token_id in ((places[piece],) if piece in places else piece.encode())
        )


@cache
def tokenizer(model: str) -> Tokenizer:
    """The tokenizer of a model."""
    return Tokenizer(MODELS[model].definition)


_ALL = (
    Model("qwen2.5", "Qwen-Qwen2.5-7B-Instruct", _QWEN, "<|endoftext|>", "hermes"),
    Model("qwen3", "Qwen-Qwen3-0.6B", _QWEN, "<|endoftext|>", "hermes", "think"),
    Model("qwq", "Qwen-QwQ-32B", _QWEN, "<|endoftext|>", "hermes", "think"),
    Model("hermes3", "NousResearch-Hermes-3-Llama-3.1-8B-tool_use", _QWEN, "<|endoftext|>", "hermes"),
    Model("qwen3-coder", "Qwen3-Coder", _QWEN, "<|endoftext|>", "qwen-coder"),
    Model("qwen3.5", "Qwen3.5-4B", _QWEN, "<|endoftext|>", "qwen-coder", "think"),
    Model("llama3.1", "meta-llama-Llama-3.1-8B-Instruct", _LLAMA, "<|begin_of_text|>", "llama"),
    Model("llama3.2", "meta-llama-Llama-3.2-3B-Instruct", _LLAMA, "<|begin_of_text|>", "llama"),
    Model("mistral-nemo", "mistralai-Mistral-Nemo-Instruct-2407", _MISTRAL, "<s>", "mistral"),
    Model("mistral-small3.2", "Mistral-Small-3.2-24B-Instruct-2506", _MISTRAL, "<s>", "mistral"),
    Model("ministral3-reasoning", "mistralai-Ministral-3-14B-Reasoning-2512", _MISTRAL, "<s>", "mistral", "mistral"),
    Model(
        "deepseek-r1-distill",
        "deepseek-ai-DeepSeek-R1-Distill-Qwen-32B",
        _DEEPSEEK,
        "<\uff5cbegin▁of▁sentence\uff5c>",
        None,
        "think",
    ),
)
MODELS = {model.name: model for model in _ALL}


@dataclass(frozen=True)
class Said:
    """
    A reply written down.

    Args:
        model: Whose.
        pieces: Where its tokens end; a bar stands between two, as no reply here has one.
        parts: What it says.
        reasoning_tokens: How many of its tokens, a byte each where it is none of the model's own, are reasoning.
        whole: Its end is the model's, and not one that cut it short.
    """

    model: str
    pieces: str
    parts: tuple[Part, ...]
    reasoning_tokens: int = 0
    whole: bool = True

    @property
    def arrivals(self) -> list[tuple[int, ...]]:
        """Its tokens as they come."""
        return [MODELS[self.model].token_ids(piece) for piece in self.pieces.split("¦")]


def weather(call_id: str = "call00001", city: str = "Paris") -> Call:
    """The call that most replies here are about."""
    return Call(call_id, "get_weather", f'{{"city": "{city}"}}')


_PARIS = '{"¦name¦":¦ "¦get¦_weather¦",¦ "¦arguments¦":¦ {"¦city¦":¦ "¦Paris¦"}}¦'
_BERLIN = '{"¦name¦":¦ "¦get¦_weather¦",¦ "¦arguments¦":¦ {"¦city¦":¦ "¦Berlin¦"}}¦'
_XML = "\n¦<function¦=get¦_weather¦>\n¦<parameter¦=city¦>\n¦Paris¦\n¦</¦parameter¦>\n¦</¦function¦>\n¦"

REPLIES = {
    "qwen2.5-text": Said("qwen2.5", "Hel¦lo¦!", (Text("Hello!"),)),
    "qwen2.5-call": Said("qwen2.5", f"<tool_call>¦\n¦{_PARIS}\n¦</tool_call>", (weather(),)),
    "qwen2.5-text-then-call": Said(
        "qwen2.5", f"I¦'ll¦ look¦.¦\n¦<tool_call>¦\n¦{_PARIS}\n¦</tool_call>", (Text("I'll look."), weather())
    ),
    "qwen2.5-two-calls": Said(
        "qwen2.5",
        f"<tool_call>¦\n¦{_PARIS}\n¦</tool_call>¦\n¦<tool_call>¦\n¦{_BERLIN}\n¦</tool_call>",
        (weather(), weather("call00002", "Berlin")),
    ),
    "qwen2.5-mark-spelled-out": Said("qwen2.5", f"<¦tool¦_¦call¦>¦\n¦{_PARIS}\n¦</¦tool¦_call¦>¦\n", (weather(),)),
    "qwen2.5-nearly-a-mark": Said(
        "qwen2.5", "<¦tool¦_c¦ave¦>¦ <¦tool¦_call", (Text("<tool_cave> <tool_call"),), whole=False
    ),
    "qwen2.5-without-end-mark": Said("qwen2.5", f"<tool_call>¦\n¦{_PARIS}", (weather(),)),
    "qwen2.5-cut-short": Said(
        "qwen2.5",
        '<tool_call>¦\n¦{"¦name¦":¦ "¦get¦_weather¦",¦ "¦arg',
        (Text('<tool_call>\n{"name": "get_weather", "arg'),),
        whole=False,
    ),
    "qwen2.5-cut-inside-a-string": Said(
        "qwen2.5",
        'So¦:¦\n¦<tool_call>¦{"name": "get_wea',
        (Text('So:\n<tool_call>{"name": "get_wea'),),
        whole=False,
    ),
    "qwen2.5-bad-json": Said(
        "qwen2.5",
        "<tool_call>¦\n¦{name: get_weather}¦\n¦</tool_call>¦\n¦So¦rry",
        (Text("<tool_call>\n{name: get_weather}\n</tool_call>\nSorry"),),
    ),
    "qwen2.5-bad-then-good": Said(
        "qwen2.5",
        f"<tool_call>¦?¦</tool_call>¦\n¦<tool_call>¦\n¦{_PARIS}\n¦</tool_call>",
        (Text("<tool_call>?</tool_call>"), weather()),
    ),
    "qwen2.5-mark-inside-arguments": Said(
        "qwen2.5",
        '<tool_call>¦{"name": "say", "arguments": {"text": "a ¦</tool_call>¦ b"}}¦</tool_call>',
        (Call("call00001", "say", '{"text": "a </tool_call> b"}'),),
    ),
    "qwen2.5-odd-arguments": Said(
        "qwen2.5",
        '<tool_call>¦{"name": "say", "arguments": {"text": "\\ud83d é 東", "n": [1.5, null, true]}}¦</tool_call>',
        (Call("call00001", "say", '{"text": "\ufffd é 東", "n": [1.5, null, true]}'),),
    ),
    "qwen2.5-nested-without-end": Said(
        "qwen2.5",
        '<tool_call>¦{"name": "say", "arguments": {"a": ' + "[" * 99 + "]" * 99 + "}}¦</tool_call>",
        (Text('<tool_call>{"name": "say", "arguments": {"a": ' + "[" * 99 + "]" * 99 + "}}</tool_call>"),),
    ),
    "qwen2.5-no-arguments": Said(
        "qwen2.5", '<tool_call>¦{"name": "now"}¦</tool_call>', (Call("call00001", "now", "{}"),)
    ),
    "qwen2.5-arguments-as-text": Said(
        "qwen2.5",
        '<tool_call>¦{"name": "get_weather", "arguments": "{\\"city\\": \\"Paris\\"}"}¦</tool_call>',
        (weather(),),
    ),
    "qwen2.5-text-after": Said(
        "qwen2.5",
        f"<tool_call>¦\n¦{_PARIS}\n¦</tool_call>¦\n\n¦That¦ is¦ it¦.",
        (weather(), Text("That is it.")),
    ),
    "qwen2.5-not-a-number": Said(
        "qwen2.5",
        '<tool_call>¦{"name": "say", "arguments": {"n": NaN}}¦</tool_call>',
        (Text('<tool_call>{"name": "say", "arguments": {"n": NaN}}</tool_call>'),),
    ),
    "qwen2.5-beyond-numbers": Said(
        "qwen2.5",
        '<tool_call>¦{"name": "say", "arguments": {"n": 1e999}}¦</tool_call>',
        (Text('<tool_call>{"name": "say", "arguments": {"n": 1e999}}</tool_call>'),),
    ),
    "qwen3-reasoning": Said(
        "qwen3",
        "<think>¦\n¦Let¦ me¦ see¦.¦\n¦Hm¦.¦\n¦</think>¦\n\n¦Hel¦lo¦!",
        (Reasoning("Let me see.\nHm."), Text("Hello!")),
        reasoning_tokens=19,
    ),
    "qwen3-reasoning-then-call": Said(
        "qwen3",
        f"<think>¦\n¦<tool_call>¦?¦\n¦</think>¦\n\n¦<tool_call>¦\n¦{_PARIS}\n¦</tool_call>",
        (Reasoning("<tool_call>?"), weather()),
        reasoning_tokens=6,
    ),
    "qwen3-empty-reasoning": Said("qwen3", "<think>¦\n\n¦</think>¦\n\n¦Hi", (Text("Hi"),), reasoning_tokens=4),
    "qwen3-without-reasoning": Said("qwen3", "<b>¦Hi¦</b>¦ <think>¦x", (Text("<b>Hi</b> <think>x"),)),
    "qwen3-cut-short": Said(
        "qwen3", "<think>¦\n¦Let¦ me¦\n", (Reasoning("Let me\n"),), reasoning_tokens=9, whole=False
    ),
    "qwen3-mark-spelled-out": Said(
        "qwen3", "<¦thi¦nk>¦Hm¦</¦think¦>¦Hi", (Reasoning("Hm"), Text("Hi")), reasoning_tokens=17
    ),
    "qwen3-nearly-a-mark": Said("qwen3", "<thi¦ng>", (Text("<thing>"),)),
    "qwq-opened-by-the-template": Said(
        "qwq", "Let¦ me¦\n¦</think>¦\n\n¦Hi", (Reasoning("Let me"), Text("Hi")), reasoning_tokens=8
    ),
    "qwq-opened-and-called": Said(
        "qwq",
        f"Hm¦\n¦</think>¦\n\n¦<tool_call>¦\n¦{_PARIS}\n¦</tool_call>",
        (Reasoning("Hm"), weather()),
        reasoning_tokens=4,
    ),
    "hermes3-call": Said("hermes3", f"<tool_call>¦\n¦{_PARIS}\n¦</tool_call>", (weather(),)),
    "qwen3-coder-call": Said("qwen3-coder", f"OK¦.¦\n¦<tool_call>¦{_XML}</tool_call>", (Text("OK."), weather())),
    "qwen3-coder-types": Said(
        "qwen3-coder",
        "<tool_call>¦\n<function=plot>\n<parameter=points>\n[[1, 2], [3, 4.5]]\n</parameter>\n<parameter=title>\n"
        "12\n\nlines\n</parameter>\n<parameter=grid>\nyes\n</parameter>\n<parameter=odd>\n7\n</parameter>\n"
        "</function>\n¦</tool_call>",
        (
            Call(
                "call00001",
                "plot",
                '{"points": [[1, 2], [3, 4.5]], "title": "12\\n\\nlines", "grid": "yes", "odd": "7"}',
            ),
        ),
    ),
    "qwen3-coder-no-parameters": Said(
        "qwen3-coder", "<tool_call>¦\n<function=now>\n</function>\n¦</tool_call>", (Call("call00001", "now", "{}"),)
    ),
    "qwen3-coder-cut-short": Said(
        "qwen3-coder",
        "<tool_call>¦\n<function=now>\n<para",
        (Text("<tool_call>\n<function=now>\n<para"),),
        whole=False,
    ),
    "qwen3-coder-not-a-function": Said(
        "qwen3-coder",
        "<tool_call>¦\nx</function>\n¦</tool_call>",
        (Text("<tool_call>\nx</function>\n</tool_call>"),),
    ),
    "qwen3.5-reasoning-then-call": Said(
        "qwen3.5",
        f"Hm¦.¦\n¦</think>¦\n\n¦<tool_call>¦{_XML}</tool_call>",
        (Reasoning("Hm."), weather()),
        reasoning_tokens=5,
    ),
    "llama3.1-call": Said(
        "llama3.1", '{"¦name¦":¦ "¦get¦_weather¦",¦ "¦parameters¦":¦ {"¦city¦":¦ "¦Paris¦"}}', (weather(),)
    ),
    "llama3.1-tagged": Said(
        "llama3.1",
        '<|python_tag|>¦{"¦type¦":¦ "¦function",¦ "¦name¦":¦ "¦get¦_weather¦",¦ "¦parameters":¦ {"¦city¦":¦ "Paris¦"}}',
        (weather(),),
    ),
    "llama3.1-two-calls": Said(
        "llama3.1",
        '{"name": "get_weather", "parameters": {"city": "Paris"}}¦;¦ ¦'
        '{"name": "get_weather", "parameters": {"city": "Berlin"}}',
        (weather(), weather("call00002", "Berlin")),
    ),
    "llama3.1-text": Said("llama3.1", "The¦ weather¦ {¦is¦}¦ good", (Text("The weather {is} good"),)),
    "llama3.1-json-that-is-no-call": Said("llama3.1", '{"¦city¦":¦ "Paris¦"}', (Text('{"city": "Paris"}'),)),
    "llama3.1-unknown-name": Said(
        "llama3.1", '{"name": "Ann", "parameters": {}}', (Text('{"name": "Ann", "parameters": {}}'),)
    ),
    "llama3.1-cut-short": Said(
        "llama3.1", '{"name": "get_weather", "par', (Text('{"name": "get_weather", "par'),), whole=False
    ),
    "llama3.1-tagged-code": Said("llama3.1", "<|python_tag|>¦print¦(1)", (Text("<|python_tag|>print(1)"),)),
    "llama3.2-call": Said("llama3.2", '{"name": "get_weather", "parameters": {"city": "Paris"}}', (weather(),)),
    "mistral-nemo-call": Said(
        "mistral-nemo",
        f'[TOOL_CALLS]¦[¦{_PARIS[:-2]}, "id": "abcDEF123"¦}}]',
        (weather("abcDEF123"),),
    ),
    "mistral-nemo-two-calls": Said(
        "mistral-nemo", f"[TOOL_CALLS]¦[¦{_PARIS},¦ ¦{_BERLIN}]", (weather(), weather("call00002", "Berlin"))
    ),
    "mistral-nemo-odd-id": Said("mistral-nemo", f'[TOOL_CALLS]¦[{_PARIS[:-2]}, "id": "1"}}]', (weather(),)),
    "mistral-nemo-cut-short": Said(
        "mistral-nemo",
        '[TOOL_CALLS]¦[{"name": "get',
        (Text('[TOOL_CALLS][{"name": "get'),),
        whole=False,
    ),
    "mistral-nemo-nothing-called": Said("mistral-nemo", "[TOOL_CALLS]¦[]", (Text("[TOOL_CALLS][]"),)),
    "mistral-small3.2-call": Said(
        "mistral-small3.2",
        'Let¦ me¦ see¦.¦[TOOL_CALLS]¦get¦_weather¦[CALL_ID]¦abcDEF123¦[ARGS]¦{"¦city¦":¦ "¦Paris¦"}',
        (Text("Let me see."), weather("abcDEF123")),
    ),
    "mistral-small3.2-two-calls": Said(
        "mistral-small3.2",
        '[TOOL_CALLS]¦get_weather¦[ARGS]¦{"city": "Paris"}¦[TOOL_CALLS]¦get_weather¦[ARGS]¦{"city": "Berlin"}',
        (weather(), weather("call00002", "Berlin")),
    ),
    "mistral-small3.2-mark-inside-arguments": Said(
        "mistral-small3.2",
        '[TOOL_CALLS]¦say¦[ARGS]¦{"text": "x ¦[TOOL_CALLS]¦ y"}',
        (Call("call00001", "say", '{"text": "x [TOOL_CALLS] y"}'),),
    ),
    "mistral-small3.2-text-after": Said(
        "mistral-small3.2", '[TOOL_CALLS]¦get_weather¦[ARGS]¦{"city": "Paris"}¦ Done.', (weather(), Text("Done."))
    ),
    "ministral3-reasoning-call": Said(
        "ministral3-reasoning",
        '[THINK]¦Hm¦.¦[/THINK]¦[TOOL_CALLS]¦get_weather¦[ARGS]¦{"city": "Paris"}',
        (Reasoning("Hm."), weather()),
        reasoning_tokens=5,
    ),
    "ministral3-reasoning-text": Said(
        "ministral3-reasoning", "[THINK]¦Hm¦[/THINK]¦Hi", (Reasoning("Hm"), Text("Hi")), reasoning_tokens=4
    ),
    "deepseek-r1-distill": Said(
        "deepseek-r1-distill",
        "Okay¦,¦ so¦\n¦</think>¦\n\n¦Hi",
        (Reasoning("Okay, so"), Text("Hi")),
        reasoning_tokens=10,
    ),
}
