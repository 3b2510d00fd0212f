"""One answer as it grows: append-only, read by cursors. Kind: rules."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from inglenook.chat.thinking import Channel
from inglenook.errors import Problem


class Status(StrEnum):
    """Where a response is in its life."""

    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    INCOMPLETE = "incomplete"
    CANCELLED = "cancelled"
    FAILED = "failed"

    @property
    def over(self) -> bool:
        """Whether nothing follows."""
        return self not in (Status.QUEUED, Status.RUNNING)


#: From which status to which. A test holds docs/protocol.md's diagram to it.
TRANSITIONS: dict[Status, tuple[Status, ...]] = {
    Status.QUEUED: (Status.RUNNING, Status.CANCELLED, Status.FAILED),
    Status.RUNNING: (
        Status.COMPLETED,
        Status.INCOMPLETE,
        Status.CANCELLED,
        Status.FAILED,
    ),
}


class Reason(StrEnum):
    """Why a response waits."""

    BUSY = "busy"
    THERMAL = "thermal"
    MEMORY = "memory"
    LOADING = "loading"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a waiting response stands.

    Attributes:
        position: 1 is next.
        eta_s: When it is likely to begin, seconds from now.
    """

    position: int
    eta_s: float
    reason: Reason


@dataclass(frozen=True, slots=True)
class Piece:
    """Text that was added in one go, or several such merged.

    Attributes:
        seq: Number of the last entry it holds.
        offset: Code points of its channel before it.
    """

    seq: int
    channel: Channel
    offset: int
    text: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a response ended, and what it took.

    Attributes:
        finish_reason: ``stop`` or ``length``, as OpenAI says; None if it did not end by itself.
        queued_s: From arrival to the engine.
        ttft_s: From arrival to the first text; None if there was none.
        prefill_tok_s, decode_tok_s: Speed; None where nothing was measured.
        problem: Why it failed.
    """

    finish_reason: str | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    queued_s: float | None = None
    ttft_s: float | None = None
    prefill_tok_s: float | None = None
    decode_tok_s: float | None = None
    problem: Problem | None = None


@dataclass(slots=True)
class Response:
    """An answer and everybody who reads it. Readers keep a cursor, the ``seq`` they have seen.

    Attributes:
        model: Short name of the model that writes it.
        place: Set while it waits.
        outcome: Set when it is over.
        ended_at: Monotonic seconds; set when it is over.
        unread_since: Since when nobody has been reading along; None while somebody is.
    """

    response_id: str
    device_id: str
    model: str
    status: Status = Status.QUEUED
    place: Place | None = None
    outcome: Outcome | None = None
    ended_at: float | None = None
    unread_since: float | None = None
    held_bytes: int = 0
    _pieces: list[Piece] = field(default_factory=list)
    _lengths: dict[Channel, int] = field(default_factory=lambda: dict.fromkeys(Channel, 0))
    _readers: list[Callable[[], None]] = field(default_factory=list)

    @property
    def last_seq(self) -> int:
        """Number of the newest entry; the end of the response counts as one."""
        return len(self._pieces) + (self.outcome is not None)

    def text(self, channel: Channel) -> str:
        """All text of a channel so far."""
        return "".join(piece.text for piece in self._pieces if piece.channel is channel)

    def wait_at(self, place: Place) -> None:
        """Tell readers where it stands in the queue."""
        if self.place != place:
            self.place = place
            self._wake()

    def begin(self) -> None:
        """The model has begun."""
        self._move(Status.RUNNING)
        self.place = None
        self._wake()

    def add(self, channel: Channel, text: str) -> None:
        """Append text; it is never changed afterwards."""
        assert self.status is Status.RUNNING
        offset = self._lengths[channel]
        self._pieces.append(Piece(len(self._pieces) + 1, channel, offset, text))
        self._lengths[channel] = offset + len(text)
        self.held_bytes += len(text.encode()) + _PIECE_BYTES
        self._wake()

    def end(self, status: Status, outcome: Outcome, now: float) -> None:
        """Close it; exactly once."""
        assert status.over
        self._move(status)
        self.place = None
        self.outcome = outcome
        self.ended_at = now
        self._wake()

    def after(self, seq: int, text_bytes_max: int) -> list[Piece]:
        """Everything after ``seq``, neighbours of one channel merged up to ``text_bytes_max`` bytes."""
        merged: list[Piece] = []
        run: list[str] = []
        run_bytes = 0
        for index in range(seq, len(self._pieces)):
            piece = self._pieces[index]
            size = len(piece.text.encode())
            same = merged and merged[-1].channel is piece.channel
            if same and run_bytes + size <= text_bytes_max:
                run.append(piece.text)
                run_bytes += size
                merged[-1] = Piece(piece.seq, piece.channel, merged[-1].offset, "")
            else:
                if merged:
                    merged[-1] = _with_text(merged[-1], run)
                merged.append(Piece(piece.seq, piece.channel, piece.offset, ""))
                run, run_bytes = [piece.text], size
        if merged:
            merged[-1] = _with_text(merged[-1], run)
        return merged

    def subscribe(self, wake: Callable[[], None]) -> None:
        """Call ``wake`` at every change; it must not wait. Somebody is reading from now on."""
        self._readers.append(wake)
        self.unread_since = None

    def unsubscribe(self, wake: Callable[[], None], now: float) -> None:
        """Stop calling ``wake``; unknown ones are ignored."""
        if wake in self._readers:
            self._readers.remove(wake)
        if not self._readers:
            self.unread_since = now

    def _move(self, status: Status) -> None:
        assert status in TRANSITIONS.get(self.status, ())
        self.status = status

    def _wake(self) -> None:
        for wake in self._readers:
            wake()


#: What an entry costs beside its text: the object and its place in the list (CPython 3.11, 64 bit).
_PIECE_BYTES = 150


def _with_text(piece: Piece, run: list[str]) -> Piece:
    return Piece(piece.seq, piece.channel, piece.offset, "".join(run))
