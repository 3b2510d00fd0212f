"""Requests that are refused at once, because waiting would not help. Kind: rules."""

from __future__ import annotations

from collections.abc import Sequence

from inglenook.chat.request import ChatRequest
from inglenook.common.errors import Code, Problem
from inglenook.engine.interface import Capabilities, EnginePhase, EngineState

#: One device's share of the queue: a family of four can fill it, one phone cannot.
WAITING_PER_DEVICE_MAX = 16

#: A phone is told to come back later, rather than to wait, if the engine needs longer than this.
_WORTH_WAITING_S = 10.0

_LOCAL = Capabilities()


def model_name(model: str | None) -> str:
    """A model's name as clients write it, to compare it with others."""
    return (model or "").removesuffix(":latest").lower()


def check_request(
    request: ChatRequest,
    state: EngineState,
    capabilities: Capabilities = _LOCAL,
    models: Sequence[str] = (),
) -> None:
    """Check that the engine can answer this request, and before long.

    Args:
        request: What is asked.
        state: Of the engine it goes to.
        capabilities: What that engine can do.
        models: Names of the models of all engines.

    Raises:
        Problem: If it runs another model, or none, or cannot do what is asked.
    """
    if state.phase is EnginePhase.MISSING or (
        state.phase is EnginePhase.RESTARTING and state.retry_in_s > _WORTH_WAITING_S
    ):
        raise problem_of(state)
    wanted = model_name(request.model)
    if wanted and state.model and wanted != state.model.lower():
        names = " and ".join(f"'{model}'" for model in models or (state.model,))
        text = (
            f"This box runs {names}; leave 'model' out or name {'one' if models[1:] else 'that'}."
        )
        raise Problem(Code.MODEL_MISSING, text)
    tools = any(message.tool_calls or message.tool_call_id for message in request.messages)
    if tools and not capabilities.tools:
        raise Problem(Code.BAD_REQUEST, "This model takes no calls of tools.")
    if request.schema is not None and not capabilities.schemas:
        raise Problem(Code.BAD_REQUEST, "This model cannot keep to a JSON schema.")


def check_queue(queued: int, of_device: int, queue: int, retry_after_s: float) -> None:
    """Check that there is room for one more request.

    Args:
        queued: Requests that wait, for all engines.
        of_device: How many of them are of the device that asks.
        queue: Requests that may wait in all.
        retry_after_s: When there is likely to be room, seconds.

    Raises:
        Problem: If too many wait.
    """
    if queued >= queue or of_device >= WAITING_PER_DEVICE_MAX:
        text = "Too many questions are waiting already. Please try again later."
        raise Problem(Code.BUSY, text, retry_after_s=retry_after_s)


def problem_of(state: EngineState) -> Problem:
    """Say to a person why an engine without a model, or one that fails again and again, is none."""
    if state.phase is EnginePhase.MISSING:
        text = "This box has no usable model right now; its log says why."
        retry_after_s = round(state.retry_in_s, 1) or None
        return Problem(Code.MODEL_MISSING, text, retry_after_s=retry_after_s)
    text = "The model keeps failing on this box; its log says why."
    return Problem(Code.ENGINE_FAILED, text, retry_after_s=round(state.retry_in_s, 1))


def shutting_down() -> Problem:
    """The problem of all requests while the daemon stops."""
    return Problem(Code.SHUTTING_DOWN, "The box is shutting down.", retry_after_s=10.0)


def raise_if(problem: Problem | None) -> None:
    """Raise a problem that may be raised more than once."""
    if problem is not None:
        # It would carry the traces of all times before.
        raise problem.with_traceback(None)
