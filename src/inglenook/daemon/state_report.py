"""The box's state, for phones and for ``systemctl status``. Kind: rules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from inglenook.engine.interface import EnginePhase, EngineState
from inglenook.serving.scheduler import SchedulerLoad

#: What a model of the list ``models`` is for.
_CHAT: Final = "chat"


def state_of(
    governor: Mapping[str, Any],
    load: SchedulerLoad,
    engine: EngineState,
    stage: str,
    journal_error: str | None,
) -> dict[str, Any]:
    """Put the ``state`` of docs/protocol.md together.

    Args:
        governor: Its part of it.
        load: Of the dispatcher.
        engine: The engine's state.
        stage: How deep the box sleeps.
        journal_error: Why answers are not kept on disk just now; None if they are, or need not be.
    """
    return {
        **governor,
        "max_active": load.max_active,
        "active": load.active,
        "queued": load.queued,
        "model": engine.model,
        "engine": engine.phase,
        "loaded": _loaded(engine),
        "sleep": stage,
        "journal_error": journal_error,
        "models": [_model(load, engine)] if engine.model else [],
    }


def _model(load: SchedulerLoad, engine: EngineState) -> dict[str, Any]:
    return {
        "name": engine.model,
        "kind": _CHAT,
        "engine": engine.phase,
        "loaded": _loaded(engine),
        "context": engine.request_tokens_max or None,
        "load": {"max_active": load.max_active, "active": load.active, "queued": load.queued},
    }


def _loaded(engine: EngineState) -> float | None:
    return engine.progress if engine.phase is EnginePhase.LOADING else None


def status_line(state: Mapping[str, Any]) -> str:
    """Say it in one line, for ``systemctl status``."""
    parts = [
        f"{state['model']} {state['engine']}" if state["model"] else "no model",
        f"{state['active']} of {state['max_active']} answers",
        f"{state['queued']} waiting" if state["queued"] else "",
        "" if state["cpu_c"] is None else f"{state['cpu_c']} °C",
        state["sentence"] if state["reason"] != "none" else "",
        f"asleep ({state['sleep']})" if state["sleep"] not in ("busy", "idle") else "",
        f"answers are not kept on disk: {state['journal_error']}" if state["journal_error"] else "",
    ]
    return ", ".join(part for part in parts if part)
