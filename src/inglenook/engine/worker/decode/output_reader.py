"""The tokens of an answer to text, split into thinking and answer. Kind: rules."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from inglenook.engine.events import Output
from inglenook.engine.thinking.parser import Parser, Part
from inglenook.engine.thinking.signs import Signs
from inglenook.engine.worker.decode.text import TextAssembler


class OutputText(NamedTuple):
    """Text of one or several tokens."""

    answer: str
    thinking: str


class OutputReader:
    """Detokenizes one answer and splits it into thinking and answer.

    Attributes:
        thought_tokens: Number of tokens of thinking so far, its tags included.
    """

    def __init__(self, parser: Parser, signs: Signs, stop: tuple[str, ...]) -> None:
        """Take a fresh parser, and the strings that end an answer."""
        self.thought_tokens = 0
        self._parser = parser
        self._signs = signs
        # A stop string may contain a tag.
        self._text = TextAssembler(tuple(map(signs.encode, stop)))

    @property
    def stopped(self) -> bool:
        """Whether a stop string was reached; no more text follows."""
        return self._text.stopped

    @property
    def thinking(self) -> bool:
        """See `Parser.thinking`."""
        return self._parser.thinking

    @property
    def closing(self) -> str:
        """See `Parser.closing`."""
        return self._parser.closing

    def push(self, token: int, piece: bytes) -> OutputText:
        """Add the next token and its bytes; return the text that can be shown now."""
        sign = self._signs.by_token.get(token)
        text = self._text.push(piece) if sign is None else self._text.push_sign(sign)
        parts = self._parser.push(text) if text else []
        if self._parser.thinking:
            self.thought_tokens += 1
        return _joined_parts(parts)

    def finish(self) -> OutputText:
        """Return the held-back text, at the end of the answer."""
        parts = self._parser.push(self._text.finish())
        return _joined_parts([*parts, *self._parser.finish()])


def joined(outputs: Sequence[Output]) -> Output:
    """Join several outputs of one job."""
    return Output(
        outputs[0].job,
        "".join(output.text for output in outputs),
        tuple(token for output in outputs for token in output.tokens),
        "".join(output.thinking for output in outputs),
    )


def _joined_parts(parts: list[Part]) -> OutputText:
    if not parts:
        return _NOTHING
    answer = "".join(part.text for part in parts if not part.thought)
    return OutputText(answer, "".join(part.text for part in parts if part.thought))


_NOTHING = OutputText("", "")


def joined_by_job(outputs: Iterable[Output]) -> tuple[Output, ...]:
    """Join the outputs of several steps to one per job."""
    jobs: dict[int, list[Output]] = {}
    for output in outputs:
        jobs.setdefault(output.job, []).append(output)
    return tuple(map(joined, jobs.values()))
