"""Speculation by prompt lookup: which tokens to compute along before they are chosen. Kind: rules.

A draft costs rows of a step and is checked by the step itself: what the sampler chooses at each
place either is the guess, and then the next place counts too, or ends it. So the text is the same
as without, but for the rounding of a batch with more rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from inglenook.engine.worker.decode.sequence import Sequence
from inglenook.engine.worker.speculation.draft import DRAFT_TOKENS_MAX, Draft, DraftPrice
from inglenook.engine.worker.speculation.ngram import PromptLookup


class Drafting:
    """Guesses for the sequences that are being written, as far as they pay."""

    def __init__(self, predict_s: Callable[[int], float | None]) -> None:
        """Take what says how long a step of so many rows would take, if it is known."""
        self._price = DraftPrice(predict_s)
        self._lookups: dict[int, PromptLookup] = {}

    def drafts(self, writing: Mapping[int, Sequence]) -> dict[int, list[int]]:
        """Say what to compute along.

        Args:
            writing: All sequences of the next step, by number; each has one token to compute.
        """
        jobs = {sequence.job for sequence in writing.values()}
        self._lookups = {job: known for job, known in self._lookups.items() if job in jobs}
        guesses = {}
        for number, sequence in writing.items():
            lookup = self._lookups.get(sequence.job)
            if lookup is None:
                lookup = PromptLookup(sequence.tokens, sequence.prompt_tokens)
                self._lookups[sequence.job] = lookup
            tokens = lookup.propose(_room(sequence))
            if tokens:
                guesses[number] = (tokens, Draft(len(tokens), lookup.acceptance))
        offered = [draft for _tokens, draft in guesses.values()]
        lengths = self._price.lengths(offered, len(writing))
        return {
            number: tokens[:length]
            for (number, (tokens, _draft)), length in zip(guesses.items(), lengths, strict=True)
            if length
        }


def _room(sequence: Sequence) -> int:
    """How many guesses can be of use before the answer has all its tokens."""
    assert sequence.answer is not None
    return max(min(DRAFT_TOKENS_MAX, sequence.answer.tokens_max - len(sequence.tokens) - 1), 0)
