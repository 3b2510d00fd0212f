"""Hours and machines to wake, as people write them."""

from __future__ import annotations

import pytest

from inglenook.config.powervalues import hours, wake_target
from inglenook.power.settings import AwakeHours, WakeTarget


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("07:00-22:30", AwakeHours(420, 1350)),
        ("22:00-06:00", AwakeHours(1320, 360)),
        ("00:00-23:59", AwakeHours(0, 1439)),
    ],
)
def test_hours_are_read_and_written_alike(text: str, read: AwakeHours) -> None:
    """Also those that go past midnight."""
    assert hours.read(text) == read
    assert hours.write(read) == text


@pytest.mark.parametrize("text", ["7:00-22:00", "24:00-06:00", "07:00-07:00", "07:60-08:00", ""])
def test_what_are_no_hours_is_refused(text: str) -> None:
    """With what to write instead."""
    with pytest.raises(ValueError, match="is not hours such as 07:00-22:30"):
        hours.read(text)


def test_a_machine_is_read_with_and_without_a_password() -> None:
    """MAC addresses are written as people find them; the name may be anything that can be shown."""
    assert wake_target.read("Office=AA-BB-CC-DD-EE-FF") == WakeTarget("Office", "aa:bb:cc:dd:ee:ff")
    assert wake_target.read("a=b=aa:bb:cc:dd:ee:ff/00:11:22:33:44:55") == WakeTarget(
        "a=b", "aa:bb:cc:dd:ee:ff", "00:11:22:33:44:55"
    )


def test_a_password_is_not_shown() -> None:
    """What is in force is shown to whoever asks for help."""
    target = WakeTarget("Office", "aa:bb:cc:dd:ee:ff", "00:11:22:33:44:55")

    assert wake_target.write(target) == "Office=aa:bb:cc:dd:ee:ff/**:**:**:**:**:**"


@pytest.mark.parametrize(
    "text",
    ["Office", "=aa:bb:cc:dd:ee:ff", "Office=aa:bb:cc:dd:ee", "Office=aa:bb:cc:dd:ee:fg", ""],
)
def test_what_is_no_machine_is_refused(text: str) -> None:
    """With what to write instead."""
    with pytest.raises(ValueError, match="is not a name and a MAC address"):
        wake_target.read(text)
