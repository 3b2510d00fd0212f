"""An answer as it arrived, and what that says about speed. Kind: rules.

Frames are no tokens: a server may send several tokens in one. How many there were is told at the
end, so between frames tokens are counted by characters, each stream by its own number of them to a
token. (The shape model says words of one length only, where that is exact.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from inglenook.common.errors import InglenookError


class Unmeasurable(InglenookError):
    """What was to be measured is not there, or went wrong; the sentence says which."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Some text of an answer."""

    at_s: float
    characters: int


@dataclass(frozen=True, slots=True)
class Stream:
    """One answer.

    Attributes:
        asked_s: When the question had been sent.
        pieces: What came, in order.
        text: All of it.
        prompt_tokens: How long the rendered conversation was.
        cached_tokens: How many of these the server had read before.
        tokens: How long the answer was; 0 if it was cut short.
    """

    asked_s: float
    pieces: tuple[Piece, ...]
    text: str
    prompt_tokens: int
    cached_tokens: int
    tokens: int

    @property
    def first_s(self) -> float:
        """When the first text came."""
        return self.pieces[0].at_s

    @property
    def last_s(self) -> float:
        """When the last text came."""
        return self.pieces[-1].at_s

    @property
    def ttft_s(self) -> float:
        """How long the first text took."""
        return self.first_s - self.asked_s

    def tok_s_between(self, from_s: float, until_s: float) -> float:
        """How fast it was written, by the pieces that came from one moment until another.

        The first moment only says when the time begins: what came in it was written before.

        Raises:
            Unmeasurable: If nothing came after it.
        """
        pieces = [piece for piece in self.pieces if from_s <= piece.at_s <= until_s]
        if not pieces or pieces[0].at_s == pieces[-1].at_s:
            raise Unmeasurable("the answers were too short: they were never all written at once")
        began_s, ended_s = pieces[0].at_s, pieces[-1].at_s
        characters = sum(piece.characters for piece in pieces if piece.at_s > began_s)
        tokens = self.tokens * characters / sum(piece.characters for piece in self.pieces)
        return tokens / (ended_s - began_s)

    def gaps_s(self, after_s: float, until_s: float) -> list[float]:
        """The waits for text that ended after one moment and began before another."""
        pairs = pairwise(piece.at_s for piece in self.pieces)
        return [b - a for a, b in pairs if b > after_s and a < until_s]


def decode_tok_s(streams: Sequence[Stream]) -> float:
    """How fast all streams together went while every one of them was being written.

    From when the last of them had its first text until the first had its last: no prompt is read
    in that time. Each has its own pace within it, as their frames need not come together.

    Raises:
        Unmeasurable: If there is no such time.
    """
    from_s = max(stream.first_s for stream in streams)
    until_s = min(stream.last_s for stream in streams)
    return sum(stream.tok_s_between(from_s, until_s) for stream in streams)


def overall_tok_s(streams: Sequence[Stream]) -> float:
    """Tokens of all answers over the time from the first question to the last text."""
    began_s = min(stream.asked_s for stream in streams)
    return sum(stream.tokens for stream in streams) / (max(s.last_s for s in streams) - began_s)


def stall(stream: Stream, after_s: float, until_s: float) -> tuple[float, float]:
    """The usual wait for text before ``after_s``, and the longest from then until ``until_s``."""
    usual_s = median(stream.gaps_s(stream.first_s, after_s))
    return usual_s, max(stream.gaps_s(after_s, until_s))


def jain_index(shares: Sequence[float]) -> float:
    """How even shares are: 1 if all are equal, 1/n if one has everything (Jain, 1984)."""
    return sum(shares) ** 2 / (len(shares) * sum(share**2 for share in shares))
