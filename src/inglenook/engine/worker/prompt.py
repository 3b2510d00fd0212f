"""A conversation to prompt tokens by the model's own chat template. Kind: hands.

The template is a program out of a downloaded file. It runs in llama-cpp-python's immutable Jinja
sandbox, and in this process, which may hang or die without taking the daemon along.
"""

from __future__ import annotations

from collections.abc import Iterable

import jinja2
from llama_cpp.llama_chat_format import Jinja2ChatFormatter

from inglenook.engine.orders import ChatMessage
from inglenook.engine.worker.llama import Model
from inglenook.engine.worker.pool import common_tokens
from inglenook.errors import EngineError

_THINK_OPEN = "<think>"

# A template can raise anything a Python expression can, beside Jinja's own errors and the
# ValueError of its `raise_exception`; and it can be too much for Python's compiler.
_TEMPLATE_FAULTS = (
    jinja2.TemplateError,
    ArithmeticError,
    AttributeError,
    LookupError,
    MemoryError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
)

#: Of what a template says, so much is passed on: it may quote itself, or the conversation.
_WHY_CHARACTERS_MAX = 200


class TemplateRefused(EngineError):
    """The template would not take this conversation, or is none; ``why`` is its own words."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why

    def __str__(self) -> str:
        return f"the model's chat template does not work: {self.why}"


class PromptMaker:
    """Renders and tokenises conversations for one model."""

    def __init__(self, model: Model, template: str) -> None:
        """Compile the template.

        Raises:
            TemplateRefused: If it is not valid Jinja.
        """
        self._model = model
        self._bos = model.special_text("bos")
        try:
            self._formatter = Jinja2ChatFormatter(
                template=template, bos_token=self._bos, eos_token=model.special_text("eos")
            )
        except _TEMPLATE_FAULTS as exc:
            raise _refused(exc) from exc

    def beginning(self, messages: Iterable[ChatMessage]) -> tuple[list[int], int]:
        """Find what the prompt will begin with when its last message has been typed to its end.

        Returns:
            Tokens that it is likely to begin with: those which do not change when a letter more
            is typed. And how many tokens the prompt would have now.

        Raises:
            TemplateRefused: As `tokens`.
        """
        *earlier, last = messages
        if last.role != "user":
            # A conversation that was only opened: a question comes next.
            earlier, last = [*earlier, last], ChatMessage("user", "")
        now, _thinking = self.tokens([*earlier, last])
        later, _thinking = self.tokens([*earlier, ChatMessage("user", last.content + "a")])
        return now[: common_tokens(now, later)], len(now)

    def tokens(self, messages: Iterable[ChatMessage]) -> tuple[list[int], bool]:
        """Turn a conversation into prompt tokens.

        Returns:
            The tokens, and whether the prompt ends inside an open ``<think>``.

        Raises:
            TemplateRefused: If the template raises, as many do when roles do not alternate, or
                makes no prompt at all.
        """
        plain = [{"role": message.role, "content": message.content} for message in messages]
        try:
            prompt = self._formatter(messages=plain).prompt
        except _TEMPLATE_FAULTS as exc:
            raise _refused(exc) from exc
        if self._model.adds_bos and not prompt.startswith(self._bos):
            prompt = self._bos + prompt
        tokens = self._model.tokenize(prompt)
        if not tokens:
            raise TemplateRefused("it made an empty prompt")
        # Only one right at the end was opened by the template; others are somebody's words.
        return tokens, prompt.rstrip().endswith(_THINK_OPEN)


def _refused(fault: BaseException) -> TemplateRefused:
    lines = str(fault).splitlines()
    return TemplateRefused((lines[0] if lines else type(fault).__name__)[:_WHY_CHARACTERS_MAX])
