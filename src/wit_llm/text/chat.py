"""Messages to one text and its token ids, by a model's chat template."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from wit_llm.errors import InvalidArgument
from wit_llm.text.filling import Filling
from wit_llm.text.guard import Guard, Rendered, StandIns
from wit_llm.text.message import Reasoning
from wit_llm.text.template import Template

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from wit_llm.text.formats.reasoning import Marks
    from wit_llm.text.message import Message
    from wit_llm.text.tools import Tools
    from wit_llm.tokenizer import Tokenizer


class Chat:
    """
    A chat template and the tokenizer that it was written for; any thread may use it.

    Args:
        tokenizer: The model's.
        source: The template.
        special_tokens: What the template knows as ``bos_token``, ``eos_token`` and so on.
        marks: How the model marks its reasoning; none where it does not.

    Raises:
        InvalidEncoding: The template is not Jinja.
    """

    def __init__(
        self, tokenizer: Tokenizer, source: str, special_tokens: Mapping[str, str], marks: Marks | None = None
    ) -> None:
        self._template = Template(source, special_tokens)
        self._filling = Filling(source, marks)
        self._marks = marks
        self._own_texts = (source, *special_tokens.values())
        own = () if marks is None else (marks.start, marks.end)
        # Some models say of none of their added tokens that it is special; the template tells which are.
        control = {
            token.text: token.token_id
            for token in tokenizer.added_tokens
            if token.control
            or token.text in own
            or (token.text in self._template.literals and not token.text.isspace())
        }
        self._guard = Guard(tokenizer, control)

    def render(
        self, messages: Sequence[Message], tools: Tools | None = None, *, opened: bool = False, resumed: bool = False
    ) -> Rendered:
        """
        Messages as the model is to see them.

        Args:
            messages: That passed ``check_parts``.
            tools: That the model may call.
            opened: The text ends with what stands before an answer.
            resumed: The text ends where the last message does, so that the model goes on with it.

        Raises:
            InvalidArgument: The template has something against the messages.
            TooLarge: It makes too much of them.
        """
        texts: list[str] = []

        def note(text: str) -> str:
            texts.append(text)
            return text

        filled = self._filling.messages(messages, note), self._filling.tools(tools, note)
        risks = {text: spans for text in set(texts) if (spans := self._guard.risks(text))}
        if not resumed and not risks:
            rendered = Rendered(self._template.render(*filled, opened=opened))
        else:
            stand_ins = StandIns([*self._own_texts, *texts])

            def hide(text: str) -> str:
                return stand_ins.hide(text, risks.get(text, ()))

            end = stand_ins.fresh() if resumed else ""
            filled = self._filling.messages(messages, hide, end and f"{end} "), self._filling.tools(tools, hide)
            text = self._template.render(*filled, opened=opened and not resumed)
            rendered = self._guard.judge(_up_to(end, text) if resumed else text, stand_ins)
        if resumed:
            last = messages[-1].parts
            return replace(rendered, reasons=bool(last) and isinstance(last[-1], Reasoning))
        return replace(rendered, reasons=opened and self._opens_reasoning(rendered.text, texts, messages, tools))

    def _opens_reasoning(
        self, text: str, texts: Sequence[str], messages: Sequence[Message], tools: Tools | None
    ) -> bool:
        """Whether the template, and not a guest whose words stand last, ended with the mark of reasoning."""
        if self._marks is None or not text.rstrip().endswith(self._marks.start):
            return False
        if not any(text.rstrip().endswith(self._marks.start) for text in texts):
            return True
        return text.count(self._marks.start) > self.render(messages, tools).text.count(self._marks.start)

    def encode(self, rendered: Rendered) -> list[int]:
        """
        Token ids of what was rendered.

        Raises:
            InvalidArgument: A message has text that the tokenizer takes for a control token.
        """
        return self._guard.encode(rendered)


def _up_to(end: str, text: str) -> str:
    """
    What stands before the mark of the end.

    Raises:
        InvalidArgument: It is not there.
    """
    text, found, behind = text.rpartition(end)
    if not found:
        raise InvalidArgument("the chat template leaves out the message that is to be continued")
    # The space tells whether the template trims; what it would have trimmed goes here too, as in transformers.
    return text if behind.startswith(" ") else text.rstrip()
