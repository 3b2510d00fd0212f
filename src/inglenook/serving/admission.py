"""What is refused at once, because waiting would not help it. Kind: rules."""

from __future__ import annotations

from inglenook.chat.request import ChatRequest
from inglenook.common.errors import Code, Problem
from inglenook.engine.interface import EnginePhase, EngineState
from inglenook.serving.scheduler import Scheduler

#: One device's share of the queue: a family of four can fill it, one phone cannot.
WAITING_PER_DEVICE_MAX = 16

#: A phone is told to come back later, rather than to wait, if the engine needs longer than this.
_WORTH_WAITING_S = 10.0


def check_request(request: ChatRequest, state: EngineState) -> None:
    """Check that the engine's state lets it answer this request before long.

    Raises:
        Problem: If it runs another model, or none.
    """
    if state.phase is EnginePhase.MISSING or (
        state.phase is EnginePhase.RESTARTING and state.retry_in_s > _WORTH_WAITING_S
    ):
        raise problem_of(state)
    wanted = (request.model or "").removesuffix(":latest").lower()
    if wanted and state.model and wanted != state.model.lower():
        text = f"This box runs '{state.model}'; leave 'model' out or name that."
        raise Problem(Code.MODEL_MISSING, text)


def check_queue(places: Scheduler, device_id: str, queue: int) -> None:
    """Check that there is room for one more question; ``queue`` may wait in all.

    Raises:
        Problem: If too many wait.
    """
    full = places.load.queued >= queue
    if full or places.waiting(device_id) >= WAITING_PER_DEVICE_MAX:
        text = "Too many questions are waiting already. Please try again later."
        raise Problem(Code.BUSY, text, retry_after_s=places.retry_after_s)


def problem_of(state: EngineState) -> Problem:
    """Say to a person why an engine without a model, or one that fails again and again, is none."""
    if state.phase is EnginePhase.MISSING:
        text = "This box has no usable model right now; its log says why."
        retry_after_s = round(state.retry_in_s, 1) or None
        return Problem(Code.MODEL_MISSING, text, retry_after_s=retry_after_s)
    text = "The model keeps failing on this box; its log says why."
    return Problem(Code.ENGINE_FAILED, text, retry_after_s=round(state.retry_in_s, 1))


def shutting_down() -> Problem:
    """What is told while the box goes."""
    return Problem(Code.SHUTTING_DOWN, "The box is shutting down.", retry_after_s=10.0)


def raise_if(problem: Problem | None) -> None:
    """Raise a problem that may be raised more than once."""
    if problem is not None:
        # It would carry the traces of all times before.
        raise problem.with_traceback(None)
