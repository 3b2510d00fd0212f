"""Whether a prompt has all that was said, as far as it was meant to be in it. Kind: rules.

A template may take out what somebody really said, where it takes none of another text: a switch
that it knows (``/no_think``), or what it holds for a thought.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

from inglenook.engine.orders import ChatMessage

_WORD: Final = re.compile(r"\w+")


def loses_words(messages: Iterable[ChatMessage], prompt: str, thinking: Sequence[str]) -> bool:
    """Whether words of a conversation are not in its prompt; earlier thoughts need not be.

    Args:
        messages: The conversation.
        prompt: What the template made of it.
        thinking: Tags around thoughts.
    """
    at = 0
    folded = ""
    for message in messages:
        content = message.content.strip()
        # In their order nearly always, so that each is found at once.
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
    """What follows the last thought."""
    ends = [content.rfind(tag) + len(tag) for tag in thinking if tag in content]
    return content[max(ends, default=0) :]


def _has_words(prompt: str, content: str) -> bool:
    """Whether the words are there in their order, whatever was put between them."""
    at = 0
    for word in _WORD.finditer(content):
        at = prompt.find(word[0], at)
        if at < 0:
            return False
        at += len(word[0])
    return True
