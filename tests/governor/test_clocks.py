"""The clock is capped where that is allowed, never by more than half, and always given back."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from inglenook.governor.clocks import KEPT_NAME, ClockCaps, restore
from tests.parts.board import Board, pi_5, rk3588_mainline, virtual_machine

CPUFREQ = "sys/devices/system/cpu/cpufreq"
CAP = f"{CPUFREQ}/policy0/scaling_max_freq"
LISTED = f"{CPUFREQ}/policy0/scaling_available_frequencies"
MHZ = 1000


@pytest.fixture
def pi(tmp_path: Path) -> Board:
    """A Pi 5: 1.5 to 2.4 GHz, in steps of 100 MHz."""
    board = pi_5(tmp_path / "root")
    board.write(LISTED, " ".join(str(mhz * MHZ) for mhz in range(1500, 2500, 100)))
    board.write(f"{CPUFREQ}/policy0/scaling_min_freq", 1500 * MHZ)
    board.write("proc/sys/kernel/random/boot_id", "a boot")
    return board


def taken(board: Board, state_dir: Path) -> ClockCaps:
    clocks = ClockCaps(board.root, state_dir)
    clocks.take()
    return clocks


def caps(board: Board) -> list[int]:
    """What stands in the files, in MHz."""
    files = sorted((board.root / CPUFREQ).glob("policy*/scaling_max_freq"))
    return [int(file.read_text()) // MHZ for file in files]


def test_the_clocks_there_are_may_be_chosen_from(pi: Board, tmp_path: Path) -> None:
    """As shares of the highest; nothing is written by looking."""
    clocks = taken(pi, tmp_path)

    assert clocks.shares == tuple(mhz / 2400 for mhz in range(2400, 1400, -100))
    assert caps(pi) == [2400]
    assert not (tmp_path / KEPT_NAME).exists()


def test_a_cap_is_written_and_given_back(pi: Board, tmp_path: Path) -> None:
    """What was found is in a file for as long as it may be needed, and gone after."""
    clocks = taken(pi, tmp_path)
    seen = []
    for share in (clocks.shares[3], clocks.shares[-1], 1.0, clocks.shares[1]):
        clocks.cap(share)
        seen += caps(pi)
        assert (tmp_path / KEPT_NAME).exists()
    clocks.release()

    assert seen == [2100, 1500, 2400, 2300]
    assert caps(pi) == [2400]
    assert clocks.shares == (1.0,)
    assert not (tmp_path / KEPT_NAME).exists()


def test_all_cores_are_capped_alike_and_none_below_half(tmp_path: Path) -> None:
    """Little cores and big; a driver that lists no clocks takes any."""
    board = rk3588_mainline(tmp_path)
    clocks = taken(board, tmp_path)
    assert (len(clocks.shares), clocks.shares[-1]) == (11, 0.5)

    clocks.cap(clocks.shares[5])
    assert caps(board) == [1350, 1800, 1800]
    clocks.cap(0.5)
    assert caps(board) == [900, 1200, 1200]


def test_the_floor_is_half_of_the_highest_clock(pi: Board, tmp_path: Path) -> None:
    """Whatever lower clocks the driver lists."""
    pi.write(LISTED, "2400000 1200000 1199999 600000 junk")
    pi.write(f"{CPUFREQ}/policy0/scaling_min_freq", 600 * MHZ)

    assert taken(pi, tmp_path).shares == (1.0, 0.5)


def test_the_owners_own_cap_is_the_most(pi: Board, tmp_path: Path) -> None:
    """Someone who runs the board at 1.8 GHz gets that back, and never more."""
    pi.write(CAP, 1800 * MHZ)
    clocks = taken(pi, tmp_path)
    assert clocks.shares == tuple(mhz / 1800 for mhz in (1800, 1700, 1600, 1500))

    clocks.cap(clocks.shares[-1])
    assert caps(pi) == [1500]
    clocks.release()
    assert caps(pi) == [1800]


def test_a_share_that_is_not_offered_is_not_set(pi: Board, tmp_path: Path) -> None:
    """One decided before the clocks were known, or after they were given back."""
    clocks = taken(pi, tmp_path)
    clocks.cap(0.3)

    assert caps(pi) == [2400]


def test_a_killed_daemon_leaves_no_cap_behind(pi: Board, tmp_path: Path) -> None:
    """The next start sets it back first, and finds the owner's value again."""
    killed = taken(pi, tmp_path)
    killed.cap(killed.shares[-1])
    assert caps(pi) == [1500]

    clocks = taken(pi, tmp_path)
    assert caps(pi) == [2400]
    assert clocks.shares == tuple(mhz / 2400 for mhz in range(2400, 1400, -100))


