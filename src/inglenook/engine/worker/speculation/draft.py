"""Draft lengths: how many guessed tokens are worth verifying. Kind: rules."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

#: Rows are multiplied with repacked weights four at a time, the rest one by one: three rows cost
#: more than four.
_ROWS_TOGETHER: Final = 4

#: Longest draft of one sequence. Later guesses are rarely right, and no cheaper.
DRAFT_TOKENS_MAX: Final = 7

#: Least relative gain in tokens per second; less is within the error of prediction.
_MARGIN: Final = 0.05

#: After this number of steps without a draft, this number of drafts is tried at half the predicted
#: price; without success, again after twice as many steps.
_DOUBT_STEPS: Final = 256
_DOUBT_DRAFTS: Final = 4


@dataclass(frozen=True, slots=True)
class Draft:
    """A proposed draft of one sequence.

    Attributes:
        tokens: Number of proposed tokens.
        acceptance: Probability that a token is accepted if those before it are, 0 to 1.
    """

    tokens: int
    acceptance: float


class DraftPrice:
    """Expected gain of drafts against their cost, for all sequences of a step together.

    A drafted token is one more row to compute. Where memory bandwidth is the limit, rows are nearly
    free; where the processor is the limit, four rows take twice as long as one, and only nearly
    certain drafts pay.

    The gain is known without drafting, because guesses are compared with undrafted tokens too. The
    cost is not, where one sequence decodes alone: a wrong estimate would never be corrected. So
    drafts that would pay at half the predicted price are tried, at growing intervals.
    """

    def __init__(self, predict_s: Callable[[int], float | None]) -> None:
        """Take a function that predicts the duration of a step by its decoding rows, or None."""
        self._predict_s = predict_s
        self._steps = 0
        self._doubt_steps = _DOUBT_STEPS
        self._doubted = 0

    def lengths(self, drafts: Sequence[Draft], decoding: int) -> list[int]:
        """Choose the draft lengths with the most expected tokens per second.

        Args:
            drafts: One for each sequence that has a proposal.
            decoding: Number of sequences that decode in this step, with or without a proposal.

        Returns:
            Number of tokens to verify of each draft; all 0 if drafting does not pay.
        """
        self._steps += 1
        # All guesses, the most probable first; within a draft the probability falls.
        guesses = sorted(
            (
                (draft.acceptance**length, index)
                for index, draft in enumerate(drafts)
                for length in range(1, draft.tokens + 1)
            ),
            reverse=True,
        )
        chances = [chance for chance, _index in guesses]
        count = self._worth(chances, decoding, 1.0)
        if count:
            self._steps, self._doubt_steps, self._doubted = 0, _DOUBT_STEPS, 0
        elif self._steps > self._doubt_steps and (count := self._worth(chances, decoding, 0.5)):
            self._doubted += 1
            if self._doubted == _DOUBT_DRAFTS:
                self._steps, self._doubt_steps, self._doubted = 0, self._doubt_steps * 2, 0
        lengths = [0] * len(drafts)
        for _chance, index in guesses[:count]:
            lengths[index] += 1
        return lengths

    def _worth(self, chances: Sequence[float], decoding: int, price: float) -> int:
        """Best number of guesses, if rows cost ``price`` times the prediction."""
        plain_s = self._predict_s(decoding)
        if not plain_s:
            return 0
        best = (1 + _MARGIN) * decoding / plain_s
        count = 0
        expected = float(decoding)
        for guessed, chance in enumerate(chances, start=1):
            expected += chance
            if (decoding + guessed) % _ROWS_TOGETHER:
                continue
            drafted_s = self._predict_s(decoding + guessed) or plain_s
            rate = expected / (plain_s + price * (drafted_s - plain_s))
            if rate > best:
                best, count = rate, guessed
        return count
