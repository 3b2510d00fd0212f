"""Where an engine's threads are told to run."""

from __future__ import annotations

import os
from collections.abc import Mapping

import pytest

from inglenook.engine.cores import placement_order
from inglenook.engine.environment import engine_environment


def test_each_compute_thread_has_a_core_of_its_own() -> None:
    """The fast ones first; all else is as it is here."""
    environment = engine_environment({"SOMETHING_ELSE": "kept"})

    places = ",".join(f"{{{core}}}" for core in placement_order())
    assert environment == {
        "SOMETHING_ELSE": "kept",
        "OMP_PLACES": places,
        "OMP_PROC_BIND": "close",
    }


@pytest.mark.parametrize(
    "said",
    [{"OMP_PROC_BIND": "false"}, {"OMP_PLACES": "sockets"}, {"GOMP_CPU_AFFINITY": "0-3"}],
)
def test_whoever_has_said_where_threads_run_is_obeyed(said: Mapping[str, str]) -> None:
    """An admin who knows the board better."""
    assert engine_environment(said) == said


def test_without_being_told_it_is_this_process_s_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which the engine inherits otherwise, too."""
    monkeypatch.setenv("SOMETHING_ELSE", "kept")

    assert engine_environment().items() >= dict(os.environ).items()