def test_after_a_restart_of_the_box_the_file_says_nothing(pi: Board, tmp_path: Path) -> None:
    """By then the cap is what the owner wants, which may be less than it was."""
    killed = taken(pi, tmp_path)
    killed.cap(killed.shares[-1])
    pi.write("proc/sys/kernel/random/boot_id", "another boot")
    pi.write(CAP, 1800 * MHZ)

    assert restore(pi.root, tmp_path / KEPT_NAME)
    assert caps(pi) == [1800]
    assert not (tmp_path / KEPT_NAME).exists()


@pytest.mark.parametrize(
    "text",
    [
        "",
        '{"boot_id": "a bo',
        "[]",
        '{"boot_id": "a boot"}',
        '{"boot_id": "a boot", "khz": 7}',
        '{"boot_id": "a boot", "khz": {"policy0": "1"}}',
        '{"boot_id": "a boot", "khz": {"../../../../../../etc/x": 1}}',
    ],
)
def test_a_file_that_says_nothing_usable_is_removed(text: str, pi: Board, tmp_path: Path) -> None:
    """It is written whole before anything is lowered; whatever else it is, it is not that."""
    (tmp_path / KEPT_NAME).write_text(text)

    assert restore(pi.root, tmp_path / KEPT_NAME)
    assert caps(pi) == [2400]
    assert not (tmp_path / KEPT_NAME).exists()


def test_cores_that_have_gone_need_nothing_back(pi: Board, tmp_path: Path) -> None:
    """Somebody has switched them off."""
    clocks = taken(pi, tmp_path)
    clocks.cap(clocks.shares[1])
    pi.remove(CAP)
    clocks.release()

    assert not (tmp_path / KEPT_NAME).exists()
    assert not (pi.root / CAP).exists()


def test_what_cannot_be_given_back_yet_is_remembered(pi: Board, tmp_path: Path) -> None:
    """The file stays for the next who tries, and nothing is offered before that worked."""
    clocks = taken(pi, tmp_path)
    clocks.cap(clocks.shares[-1])
    good = (pi.root / CAP).rename(tmp_path / "cap")
    (pi.root / CAP).symlink_to("/dev/full")
    clocks.release()
    assert (tmp_path / KEPT_NAME).exists()
    assert taken(pi, tmp_path).shares == (1.0,)

    good.replace(pi.root / CAP)
    assert len(taken(pi, tmp_path).shares) == 10
    assert caps(pi) == [2400]


def test_a_refused_cap_ends_it(pi: Board, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It is said once, and pauses do what the clock would have done."""
    clocks = taken(pi, tmp_path)
    lower = clocks.shares[-1]
    (pi.root / CAP).unlink()
    (pi.root / CAP).symlink_to("/dev/full")
    clocks.cap(lower)
    clocks.cap(lower)

    assert clocks.shares == (1.0,)
    assert len([r for r in caplog.records if "pauses have to do" in r.getMessage()]) == 1


def test_nothing_is_lowered_that_could_not_be_given_back(pi: Board, tmp_path: Path) -> None:
    """Without a place for the file, the clock stays as it is."""
    clocks = taken(pi, tmp_path / "missing")
    clocks.cap(clocks.shares[-1])

    assert caps(pi) == [2400]
    assert clocks.shares == (1.0,)


def no_cpufreq(root: Path) -> None:
    virtual_machine(root)


def unreadable(root: Path) -> None:
    pi_5(root).write(CAP, "<unknown>")


def one_missing(root: Path) -> None:
    rk3588_mainline(root).remove(f"{CPUFREQ}/policy4/scaling_max_freq")


def held_low(root: Path) -> None:
    pi_5(root).write(CAP, 1000 * MHZ)


@pytest.mark.parametrize("make", [no_cpufreq, unreadable, one_missing, held_low])
def test_a_board_without_such_clocks_offers_none(
    make: Callable[[Path], None], tmp_path: Path
) -> None:
    """No cpufreq, no number, not all of the cores, or a cap below half already."""
    make(tmp_path)
    clocks = ClockCaps(tmp_path, tmp_path)
    clocks.take()

    assert clocks.shares == (1.0,)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder into which others than root may look, too."""
    before = os.geteuid()
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)
        os.seteuid(before)


def test_a_file_that_may_not_be_written_offers_nothing(open_folder: Path) -> None:
    """As it is on every box where nobody has opened it for the service."""
    board = pi_5(open_folder)
    (board.root / CAP).chmod(0o444)
    if os.geteuid() == 0:
        os.seteuid(65534)

    assert taken(board, open_folder).shares == (1.0,)


def test_run_as_a_program_it_sets_back_what_was_left(tmp_path: Path) -> None:
    """What systemd runs when the service has stopped, however it did; of another boot, nothing."""
    (tmp_path / KEPT_NAME).write_text('{"boot_id": "another", "khz": {"policy0": 1}}')
    command = [sys.executable, "-m", "inglenook.governor.clocks", str(tmp_path)]

    assert subprocess.run(command, check=False, timeout=30).returncode == 0
    assert not (tmp_path / KEPT_NAME).exists()
