"""Tokens of one answer, and the engines that have died under it. Kind: rules."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from inglenook.engine.orders import StartJob

#: An answer that was running at two deaths in a row, without a new token between, is to blame for
#: the second. A kill from outside says nothing of the sort, but has to end some time too.
_STRIKES_MAX = 2.0
_KILLED_STRIKE = 0.4


class Attempts:
    """Attempts at one answer, each after the tokens of those before.

    Attributes:
        start: The engine's order; its ``job`` is the number of the latest attempt.
        model_id: Which model file the tokens are of, see `EngineState.model_id`; empty if unknown.
    """

    def __init__(self, start: StartJob, model_id: str) -> None:
        """Begin after the tokens that ``start`` has, of the model ``model_id``."""
        self.start = start
        self.model_id = self._told_model_id = model_id
        self._produced = list(start.produced)
        self._untold: list[int] = []
        self._strikes = 0.0

    def __len__(self) -> int:
        """Tokens of the answer so far."""
        return len(self._produced)

    @property
    def gained(self) -> int:
        """Tokens of the latest attempt."""
        return len(self._produced) - len(self.start.produced)

    @property
    def told_tokens(self) -> tuple[int, ...]:
        """Tokens taken so far."""
        return tuple(self._produced[: len(self._produced) - len(self._untold)])

    def can_go_on_with(self, model_id: str) -> bool:
        """Whether a model file has the vocabulary the tokens are of."""
        known = self._produced and self.model_id and model_id
        return not known or self.model_id == model_id

    def begin(self, number: int, model_id: str) -> StartJob:
        """Make the order for the next attempt: as the first, but after what was written already."""
        self.model_id = model_id or self.model_id
        self.start = msgspec.structs.replace(self.start, job=number, produced=tuple(self._produced))
        return self.start

    def add(self, tokens: Sequence[int]) -> None:
        """An engine has written these."""
        self._produced += tokens
        self._untold += tokens

    def died(self, *, killed: bool) -> bool:
        """Count a death of the engine; says whether the answer is to blame for it."""
        if self.gained:
            self._strikes = 0.0
        self._strikes += _KILLED_STRIKE if killed else 1.0
        return self._strikes >= _STRIKES_MAX

    def take_tokens(self) -> tuple[int, ...]:
        """Tokens that were not taken yet."""
        tokens, self._untold = tuple(self._untold), []
        return tokens

    def take_model_id(self) -> str:
        """The model's id, if it is another than at the last time; else empty."""
        told, self._told_model_id = self._told_model_id, self.model_id
        return "" if self.model_id == told else self.model_id
