"""What the box says of itself."""

from __future__ import annotations

from typing import Any

import pytest

from inglenook.daemon.state_report import state_of, status_line
from inglenook.engine.interface import EnginePhase, EngineState
from inglenook.serving.scheduler import SchedulerLoad

GOVERNOR: dict[str, Any] = {
    "level": "cool",
    "reason": "none",
    "sentence": "All is well",
    "cpu_c": 51,
}
LIMITED = {**GOVERNOR, "reason": "thermal", "sentence": "81 °C: fewer answers at once"}

ONE = SchedulerLoad(1, 0, 8)
READY = EngineState(EnginePhase.READY, "smol")


def told(
    governor: dict[str, Any] = GOVERNOR,
    load: SchedulerLoad = ONE,
    engine: EngineState = READY,
    stage: str = "busy",
    journal_error: str | None = None,
) -> dict[str, Any]:
    return state_of(governor, load, engine, stage, journal_error)


def test_a_model_on_its_way_says_how_far_it_has_come() -> None:
    """And only then."""
    loading = told(engine=EngineState(EnginePhase.LOADING, "smol", progress=0.25))

    assert (loading["engine"], loading["loaded"]) == ("loading", 0.25)
    assert told()["loaded"] is None


@pytest.mark.parametrize(
    "engine",
    [
        EngineState(EnginePhase.LOADING, "smol", progress=0.25),
        EngineState(EnginePhase.READY, "smol", request_tokens_max=8192),
        EngineState(EnginePhase.UNLOADED, "smol", request_tokens_max=8192),
    ],
)
def test_the_list_of_models_says_the_same_as_the_fields_of_the_one(engine: EngineState) -> None:
    """Clients of before read those; what a request may have is in the list alone."""
    state = told(load=SchedulerLoad(2, 1, 8), engine=engine)

    [model] = state["models"]
    assert (model["name"], model["kind"]) == (state["model"], "chat")
    assert (model["engine"], model["loaded"]) == (state["engine"], state["loaded"])
    assert model["load"] == {name: state[name] for name in ("max_active", "active", "queued")}
    assert model["context"] == (engine.request_tokens_max or None)


def test_a_box_without_a_model_lists_none() -> None:
    assert told(engine=EngineState(EnginePhase.MISSING))["models"] == []


@pytest.mark.parametrize(
    ("state", "line"),
    [
        (told(), "smol ready, 1 of 8 answers, 51 °C"),
        (told(load=SchedulerLoad(8, 3, 8)), "smol ready, 8 of 8 answers, 3 waiting, 51 °C"),
        (told({**GOVERNOR, "cpu_c": None}), "smol ready, 1 of 8 answers"),
        (told(LIMITED), "smol ready, 1 of 8 answers, 51 °C, 81 °C: fewer answers at once"),
        (
            told(
                load=SchedulerLoad(0, 0, 8),
                engine=EngineState(EnginePhase.UNLOADED, "smol"),
                stage="unloaded",
            ),
            "smol unloaded, 0 of 8 answers, 51 °C, asleep (unloaded)",
        ),
        (told(engine=EngineState(EnginePhase.MISSING)), "no model, 1 of 8 answers, 51 °C"),
        (
            told(journal_error="No space left on device"),
            "smol ready, 1 of 8 answers, 51 °C, answers are not kept on disk: No space left on"
            " device",
        ),
    ],
)
def test_one_line_says_what_matters(state: dict[str, Any], line: str) -> None:
    """What is usual is left out."""
    assert status_line(state) == line
