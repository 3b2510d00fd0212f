"""What was found out about a model's chat template, for its owner. Kind: words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import msgspec


class TemplateFacts(msgspec.Struct, frozen=True, tag=True):
    """How a model's template was found to be, by trying it.

    Attributes:
        system: Whether it knows system messages, or their words have to stand in the question.
        late_system: The same of those after the first question.
        takes_turns: Questions and answers must alternate, so neighbours are merged.
        many_turns: It takes more than one question.
        parts: It wants messages as lists of parts.
        tools: It writes tools into the prompt.
        date: Whether the prompt has the day in it; ``default`` is without a system message only.
        question_tokens: Tokens of the whole prompt of a question of one word.
        bos: What every prompt begins with, as the file says; empty for nothing.
        thinking: How the model thinks, a short text; empty if that is not known.
    """

    system: Literal["known", "folded", "refused"]
    late_system: Literal["known", "folded", "refused"]
    takes_turns: bool
    many_turns: bool
    parts: bool
    tools: bool
    date: Literal["never", "default", "always"]
    question_tokens: int
    bos: str
    thinking: str


class TemplateUnfit(msgspec.Struct, frozen=True, tag=True):
    """The model cannot be used with its template, or not be read; ``why`` is for the operator."""

    why: str


encode = msgspec.json.Encoder().encode
decode: Callable[[bytes], TemplateFacts | TemplateUnfit] = msgspec.json.Decoder(
    TemplateFacts | TemplateUnfit
).decode

#: What the decoder raises.
NOT_FACTS = (msgspec.MsgspecError, UnicodeDecodeError)
