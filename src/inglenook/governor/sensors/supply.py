"""Reads whether the box runs from a battery or UPS. Kind: hands."""

from __future__ import annotations

from pathlib import Path

from inglenook.governor.sensors.files import number_of, text_of

_STORES = ("Battery", "UPS")


def find_supplies(root: Path) -> list[str]:
    """List the folders of batteries and UPSes that feed the box."""
    return [
        str(folder)
        for folder in sorted((root / "sys/class/power_supply").glob("*"))
        # A keyboard's or a phone's battery has the scope `Device`.
        if text_of(folder / "type") in _STORES and text_of(folder / "scope") != "Device"
    ]


def read_supplies(folders: list[str]) -> tuple[bool | None, float | None]:
    """Read whether any is being emptied, and the charge of the emptiest in percent.

    None for both without a battery, or with empty bays only.
    """
    present = [folder for folder in folders if text_of(f"{folder}/present") != "0"]
    states = [text_of(f"{folder}/status") for folder in present]
    charges = [
        float(charge)
        for folder in present
        if (charge := number_of(f"{folder}/capacity")) is not None and 0 <= charge <= 100
    ]
    known = [state for state in states if state not in ("", "Unknown")]
    return ("Discharging" in known if known else None), min(charges, default=None)
