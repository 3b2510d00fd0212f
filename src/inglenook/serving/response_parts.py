"""The parts of a response: status, text pieces, outcome, and changes to it. Kind: words."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from inglenook.chat.thinking import Channel
from inglenook.common.errors import Problem


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


class WaitReason(StrEnum):
    """Why a response waits."""

    BUSY = "busy"
    THERMAL = "thermal"
    MEMORY = "memory"
    LOADING = "loading"


@dataclass(frozen=True, slots=True)
class QueuePosition:
    """Where a waiting response stands.

    Attributes:
        position: 1 is next.
        eta_s: When it is likely to begin, seconds from now.
    """

    position: int
    eta_s: float
    reason: WaitReason


@dataclass(frozen=True, slots=True)
class TextPiece:
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
        finish_reason: ``stop`` or ``length`` as OpenAI says, ``repetition`` as vLLM does; None if
            it did not end by itself.
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


@dataclass(frozen=True, slots=True)
class Ending:
    """The last thing that happens to a response.

    Attributes:
        seq: Its number; the end counts as an entry.
    """

    seq: int
    status: Status
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Change:
    """What is to be added to a response, all at once.

    Attributes:
        response_id: Which.
        begins: The model has begun.
        pieces: Text, numbered.
        tokens: The tokens it was made of; those of held-back text may be among them.
        ending: Set if nothing follows.
        model_id: Which model file writes it, see `EngineState.model_id`, if that is news.
    """

    response_id: str
    begins: bool
    pieces: tuple[TextPiece, ...]
    tokens: tuple[int, ...]
    ending: Ending | None
    model_id: str = ""


@dataclass(frozen=True, slots=True)
class Cut:
    """How far a reader's copy is still good.

    Attributes:
        seq: The last entry to keep; 0 keeps nothing.
        offsets: Code points to keep, by channel.
    """

    seq: int
    offsets: dict[Channel, int]


def merged(pieces: Iterable[TextPiece], text_bytes_max: int) -> list[TextPiece]:
    """Join neighbours of one channel up to ``text_bytes_max`` bytes, under the last ``seq``."""
    runs: list[list[TextPiece]] = []
    run_bytes = 0
    for piece in pieces:
        size = len(piece.text.encode())
        if runs and runs[-1][0].channel is piece.channel and run_bytes + size <= text_bytes_max:
            runs[-1].append(piece)
            run_bytes += size
        else:
            runs.append([piece])
            run_bytes = size
    return [
        TextPiece(run[-1].seq, run[0].channel, run[0].offset, "".join(piece.text for piece in run))
        for run in runs
    ]
