"""The alarm of the board's clock, as the kernel shows it in files."""

from __future__ import annotations

from pathlib import Path

import pytest

from inglenook.common.errors import StartupError
from inglenook.power.rtc import find_clock, set_alarm


@pytest.fixture
def clock(tmp_path: Path) -> Path:
    """The folder of a clock that can wake the board, below the root ``tmp_path``."""
    folder = tmp_path / "sys/class/rtc/rtc0"
    folder.mkdir(parents=True)
    (folder / "since_epoch").write_text("1000\n")
    (folder / "wakealarm").write_text("")
    return folder


def alarm_of(clock: Path) -> str:
    return (clock / "wakealarm").read_text().strip()


def test_it_is_set_by_the_clocks_own_time(clock: Path, tmp_path: Path) -> None:
    """Which may be any zone's, or wrong."""
    set_alarm(tmp_path, 60.0)

    assert alarm_of(clock) == "1060"


def test_one_that_went_off_is_spent(clock: Path, tmp_path: Path) -> None:
    """The kernel then shows none; some drivers leave it, in the past."""
    for left in ("", "1060\n"):
        alarm = set_alarm(tmp_path, 60.0)
        (clock / "since_epoch").write_text("1060\n")
        (clock / "wakealarm").write_text(left)
        assert alarm.put_back()
        assert alarm_of(clock) == "0"
        (clock / "since_epoch").write_text("1000\n")
        (clock / "wakealarm").write_text("")


def test_one_that_did_not_is_taken_back(clock: Path, tmp_path: Path) -> None:
    """Or the board would wake up later, for nothing."""
    alarm = set_alarm(tmp_path, 60.0)

    assert not alarm.put_back()
    assert alarm_of(clock) == "0"


@pytest.mark.parametrize(("others", "after"), [("9000", "9000"), ("1030", "0")])
def test_others_alarm_is_set_again_if_it_is_still_to_come(
    clock: Path, tmp_path: Path, others: str, after: str
) -> None:
    """A NAS that wakes up each night for its backup does so after the test, too."""
    (clock / "wakealarm").write_text(f"{others}\n")

    alarm = set_alarm(tmp_path, 60.0)
    assert alarm_of(clock) == "1060"
    (clock / "since_epoch").write_text("1060\n")
    alarm.put_back()

    assert alarm_of(clock) == after


def test_the_first_clock_that_can_wake_is_used(clock: Path, tmp_path: Path) -> None:
    """Boards have a second one in the processor, which often cannot."""
    (clock / "wakealarm").unlink()
    other = clock.with_name("rtc1")
    other.mkdir()
    (other / "wakealarm").write_text("")

    assert find_clock(tmp_path) == other


def test_a_board_without_such_a_clock_cannot_be_woken(tmp_path: Path) -> None:
    """As a Raspberry Pi 4."""
    assert find_clock(tmp_path) is None
    with pytest.raises(StartupError, match="no clock in /sys/class/rtc"):
        set_alarm(tmp_path, 60.0)


def test_a_kernel_that_refuses_is_quoted(clock: Path, tmp_path: Path) -> None:
    """Whatever its reason; here the file is a folder."""
    (clock / "wakealarm").unlink()
    (clock / "wakealarm").mkdir()

    with pytest.raises(StartupError, match="rtc0's alarm cannot be set: Is a directory"):
        set_alarm(tmp_path, 60.0)
