"""Checks whether a prompt has all words of its conversation. Kind: rules.

A template may remove text of a message that it takes for its own: a switch (``/no_think``), or a
thought.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

from inglenook.engine.orders import ChatMessage

_WORD: Final = re.compile(r"\w+")


def loses_words(messages: Iterable[ChatMessage], prompt: str, thinking: Sequence[str]) -> bool:
    """Whether a prompt lacks words of its conversation; earlier thoughts may be missing.

    Args:
        messages: The conversation.
        prompt: The template's output.
        thinking: Tags around thoughts.
    """
    at = 0
    folded = ""
    for message in messages:
        content = message.content.strip()
        # Nearly always in order, so that each is found at once.
        found = prompt.find(content, at)
        if found < 0 and (found := prompt.find(content)) < 0:
            folded = folded or prompt.casefold()
            if message.role == "assistant":
                content = _answer(content, thinking)
            if not _has_words(folded, content.casefold()):
                return True
        at = max(found, 0)
    return False


def _answer(content: str, thinking: Sequence[str]) -> str:
    """The text after the last thought."""
    ends = [content.rfind(tag) + len(tag) for tag in thinking if tag in content]
    return content[max(ends, default=0) :]


def _has_words(prompt: str, content: str) -> bool:
    """Whether a prompt has the words in their order, with anything between them."""
    at = 0
    for word in _WORD.finditer(content):
        at = prompt.find(word[0], at)
        if at < 0:
            return False
        at += len(word[0])
    return True
