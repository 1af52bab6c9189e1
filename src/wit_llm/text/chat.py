"""Messages to one text and its token ids, by a model's chat template."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wit_llm.errors import InvalidArgument
from wit_llm.text.guard import Guard, Rendered, StandIns
from wit_llm.text.template import Template

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from wit_llm.text.message import Message
    from wit_llm.tokenizer import Tokenizer


class Chat:
    """
    A chat template and the tokenizer that it was written for; any thread may use it.

    Args:
        tokenizer: The model's.
        source: The template.
        special_tokens: What the template knows as ``bos_token``, ``eos_token`` and so on.

    Raises:
        InvalidEncoding: The template is not Jinja.
    """

    def __init__(self, tokenizer: Tokenizer, source: str, special_tokens: Mapping[str, str]) -> None:
        self._template = Template(source, special_tokens)
        self._own_texts = (source, *special_tokens.values())
        # Some models say of none of their added tokens that it is special; the template tells which are.
        control = {
            token.text: token.token_id
            for token in tokenizer.added_tokens
            if token.control or (token.text in self._template.literals and not token.text.isspace())
        }
        self._guard = Guard(tokenizer, control)

    def render(self, messages: Sequence[Message], *, opened: bool = False, resumed: bool = False) -> Rendered:
        """
        Messages as the model is to see them.

        Args:
            messages: Text parts only.
            opened: The text ends with what stands before an answer.
            resumed: The text ends where the last message does, so that the model goes on with it.

        Raises:
            InvalidArgument: The template has something against the messages.
            TooLarge: It makes too much of them.
        """
        texts = [message.text for message in messages]
        risks = [self._guard.risks(text) for text in texts]
        if not resumed and not any(risks):
            return Rendered(self._fill(messages, texts, opened=opened))
        stand_ins = StandIns([*self._own_texts, *texts])
        texts = [stand_ins.hide(text, spans) for text, spans in zip(texts, risks, strict=True)]
        if not resumed:
            return self._guard.judge(self._fill(messages, texts, opened=opened), stand_ins)
        end = stand_ins.fresh()
        texts[-1] += f"{end} "
        text, found, behind = self._fill(messages, texts, opened=False).rpartition(end)
        if not found:
            raise InvalidArgument("the chat template leaves out the message that is to be continued")
        # The space tells whether the template trims; what it would have trimmed goes here too, as in transformers.
        return self._guard.judge(text if behind.startswith(" ") else text.rstrip(), stand_ins)

    def encode(self, rendered: Rendered) -> list[int]:
        """
        Token ids of what was rendered.

        Raises:
            InvalidArgument: A message has text that the tokenizer takes for a control token.
        """
        return self._guard.encode(rendered)

    def _fill(self, messages: Sequence[Message], texts: Sequence[str], *, opened: bool) -> str:
        filled = [{"role": m.role.value, "content": text} for m, text in zip(messages, texts, strict=True)]
        return self._template.render(filled, opened=opened)
