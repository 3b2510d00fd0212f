"""Speculative decoding by prompt lookup: the drafts of a step. Kind: rules.

A draft costs rows of a step, which also verifies it: if the token sampled at a row equals the
guess, the next row counts too; else the draft ends. So the text is the same as without drafts,
except for the rounding of a batch with more rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from inglenook.engine.worker.decode.sequence import Sequence
from inglenook.engine.worker.speculation.draft import DRAFT_TOKENS_MAX, Draft, DraftPrice
from inglenook.engine.worker.speculation.ngram import PromptLookup


class Drafting:
    """Drafts for decoding sequences, as far as they pay."""

    def __init__(self, predict_s: Callable[[int], float | None]) -> None:
        """Take a function that predicts the duration of a step by its decoding rows, or None."""
        self._price = DraftPrice(predict_s)
        self._lookups: dict[int, PromptLookup] = {}

    def drafts(self, decoding: Mapping[int, Sequence]) -> dict[int, list[int]]:
        """Choose the drafts of the next step, by sequence number.

        Args:
            decoding: All sequences of the step, by number; each has one pending token.
        """
        jobs = {sequence.job for sequence in decoding.values()}
        self._lookups = {job: known for job, known in self._lookups.items() if job in jobs}
        guesses = {}
        for number, sequence in decoding.items():
            lookup = self._lookups.get(sequence.job)
            if lookup is None:
                lookup = PromptLookup(sequence.tokens, sequence.prompt_tokens)
                self._lookups[sequence.job] = lookup
            tokens = lookup.propose(_room(sequence))
            if tokens:
                guesses[number] = (tokens, Draft(len(tokens), lookup.acceptance))
        offered = [draft for _tokens, draft in guesses.values()]
        lengths = self._price.lengths(offered, len(decoding))
        return {
            number: tokens[:length]
            for (number, (tokens, _draft)), length in zip(guesses.items(), lengths, strict=True)
            if length
        }


def _room(sequence: Sequence) -> int:
    """Longest useful draft: the tokens left of the answer, without the sampled one."""
    assert sequence.answer is not None
    return max(min(DRAFT_TOKENS_MAX, sequence.answer.tokens_max - len(sequence.tokens) - 1), 0)
