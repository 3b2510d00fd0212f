"""The interface of parsers of thoughts. Kind: words."""

from __future__ import annotations

from typing import Final, NamedTuple, Protocol, Self

#: Between two thoughts, or two answers, of one response.
APART: Final = "\n\n"


class Part(NamedTuple):
    """A piece of a model's output, without tags."""

    thought: bool
    text: str


class Parser(Protocol):
    """Parses a model's output, with `Signs` in it, in pieces of any size.

    Tags belong to neither part, nor does white space next to them. Without tags an answer keeps its
    leading white space: without it the answer would differ from its tokens in the cache, and be
    prefilled again in the next turn.
    """

    @property
    def thinking(self) -> bool:
        """Whether the next text is no answer, but a thought or its tags."""

    @property
    def doubtful(self) -> bool:
        """Whether the last text received may turn out to be a tag, or part of one."""

    @property
    def closing(self) -> str:
        """The text after which the answer begins, with the rest of a tag that was begun.

        Empty if the answer may begin, or is over.
        """

    def push(self, text: str) -> list[Part]:
        """Take more text; returns the parts that are certain, in order."""

    def finish(self) -> list[Part]:
        """Return the text held back, at the end of the output."""

    def copy(self) -> Self:
        """A copy in the same state."""


def begun(text: str, tag: str) -> int:
    """Length of the longest proper prefix of ``tag`` at the end of ``text``."""
    for length in range(min(len(text), len(tag) - 1), 0, -1):
        if text.endswith(tag[:length]):
            return length
    return 0
