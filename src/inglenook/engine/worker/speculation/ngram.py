"""Prompt lookup: guesses the next tokens from an earlier n-gram of the text. Kind: rules."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

#: Weight of the newest guess in `PromptLookup.acceptance`. It takes some eight right guesses to
#: become high, and one wrong guess in a long quotation lowers it little.
_NEWEST: Final = 1 / 8

#: Highest acceptance: an average with that weight covers some fifteen guesses.
_SUREST: Final = 15 / 16

#: In place of the tokens before the first.
_NOTHING: Final = -1


class PromptLookup:
    """Table of the bigrams and trigrams of one sequence, by which its next tokens are guessed.

    Answers quote: the question's names, the code to be changed, their own lists. The table holds
    the position after the last occurrence of each bigram and trigram, so there is no search: each
    token costs the same, some two microseconds. A single token predicts too little.
    """

    def __init__(self, tokens: Sequence[int], answer_start: int) -> None:
        """Follow a list of tokens that only grows.

        Args:
            tokens: The sequence's own list, prompt and answer so far.
            answer_start: Position of the answer's first token. Repetition within the prompt says
                nothing about the answer, so acceptance is measured from there on.
        """
        self._tokens = tokens
        self._answer_start = answer_start
        self._known = 0
        self._three = (_NOTHING, _NOTHING, _NOTHING)
        self._followed_at: dict[tuple[int, ...], int] = {}
        self._acceptance = 0.0

    @property
    def acceptance(self) -> float:
        """Estimated probability that the next guess is right, 0 to 1.

        Each generated token is compared with its guess, drafted or not. So the estimate costs no
        step, and rises when a text begins to repeat itself.
        """
        self._catch_up()
        return self._acceptance

    def propose(self, most: int) -> list[int]:
        """Guess the next ``most`` tokens; none if the last bigram is new."""
        self._catch_up()
        start = self._guess()
        if start is None:
            return []
        proposal = list(self._tokens[start : start + most])
        # The end of the text is reached: it is taken for one period of a repetition.
        period = len(proposal)
        while len(proposal) < most:
            proposal.append(proposal[-period])
        return proposal

    def _catch_up(self) -> None:
        """Process the tokens that were appended since the last call."""
        tokens = self._tokens
        for position in range(self._known, len(tokens)):
            token = tokens[position]
            if position >= self._answer_start:
                start = self._guess()
                if start is not None:
                    right = _SUREST if tokens[start] == token else 0.0
                    self._acceptance += _NEWEST * (right - self._acceptance)
            three = self._three
            self._followed_at[three] = self._followed_at[three[1:]] = position
            self._three = (three[1], three[2], token)
        self._known = len(tokens)

    def _guess(self) -> int | None:
        """Position of the guess for the next token; trigrams before bigrams."""
        at = self._followed_at.get(self._three)
        return self._followed_at.get(self._three[1:]) if at is None else at
