"""How jobs end, how fast they were, and who is told. Kind: rules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from inglenook.engine.events import Finish, JobEnded
from inglenook.serving.response_parts import Status

if TYPE_CHECKING:
    from inglenook.serving.job import Job

#: How each end of an engine's job is told.
FINISHES = {
    Finish.STOP: (Status.COMPLETED, "stop"),
    Finish.LENGTH: (Status.INCOMPLETE, "length"),
    Finish.REPETITION: (Status.INCOMPLETE, "repetition"),
    Finish.CANCELLED: (Status.CANCELLED, None),
    Finish.FAILED: (Status.FAILED, None),
}


class JobOwner(Protocol):
    """Called with what happens to a job, synchronously."""

    def progressed(self, job: Job) -> None:
        """It got its first token since its latest start."""

    def engine_lost(self, job: Job) -> None:
        """Its engine died; it is to be requeued."""

    def preempted(self, job: Job) -> None:
        """It was preempted; it goes on when it is its device's turn again."""

    def over(self, job: Job) -> None:
        """It has ended; its last change waits to be taken."""

    def give_up(self, job: Job) -> None:
        """It cannot be shown any further; its engine need not go on."""


class JobPublisher(Protocol):
    """Called when a job has a change to take; `Publisher` is the one."""

    def news(self, job: Job) -> None:
        """It has a change to take."""


def rates_of(
    event: JobEnded, prompt_tokens: int, resumed: int, gained: int
) -> tuple[float | None, float | None]:
    """Speed of prefill and of decoding, in tokens a second; None where nothing was measured.

    Args:
        event: How the latest attempt ended.
        prompt_tokens: Length of the prompt.
        resumed: Tokens of the answer that were there before.
        gained: Tokens that it added.
    """
    prefill = _rate(prompt_tokens + resumed - event.cached_tokens, event.prefill_s)
    # The first token comes out of the last prefill step, not of a decode step.
    return prefill, _rate(gained - 1, event.decode_s)


def elapsed_s(since: float, moment: float | None) -> float | None:
    """Seconds between two times, rounded for people; None if the later has not come."""
    return None if moment is None else round(moment - since, 3)


def _rate(tokens: int, duration_s: float) -> float | None:
    return round(tokens / duration_s, 2) if tokens > 0 and duration_s > 0 else None
