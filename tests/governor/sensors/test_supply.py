"""Batteries and UPSes that feed the box, and others that do not."""

from __future__ import annotations

from pathlib import Path

import pytest

from inglenook.governor.sensors.supply import find_supplies, read_supplies

Supply = dict[str, str]

UPS = {"type": "UPS", "status": "Charging", "capacity": "80"}
BATTERY = {"type": "Battery", "scope": "System", "status": "Discharging", "capacity": "40"}
MOUSE = {"type": "Battery", "scope": "Device", "status": "Discharging", "capacity": "5"}
MAINS = {"type": "Mains", "online": "1"}
EMPTY_BAY = {"type": "Battery", "present": "0", "status": "Unknown", "capacity": "0"}


@pytest.mark.parametrize(
    ("supplies", "readings"),
    [
        ([], (None, None)),
        ([MAINS], (None, None)),
        ([MOUSE], (None, None)),
        ([EMPTY_BAY, MAINS], (None, None)),
        ([UPS], (False, 80.0)),
        ([BATTERY, MAINS, MOUSE], (True, 40.0)),
        ([UPS, BATTERY], (True, 40.0)),
        ([BATTERY | {"status": "Full", "capacity": "100"}], (False, 100.0)),
        ([BATTERY | {"status": "Not charging"}], (False, 40.0)),
        ([BATTERY | {"status": "Unknown"}], (None, 40.0)),
        ([BATTERY | {"capacity": "255"}], (True, None)),
        ([BATTERY | {"capacity": ""}], (True, None)),
    ],
)
def test_what_feeds_the_box_tells(
    tmp_path: Path, supplies: list[Supply], readings: tuple[bool | None, float | None]
) -> None:
    """The emptiest counts, and one that is being emptied is enough."""
    for number, supply in enumerate(supplies):
        folder = tmp_path / f"sys/class/power_supply/supply{number}"
        folder.mkdir(parents=True)
        for name, text in supply.items():
            (folder / name).write_text(f"{text}\n")

    assert read_supplies(find_supplies(tmp_path)) == readings
