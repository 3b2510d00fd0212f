"""Detection of endless repetition in an answer. Kind: rules.

Two conditions on the answer's tokens, including thinking and without the prompt:

- exact: it ends with one run of tokens, repeated unchanged at least ``rounds`` times and over at
  least ``exact_tokens`` tokens;
- near: of its last ``near_tokens`` tokens at most ``novel`` are not a copy of tokens at most
  ``near_distance`` before them, as in a list whose items differ only in a number.

The names are those of `RepetitionRule`.

The repeated run is found as by a Lempel-Ziv compressor: the last four tokens are looked up among
the earlier ones, and from there on both places are compared token by token. So the cost per token
depends neither on the length of the answer nor on that of the run.
"""

from __future__ import annotations

from array import array
from collections import deque
from typing import Final, NamedTuple


class RepetitionRule(NamedTuple):
    """Bounds of the two conditions, in tokens except ``rounds``."""

    rounds: int
    exact_tokens: int
    near_tokens: int
    near_distance: int
    novel: int


#: Wanted repetition stays below these bounds: a letter 200 times, one per line, is 400 tokens, a
#: table of 10 by 10 zeros 313. Of 13.8 million tokens of source code, documentation, tables and
#: Chinese text in pieces of 4,096, seven pieces of four files would have been ended: a table of
#: equal numbers, one of test cases, two mails to masked addresses (2026-11, the starter's tokens).
RULE: Final = RepetitionRule(
    rounds=4, exact_tokens=512, near_tokens=1024, near_distance=256, novel=51
)

#: Number of equal tokens before a place counts as copied.
_KEY_TOKENS: Final = 4

#: Slots of the hash table of places by their last four tokens; 16 KiB per answer. A newer place
#: overwrites an older one; the tokens there are compared on each lookup.
_SLOTS: Final = 4096

#: Misses in a row after which a place no longer counts as nearly copied.
_MISSES_MAX: Final = 4


class RepetitionDetector:
    """Detector of endless repetition in one answer, fed token by token.

    Attributes:
        distance: Distance in tokens to the copied place; 0 if nothing is copied.
        copied: Number of tokens in a row equal to those at that distance.
    """

    def __init__(self, rule: RepetitionRule = RULE) -> None:
        """Start with an empty answer."""
        self.distance = 0
        self.copied = 0
        self._rule = rule
        self._tokens: list[int] = []
        self._places = array("i", (-1,)) * _SLOTS
        # As `distance` and `copied`, but a token that differs only increments `_misses`.
        self._near_distance = 0
        self._near_copied = 0
        self._misses = 0
        #: Positions of the newest tokens that were no copy; one more than the rule allows.
        self._novel = deque((-1,) * (rule.novel + 1), rule.novel + 1)

    @property
    def span(self) -> int:
        """Number of tokens at the end that are repetitions of one run."""
        return self.copied + self.distance

    def add(self, token: int) -> bool:
        """Add the next token; return whether one of the conditions now holds."""
        tokens, rule = self._tokens, self._rule
        place = len(tokens)
        tokens.append(token)
        found = self._find(place)
        if self.distance and tokens[place - self.distance] == token:
            self.copied += 1
        else:
            self.distance = found
            self.copied = _KEY_TOKENS if found else 0
        near = self._near_distance
        if near and tokens[place - near] == token:
            self._near_copied += 1
        else:
            self._novel.append(place)
            self._miss(found)
        span = self.span
        if span >= rule.exact_tokens and span >= rule.rounds * self.distance:
            return True
        return place - self._novel[0] > rule.near_tokens

    def _find(self, place: int) -> int:
        """Distance to the last known occurrence of the last four tokens; 0 if there is none."""
        if place < _KEY_TOKENS - 1:
            return 0
        key = self._tokens[-_KEY_TOKENS:]
        slot = hash(tuple(key)) % _SLOTS
        found = self._places[slot]
        self._places[slot] = place
        same = found >= 0 and self._tokens[found - _KEY_TOKENS + 1 : found + 1] == key
        return place - found if same else 0

    def _miss(self, found: int) -> None:
        """Count a token that differs from the near copy; ``found`` is the distance to try next."""
        # Fewer equal tokens than a key do not end a row of misses.
        self._misses = 1 if self._near_copied >= _KEY_TOKENS else self._misses + 1
        self._near_copied = 0
        if 0 < found <= self._rule.near_distance:
            self._near_distance = found
            self._near_copied = _KEY_TOKENS
        elif self._misses > _MISSES_MAX:
            self._near_distance = 0
