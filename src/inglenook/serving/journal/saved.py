"""Responses as the journal stores and returns them. Kind: hands."""

from __future__ import annotations

from dataclasses import dataclass

from inglenook.engine.orders import Sampling, StartJob
from inglenook.serving.journal.moments import Moment
from inglenook.serving.response_parts import Ending, TextPiece

#: In the place of an order that has been carried out: a conversation of 250 KiB is not kept for it.
NO_START = StartJob(0, (), Sampling(0, 0, 1, 0, 1, 0, 0, 0, 0), None, (), False)


@dataclass(frozen=True, slots=True)
class ResponseOpening:
    """A new response, as it is kept.

    Attributes:
        model: Short name of the model it is for; empty if that was not known yet.
        start: The engine's order, without what was produced.
    """

    response_id: str
    device_id: str
    idempotency_key: str | None
    model: str
    start: StartJob


@dataclass(frozen=True, slots=True)
class SavedResponse:
    """A response with all that readers were shown.

    Attributes:
        opening: What it began with; if it has ended, without its order.
        pieces: Its text.
        tokens: What that was made of, and perhaps some that were not text yet.
        ending: None if it has not ended.
        ended_at: When; None if it has not.
        model_id: Which model file wrote it, see `EngineState.model_id`; empty if unknown.
    """

    opening: ResponseOpening
    pieces: tuple[TextPiece, ...]
    tokens: tuple[int, ...]
    ending: Ending | None
    ended_at: Moment | None
    model_id: str = ""
