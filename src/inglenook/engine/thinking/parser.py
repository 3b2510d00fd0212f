"""What a parser of thoughts is, whatever the form. Kind: words."""

from __future__ import annotations

from typing import Final, NamedTuple, Protocol, Self

#: Between two thoughts, or two answers, of one response.
APART: Final = "\n\n"


class Part(NamedTuple):
    """A piece of what a model wrote, without tags."""

    thought: bool
    text: str


class Parser(Protocol):
    """Takes what a model writes, with `Signs` in it, wherever it is cut.

    Tags belong to neither part, nor does white space next to them. Where there are none, an answer
    keeps the white space it begins with: without it, a model that begins with a space would be told
    back other words than it wrote, and read them all again.
    """

    @property
    def thinking(self) -> bool:
        """What comes next is no answer: a thought, or part of what stands around it."""

    @property
    def doubtful(self) -> bool:
        """What came last may turn out to be a tag, or part of one."""

    @property
    def closing(self) -> str:
        """What has to come so that the answer begins, tags begun included.

        Empty if it may come, or has come and is over.
        """

    def push(self, text: str) -> list[Part]:
        """Take more; return what is sure, in order."""

    def finish(self) -> list[Part]:
        """Return what was held back, now that nothing more comes."""

    def copy(self) -> Self:
        """Another one that has heard the same."""


def begun(text: str, tag: str) -> int:
    """How much of ``tag`` stands at the end of ``text``; less than all of it."""
    for length in range(min(len(text), len(tag) - 1), 0, -1):
        if text.endswith(tag[:length]):
            return length
    return 0
