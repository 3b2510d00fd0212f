"""One answer as it grows: append-only, read by cursors. Kind: rules."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable

from inglenook.chat.thinking import Channel
from inglenook.common.guarded import Guard
from inglenook.serving.response_parts import (
    TRANSITIONS,
    Change,
    Cut,
    Outcome,
    QueuePosition,
    Status,
    TextPiece,
    merged,
)

#: Readers are other rooms' and other phones' concern: one that fails costs no other reader a frame.
_waking = Guard("waking a reader")


class Response:
    """An answer and everybody who reads it. Readers keep a cursor, the ``seq`` they have seen.

    Attributes:
        response_id: Known only to the device it belongs to.
        device_id: Whose it is.
        model: Short name of the model that writes it.
        opened: Readers may be told of it; until then it could still be lost without a trace.
        place: Set while it waits.
        adjustments: What was done to its conversation, see `Started.adjustments`.
        outcome: Set when it is over.
        ended_at: Monotonic seconds; set when it is over.
        unread_since: Since when it has had no reader; None while it has one.
        held_bytes: What it costs in memory, about.
    """

    def __init__(self, response_id: str, device_id: str, model: str, now: float) -> None:
        self.response_id = response_id
        self.device_id = device_id
        self.model = model
        self.opened = False
        self.status = Status.QUEUED
        self.place: QueuePosition | None = None
        self.adjustments: tuple[str, ...] = ()
        self.outcome: Outcome | None = None
        self.ended_at: float | None = None
        self.unread_since: float | None = now
        self.held_bytes = _RESPONSE_BYTES
        self._pieces: list[TextPiece] = []
        self._lengths = dict.fromkeys(Channel, 0)
        self._next_seq = 1
        self._readers: list[Callable[[], None]] = []

    @property
    def next_seq(self) -> int:
        """The number the next entry gets."""
        return self._next_seq

    @property
    def last_seq(self) -> int:
        """Number of the newest entry; the end of the response counts as one."""
        if self.outcome is not None:
            return self._next_seq - 1
        return self._pieces[-1].seq if self._pieces else 0

    @property
    def pieces(self) -> tuple[TextPiece, ...]:
        """All text so far, as it was added."""
        return tuple(self._pieces)

    def text(self, channel: Channel) -> str:
        """All text of a channel so far."""
        return "".join(piece.text for piece in self._pieces if piece.channel is channel)

    def length(self, channel: Channel) -> int:
        """Code points of a channel so far."""
        return self._lengths[channel]

    def open(self) -> None:
        """From now on readers may be told of it."""
        self.opened = True
        self._wake()

    def wait_at(self, place: QueuePosition) -> None:
        """Tell readers where it stands in the queue."""
        if self.place != place:
            self.place = place
            self._wake()

    def apply(self, change: Change, now: float) -> None:
        """Add what has happened; text once added is never changed."""
        if change.begins:
            self._move(Status.RUNNING)
            self.place = None
        for piece in change.pieces:
            assert piece.seq >= self._next_seq
            assert piece.offset == self._lengths[piece.channel]
            self._pieces.append(piece)
            self._next_seq = piece.seq + 1
            self._lengths[piece.channel] += len(piece.text)
            self.held_bytes += len(piece.text.encode()) + _PIECE_BYTES
        if change.ending is not None:
            self._move(change.ending.status)
            self.place = None
            self.outcome = change.ending.outcome
            self.ended_at = now
            self._next_seq = change.ending.seq + 1
        self._wake()

    def skip_to(self, seq: int) -> None:
        """Number the next entry ``seq``: a reader may have seen the numbers before it."""
        assert seq >= self._next_seq
        self._next_seq = seq

    def after(self, seq: int, text_bytes_max: int) -> list[TextPiece]:
        """Everything after ``seq``, neighbours of one channel merged as by `merged`."""
        start = bisect_right(self._pieces, seq, key=lambda piece: piece.seq)
        return merged(self._pieces[start:], text_bytes_max)

    def cut_for(self, seq: int) -> Cut | None:
        """Say how far to cut a reader's copy that ends with ``seq``; None if it is good as it is.

        Numbers that were given out are never given again, so one we do not know was lost with the
        power: what the reader has of it is not part of this response any more.
        """
        index = bisect_right(self._pieces, seq, key=lambda piece: piece.seq)
        known = self._pieces[index - 1].seq if index else 0
        if seq == known or (self.outcome is not None and seq == self.last_seq):
            return None
        offsets = dict.fromkeys(Channel, 0)
        for piece in self._pieces[:index]:
            offsets[piece.channel] += len(piece.text)
        return Cut(known, offsets)

    def subscribe(self, wake: Callable[[], None]) -> None:
        """Call ``wake`` at every change; it must not wait. It has a reader from now on."""
        self._readers.append(wake)
        self.unread_since = None

    def unsubscribe(self, wake: Callable[[], None], now: float) -> None:
        """Stop calling ``wake``; unknown ones are ignored."""
        if wake in self._readers:
            self._readers.remove(wake)
        if not self._readers and self.unread_since is None:
            self.unread_since = now

    def _move(self, status: Status) -> None:
        assert status in TRANSITIONS.get(self.status, ())
        self.status = status

    def _wake(self) -> None:
        for wake in self._readers:
            with _waking:
                wake()


#: What an entry costs beside its text: the object and its place in the list (CPython 3.11, 64 bit).
_PIECE_BYTES = 150

#: What a response costs before it has any text, its ids and its place on the shelf included.
_RESPONSE_BYTES = 2048
