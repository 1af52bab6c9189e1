"""
A model's chat template: Jinja, as ``transformers`` renders it, in a sandbox that counts.

``jinja2`` takes 0.1 s to import, so this module is imported when the first conversation is rendered.
"""

from __future__ import annotations

import json
from contextvars import ContextVar
from datetime import datetime
from typing import TYPE_CHECKING, Any

from jinja2 import TemplateError, TemplateSyntaxError, nodes
from jinja2.ext import Extension, LoopControlExtension
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

from wit_llm.errors import InvalidArgument, InvalidEncoding, TooLarge

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from jinja2.parser import Parser
    from jinja2.runtime import Context

STEPS = 250_000
CHARACTERS = 32 << 20
# 2 ** 4096 has more digits than any template prints.
_BITS = 4096
_SHOWN_CHARACTERS = 500

_FAULTS = (TemplateError, ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)


class Template:
    """
    A compiled chat template; any thread may use it.

    Args:
        source: Jinja.
        special_tokens: What the template knows as ``bos_token``, ``eos_token`` and so on.

    Raises:
        InvalidEncoding: The source is not Jinja.
    """

    def __init__(self, source: str, special_tokens: Mapping[str, str]) -> None:
        environment = _Sandbox()
        try:
            self._template = environment.from_string(source)
            tree = environment.parse(source)
        except TemplateSyntaxError as exc:
            raise InvalidEncoding(f"the chat template is not Jinja: line {exc.lineno}: {exc.message}") from exc
        self._special_tokens = dict(special_tokens)
        written = [node.data for node in tree.find_all(nodes.TemplateData)]
        written += [node.value for node in tree.find_all(nodes.Const) if isinstance(node.value, str)]
        self.literals = "\0".join(written)

    def render(
        self, messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]] | None = None, *, opened: bool
    ) -> str:
        """
        Messages as one text.

        Args:
            messages: Each with a ``role`` and a ``content``, and what else ``transformers`` gives a template.
            tools: Each with its ``function``; none where there are none.
            opened: The text ends with what stands before an answer.

        Raises:
            InvalidArgument: The template has something against the messages.
            TooLarge: It makes too much of them.
        """
        token = _BUDGET.set(_Budget())
        try:
            return self._template.render(
                self._special_tokens, messages=messages, tools=tools, documents=None, add_generation_prompt=opened
            )
        except _FAULTS as exc:
            raise InvalidArgument(f"the chat template refuses these messages: {exc!s:.{_SHOWN_CHARACTERS}}") from exc
        finally:
            _BUDGET.reset(token)


class _Budget:
    """What one rendering may still do."""

    def __init__(self) -> None:
        self._steps = STEPS
        self._characters = CHARACTERS

    def step(self) -> None:
        """One round of a loop, or one call."""
        self._steps -= 1
        if self._steps < 0:
            raise TooLarge(f"the chat template takes more than {STEPS} steps for these messages")

    def write(self, characters: int) -> None:
        """That many characters printed, wherever to."""
        self._characters -= characters
        if self._characters < 0:
            raise TooLarge(f"the chat template makes more than {CHARACTERS} characters of these messages")

    def hold(self, size: int) -> None:
        """A value of that many characters or elements."""
        if size > CHARACTERS:
            raise TooLarge(f"the chat template makes a value of more than {CHARACTERS} elements of these messages")


_BUDGET: ContextVar[_Budget] = ContextVar("_BUDGET")


class _Sandbox(ImmutableSandboxedEnvironment):
    """Jinja as chat templates know it, every loop, call and print counted."""

    intercepted_binops = frozenset({"+", "*", "**"})

    def __init__(self) -> None:
        super().__init__(
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=[LoopControlExtension, _GenerationBlock],
            finalize=_counted,
        )
        self.filters["tojson"] = _tojson
        self.globals["raise_exception"] = _raise_exception
        self.globals["strftime_now"] = _strftime_now

    def _generate(self, source: nodes.Template, *args: Any, **kwargs: Any) -> str:  # noqa: ANN401 -- Jinja's own
        return super()._generate(_Counting().visit(source), *args, **kwargs)

    def call(self, context: Context, function: Any, /, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 -- Jinja's own
        _BUDGET.get().step()
        return super().call(context, function, *args, **kwargs)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:  # noqa: ANN401 -- Jinja's own
        _BUDGET.get().hold(_size(operator, left, right))
        return super().call_binop(context, operator, left, right)

    def rounds(self, items: Iterable[object]) -> Iterator[object]:
        """The items of a loop."""
        budget = _BUDGET.get()
        for item in items:
            budget.step()
            yield item

    def joined(self, *items: object) -> str:
        """What ``~`` makes."""
        texts = [str(item) for item in items]
        _BUDGET.get().hold(sum(map(len, texts)))
        return "".join(texts)


class _Counting(NodeTransformer):
    """Sends loops and ``~`` through the sandbox, as Jinja does with calls and operators."""

    def visit_For(self, node: nodes.For) -> nodes.Node:  # noqa: N802 -- Jinja's own
        self.generic_visit(node)
        node.iter = _call("rounds", [node.iter], node)
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802 -- Jinja's own
        self.generic_visit(node)
        return _call("joined", node.nodes, node)


def _call(name: str, args: Sequence[nodes.Node], place: nodes.Node) -> nodes.Call:
    """A call of the sandbox's method of that name."""
    function = nodes.EnvironmentAttribute(name)
    return nodes.Call(function, list(args), [], None, None, lineno=place.lineno, environment=place.environment)


class _GenerationBlock(Extension):
    """``{% generation %}``, which marks the assistant's text for training and means nothing here."""

    tags = frozenset({"generation"})  # type: ignore[assignment]  # Jinja only looks into it

    def parse(self, parser: Parser) -> nodes.Node:
        """Its body."""
        line = next(parser.stream).lineno
        return nodes.Scope(parser.parse_statements(("name:endgeneration",), drop_needle=True), lineno=line)


def _size(operator: str, left: object, right: object) -> int:
    """How large a value an operator is about to make."""
    match operator, left, right:
        case "+", (str() | list() | tuple()), (str() | list() | tuple()):
            return len(left) + len(right)
        case ("*", (str() | list() | tuple()) as items, int(times)) | (
            "*",
            int(times),
            (str() | list() | tuple()) as items,
        ):
            return len(items) * times
        case ("*", int(), int()):
            return 0 if left.bit_length() + right.bit_length() <= _BITS else CHARACTERS + 1
        case ("**", int(), int()):
            return 0 if left.bit_length() * right <= _BITS else CHARACTERS + 1
    return 0


def _counted(value: object) -> object:
    budget = _BUDGET.get(None)  # none while Jinja compiles what is constant
    if budget is not None and isinstance(value, str):
        budget.write(len(value))
    return value


def _tojson(  # Jinja's own filter escapes HTML
    value: object,
    ensure_ascii: bool = False,  # noqa: FBT001, FBT002 -- the arguments of transformers
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,  # noqa: FBT001, FBT002
) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def _raise_exception(message: str) -> None:
    raise TemplateError(message)


def _strftime_now(form: str) -> str:
    return datetime.now().strftime(form)  # noqa: DTZ005 -- the date where the host is
