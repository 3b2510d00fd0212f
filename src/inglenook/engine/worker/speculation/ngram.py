"""Guesses how a text goes on, from where its last words stood before. Kind: rules."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

#: Weight of the newest judgement in `PromptLookup.acceptance`. Some eight right guesses make a
#: believer, a stroke of luck does not; and one wrong guess in a long quotation costs little.
_NEWEST: Final = 1 / 8

#: Such a weight remembers some fifteen judgements; nobody is surer than that.
_SUREST: Final = 15 / 16

#: What stands before the first token.
_NOTHING: Final = -1


class PromptLookup:
    """Finds the last tokens of one sequence earlier in it, and proposes what followed there.

    Answers quote: the question's names, the code to be changed, their own lists. A table holds
    where each two and three tokens led to the last time, so nothing is ever searched: every token
    costs the same, some two microseconds. One token alone says next to nothing about the next.
    """

    def __init__(self, tokens: Sequence[int], written_from: int) -> None:
        """Follow a sequence that others append to, and never change otherwise.

        Args:
            tokens: The sequence's own list, prompt and answer so far.
            written_from: Where the answer begins. How a prompt repeats itself says nothing about
                the answer, so guesses are judged from there on.
        """
        self._tokens = tokens
        self._written_from = written_from
        self._known = 0
        self._three = (_NOTHING, _NOTHING, _NOTHING)
        self._followed_at: dict[tuple[int, ...], int] = {}
        self._acceptance = 0.0

    @property
    def acceptance(self) -> float:
        """How likely a guess at the next token is right, 0 to 1, going by the last ones.

        Every token written is compared with the guess there was for it, drafted or not. So judging
        takes no step, and a text that begins to repeat itself is noticed.
        """
        self._catch_up()
        return self._acceptance

    def propose(self, most: int) -> list[int]:
        """Guess the next ``most`` tokens; none if the last two stand here for the first time."""
        self._catch_up()
        start = self._guess()
        if start is None:
            return []
        proposal = list(self._tokens[start : start + most])
        # Up to its end the text is a round of something; what is guessed goes on with the next.
        period = len(proposal)
        while len(proposal) < most:
            proposal.append(proposal[-period])
        return proposal

    def _catch_up(self) -> None:
        """Learn from what was appended since the last look."""
        tokens = self._tokens
        for position in range(self._known, len(tokens)):
            token = tokens[position]
            if position >= self._written_from:
                start = self._guess()
                if start is not None:
                    right = _SUREST if tokens[start] == token else 0.0
                    self._acceptance += _NEWEST * (right - self._acceptance)
            three = self._three
            self._followed_at[three] = self._followed_at[three[1:]] = position
            self._three = (three[1], three[2], token)
        self._known = len(tokens)

    def _guess(self) -> int | None:
        """Where what followed the last tokens stands; three of them are trusted before two."""
        at = self._followed_at.get(self._three)
        return self._followed_at.get(self._three[1:]) if at is None else at
