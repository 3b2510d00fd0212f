"""The environment an engine is started in."""

from __future__ import annotations

import pytest

from inglenook.engine.environment import engine_environment


@pytest.mark.parametrize(
    ("given", "spin_count"),
    [
        ({}, "1000"),
        ({"GOMP_SPINCOUNT": "5"}, "5"),
        ({"OMP_WAIT_POLICY": "passive"}, None),
    ],
)
def test_threads_spin_briefly_unless_somebody_chose_otherwise(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], spin_count: str | None
) -> None:
    """All else is as it is here."""
    monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    monkeypatch.setenv("SOMETHING_ELSE", "kept")
    for name, value in given.items():
        monkeypatch.setenv(name, value)

    environment = engine_environment()

    assert environment.get("GOMP_SPINCOUNT") == spin_count
    assert environment["SOMETHING_ELSE"] == "kept"
