"""A reader's place in a response, for every door alike. Kind: rules."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from inglenook.serving.response import Response
from inglenook.serving.response_parts import Outcome, QueuePosition, Status, TextPiece


@dataclass(frozen=True, slots=True)
class Begun:
    """The model has begun.

    Attributes:
        model: Its short name.
        adjustments: What was done to the conversation, see `Started.adjustments`.
    """

    model: str
    adjustments: tuple[str, ...]


#: What a reader hears of a response, in this order; `QueuePosition` as often as it changes.
ResponseEvent: TypeAlias = QueuePosition | Begun | TextPiece | Outcome


class ResponseCursor:
    """Gives each event of a response once, in order.

    Attributes:
        over: The reader has had the outcome.
    """

    def __init__(self, response: Response, *, after: int = 0, resumed: bool = False) -> None:
        """Start after entry ``after``; a ``resumed`` reader has had `Begun`."""
        self.response = response
        # A reader that has had the end is owed nothing, least of all a second end.
        self.over = response.status.over and after >= response.last_seq
        self._seq = after
        self._place: QueuePosition | None = None
        self._begun = resumed

    def take(self, text_bytes_max: int) -> list[ResponseEvent]:
        """Everything since the last call, with text in pieces of at most ``text_bytes_max``."""
        response = self.response
        if self.over or not response.opened:
            return []
        if response.status is Status.QUEUED:
            if response.place is None or response.place == self._place:
                return []
            self._place = response.place
            return [response.place]
        events: list[ResponseEvent] = []
        if not self._begun:
            self._begun = True
            events.append(Begun(response.model, response.adjustments))
        pieces = response.after(self._seq, text_bytes_max)
        if pieces:
            self._seq = pieces[-1].seq
            events += pieces
        if response.outcome is not None:
            self.over = True
            events.append(response.outcome)
        return events
