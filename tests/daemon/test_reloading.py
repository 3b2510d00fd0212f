"""What of changed settings counts at once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from inglenook.config import Config
from inglenook.daemon.reloading import changed_keys
from inglenook.power.settings import PowerSettings, WakeSettings, WakeTarget

BEFORE = Config("Kitchen", Path("/state"))


def test_nothing_changed_is_nothing_said() -> None:
    """Neither now nor later."""
    assert changed_keys(BEFORE, replace(BEFORE)) == ([], [])


def test_sleep_and_whom_to_wake_count_at_once() -> None:
    """The rest waits for a restart, the port for calls too."""
    after = replace(
        BEFORE,
        name="Study",
        power=PowerSettings(unload_after_s=5),
        wake=WakeSettings(udp_port=7, targets=(WakeTarget("Office", "aa:bb:cc:dd:ee:ff"),)),
    )

    assert changed_keys(BEFORE, after) == (
        ["power.unload_after", "wake.targets"],
        ["name", "wake.udp_port"],
    )
