"""How many guessed tokens are worth computing along. Kind: rules."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

#: Rows go through repacked weights four at a time, and what is left over one by one: three rows
#: cost more than four do.
_ROWS_TOGETHER: Final = 4

#: Longest draft of one sequence. Guesses further on are rarely right, and no cheaper.
DRAFT_TOKENS_MAX: Final = 7

#: What drafting must bring at least, of the tokens per second without; less is within the error.
_MARGIN: Final = 0.05

#: After so many steps without a draft, its price is doubted for so many drafts; without success,
#: after twice as many steps again.
_DOUBT_STEPS: Final = 256
_DOUBT_DRAFTS: Final = 4


@dataclass(frozen=True, slots=True)
class Draft:
    """What there is to draft for one sequence.

    Attributes:
        tokens: How many were proposed.
        acceptance: How likely each of them is right if those before it are, 0 to 1.
    """

    tokens: int
    acceptance: float


class DraftPrice:
    """Weighs what drafts may bring against what they cost, for all sequences of a step together.

    A drafted token is one more row to compute. Where the weights' way through memory is what a step
    takes, rows are nearly free; where the processor is the limit, four rows take twice as long as
    one, and only near certainty pays.

    What drafts bring needs no trying out: guesses are judged undrafted too. What they cost does,
    where there is only ever one reader: a price learned in a bad moment would never be corrected.
    So drafts that would pay at half the price are made now and then, ever more rarely.
    """

    def __init__(self, predict_s: Callable[[int], float | None]) -> None:
        """Take what says how long a step of so many rows and no prompt lasts, if it is known."""
        self._predict_s = predict_s
        self._steps = 0
        self._doubt_steps = _DOUBT_STEPS
        self._doubted = 0

    def lengths(self, drafts: Sequence[Draft], decoding: int) -> list[int]:
        """Say how much of each draft to compute, for most tokens per second.

        Args:
            drafts: Of the step's sequences, those for which something was proposed.
            decoding: How many sequences decode in this step, those included.

        Returns:
            How many tokens of each draft; all 0 if none is worth it.
        """
        self._steps += 1
        # Every guess of every draft, the likeliest first; in each draft they grow less likely.
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
        """How many of the guesses make most tokens per second, at so much of the known price."""
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
