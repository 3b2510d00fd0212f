"""What no wait would help is refused at once."""

from __future__ import annotations

import pytest

from inglenook.chat.messages import Message
from inglenook.chat.request import ChatRequest
from inglenook.common.errors import Code, Problem
from inglenook.engine.interface import EnginePhase, EngineState
from inglenook.serving.admission import check_request, raise_if

HI = (Message("user", "Hi"),)


@pytest.mark.parametrize(
    ("state", "model", "code"),
    [
        (EngineState(EnginePhase.READY, "tiny"), None, None),
        (EngineState(EnginePhase.READY, "tiny"), "Tiny:latest", None),
        (EngineState(EnginePhase.READY, "tiny"), "huge", Code.MODEL_MISSING),
        (EngineState(EnginePhase.LOADING), "huge", None),
        (EngineState(EnginePhase.LOADING, "tiny"), "huge", Code.MODEL_MISSING),
        (EngineState(EnginePhase.RESTARTING, "tiny", retry_in_s=10.0), None, None),
        (EngineState(EnginePhase.RESTARTING, "tiny", retry_in_s=10.1), None, Code.ENGINE_FAILED),
        (EngineState(EnginePhase.MISSING), None, Code.MODEL_MISSING),
        (EngineState(EnginePhase.STOPPED, "tiny"), None, None),
    ],
)
def test_a_request_fits_the_engine_or_hears_why_not(
    state: EngineState, model: str | None, code: Code | None
) -> None:
    """What may soon be otherwise is waited for; a model that is not known yet may be any."""
    try:
        check_request(ChatRequest(HI, model), state)
        said = None
    except Problem as problem:
        said = problem.code
    assert said is code


def test_a_problem_may_be_raised_any_number_of_times() -> None:
    """It does not grow by a trace each time."""
    problem = Problem(Code.TOO_HOT, "Too hot.")
    lengths = []
    for _ in range(3):
        with pytest.raises(Problem) as caught:
            raise_if(problem)
        lengths.append(len(caught.traceback))
    raise_if(None)

    assert len(set(lengths)) == 1
