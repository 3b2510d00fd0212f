"""Detection of an answer that repeats itself without end. Kind: rules.

Two conditions, each on the answer's own tokens, thinking included and the prompt left out:

- exact: its end is one run of tokens, repeated without a change at least ``rounds`` times and over
  at least ``exact_tokens`` tokens;
- near: of its last ``near_tokens`` tokens at most ``novel`` are not a copy of what stands at most
  ``near_distance`` tokens before them, as in a list whose items differ in a number alone.

The names are those of `RepetitionRule`.

The run that is repeated is found as by a Lempel-Ziv compressor: the last four tokens are looked up
among those before, and from there on both places are compared token by token. So the cost of a
token depends neither on the length of the answer nor on that of the run.
"""

from __future__ import annotations

from array import array
from collections import deque
from typing import Final, NamedTuple


class RepetitionRule(NamedTuple):
    """Bounds of the two conditions, in tokens, but for ``rounds``."""

    rounds: int
    exact_tokens: int
    near_tokens: int
    near_distance: int
    novel: int


#: Text that was asked for stays below it: a letter 200 times, one in each line, is 400 tokens, a
#: table of 10 by 10 zeros 313. Of 13.8 million tokens of source code, documentation, tables and
#: Chinese text in pieces of 4,096, seven would have been ended, of four files: a table of equal
#: numbers, one of test cases, two mails to masked addresses (2026-11, the starter's tokens).
RULE: Final = RepetitionRule(
    rounds=4, exact_tokens=512, near_tokens=1024, near_distance=256, novel=51
)

#: How many tokens have to be alike before a place counts as the one that is copied.
_KEY_TOKENS: Final = 4

#: Slots for the last place of each four tokens; 16 KiB an answer. A newer place takes an older
#: one's slot; whether the tokens there are the same is looked at.
_SLOTS: Final = 4096

#: So many tokens may differ from what is nearly copied, before it no longer is.
_MISSES_MAX: Final = 4


class RepetitionDetector:
    """Takes an answer token by token and says when it has become a runaway.

    Attributes:
        distance: How far back the tokens are that are being copied; 0 if none are.
        copied: How many tokens in a row were the same as those.
    """

    def __init__(self, rule: RepetitionRule = RULE) -> None:
        """Begin an answer."""
        self.distance = 0
        self.copied = 0
        self._rule = rule
        self._tokens: list[int] = []
        self._places = array("i", (-1,)) * _SLOTS
        # The same as `distance` and `copied`, but a token that differs changes only `_misses`.
        self._near_distance = 0
        self._near_copied = 0
        self._misses = 0
        #: Places of the newest tokens that were no copy; one more than there may be.
        self._novel = deque((-1,) * (rule.novel + 1), rule.novel + 1)

    @property
    def span(self) -> int:
        """How many tokens at the end are one run, repeated without a change."""
        return self.copied + self.distance

    def add(self, token: int) -> bool:
        """Take the next token; return whether one of the conditions holds with it."""
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
        """How far back the last four tokens stood before; 0 if they did not, as far as is known."""
        if place < _KEY_TOKENS - 1:
            return 0
        key = self._tokens[-_KEY_TOKENS:]
        slot = hash(tuple(key)) % _SLOTS
        found = self._places[slot]
        self._places[slot] = place
        same = found >= 0 and self._tokens[found - _KEY_TOKENS + 1 : found + 1] == key
        return place - found if same else 0

    def _miss(self, found: int) -> None:
        """A token differs from what was nearly copied; ``found`` is where to look instead."""
        # A few that are the same are no sign that it goes on.
        self._misses = 1 if self._near_copied >= _KEY_TOKENS else self._misses + 1
        self._near_copied = 0
        if 0 < found <= self._rule.near_distance:
            self._near_distance = found
            self._near_copied = _KEY_TOKENS
        elif self._misses > _MISSES_MAX:
            self._near_distance = 0
