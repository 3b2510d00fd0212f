"""Detection of an answer that repeats itself without end. Kind: rules.

Two conditions, each on the answer's own tokens, thinking included and the prompt left out:

- exact: its end is one run of tokens, repeated without a change at least `Rule.rounds` times and
  over at least `Rule.exact_tokens` tokens;
- near: of its last `Rule.near_tokens` tokens at most `Rule.novel` are not a copy of what stands at
  most `Rule.near_distance` tokens before them, as in a list whose items differ in a number alone.

The run that is repeated is found as by a Lempel-Ziv compressor: the last four tokens are looked up
among those before, and from there on both places are compared token by token. So the cost of a
token depends neither on the length of the answer nor on that of the run.
"""

from __future__ import annotations

from array import array
from collections import deque
from typing import Final, NamedTuple


class Rule(NamedTuple):
    """Bounds of the two conditions, in tokens, but for ``rounds``."""

    rounds: int
    exact_tokens: int
    near_tokens: int
    near_distance: int
    novel: int


#: A text that was asked for stays below it: a word 200 times, one in each line, is 400 tokens, a
#: table of 10 by 10 zeros 320. In 13.8 million tokens of source code, documentation, tables and
#: Chinese text it held in four places, all in one generated table of 256 equal numbers.
RULE: Final = Rule(rounds=4, exact_tokens=512, near_tokens=1024, near_distance=256, novel=32)

#: How many tokens have to be alike before a place counts as the one that is copied.
_KEY_TOKENS: Final = 4

#: Slots for the last place of each four tokens; 16 KiB an answer. A newer place takes an older
#: one's slot; whether the tokens there are the same is looked at.
_SLOTS: Final = 4096

#: So many tokens may differ before another place to compare with is looked for from scratch.
_MISSES_MAX: Final = 4


class RepetitionDetector:
    """Takes an answer token by token and says when it has become a runaway.

    Attributes:
        distance: How far back the tokens are that are being copied; 0 if none are.
        copied: How many tokens in a row were the same as those.
    """

    def __init__(self, rule: Rule = RULE) -> None:
        """Begin an answer."""
        self.distance = 0
        self.copied = 0
        self._rule = rule
        self._tokens: list[int] = []
        self._places = array("i", (-1,)) * _SLOTS
        self._misses = 0
        #: Places of the newest tokens that were no copy; one more than there may be.
        self._novel = deque((-1,) * (rule.novel + 1), rule.novel + 1)

    @property
    def span(self) -> int:
        """How many tokens at the end are one run, repeated without a change."""
        return self.copied + self.distance if self.copied else 0

    def add(self, token: int) -> bool:
        """Take the next token; return whether one of the conditions holds with it."""
        tokens, rule, distance = self._tokens, self._rule, self.distance
        place = len(tokens)
        tokens.append(token)
        if distance and tokens[place - distance] == token:
            self.copied += 1
            if distance > rule.near_distance:
                self._novel.append(place)
        else:
            self.copied = 0
            self._misses += 1
            self._novel.append(place)
        if place >= _KEY_TOKENS - 1:
            self._look(place)
        span = self.span
        if span >= rule.exact_tokens and span >= rule.rounds * self.distance:
            return True
        return place - self._novel[0] > rule.near_tokens

    def _look(self, place: int) -> None:
        """Note where the last four tokens stand, and find where they stood before if need be."""
        key = self._tokens[-_KEY_TOKENS:]
        slot = hash(tuple(key)) % _SLOTS
        found = self._places[slot]
        self._places[slot] = place
        if self.copied >= _KEY_TOKENS:
            self._misses = 0
        elif found >= 0 and self._tokens[found - _KEY_TOKENS + 1 : found + 1] == key:
            self.distance = place - found
            self.copied = _KEY_TOKENS
            self._misses = 0
        elif self._misses > _MISSES_MAX:
            self.distance = 0
