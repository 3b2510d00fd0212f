"""A board is known to wake up when it was seen to, with this kernel."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from inglenook.common.errors import InglenookError
from inglenook.power.login1 import LogindRefused
from inglenook.power.resume import ClockPair
from inglenook.power.suspend_test import (
    Suspender,
    SuspendTest,
    can_sleep,
    last_test,
    read_suspend_test,
    try_suspend,
)

KERNEL = os.uname().release

Asleep = Callable[["Board"], None]


class Board:
    """A board in a folder: its files, and clocks that jump when it sleeps."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.slept_s = 0.0
        self.clock = root / "sys/class/rtc/rtc0"
        self.write("sys/power/state", "freeze mem disk\n")
        self.write("proc/device-tree/model", "FriendlyElec CM3588 NAS\0")
        self.write("sys/class/rtc/rtc0/since_epoch", "1000\n")
        self.write("sys/class/rtc/rtc0/wakealarm", "")
        self.state_dir = root / "state"
        self.state_dir.mkdir()
        self.asleep: list[SuspendTest | None] = []

    def write(self, path: str, text: str) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def bed(self, asleep: Asleep, alarm_s: float = 60.0) -> Suspender:
        async def suspend() -> None:
            # What a board that never comes back leaves in its file.
            self.asleep.append(await asyncio.to_thread(last_test, self.state_dir))
            await asyncio.to_thread(asleep, self)

        return Suspender(suspend, alarm_s, self.root, self.clocks)

    def clocks(self) -> ClockPair:
        return ClockPair(500.0 + self.slept_s, 500.0)

    def sleep(self, slept_s: float, *, spent: bool) -> None:
        self.slept_s += slept_s
        self.write("sys/class/rtc/rtc0/since_epoch", f"{1000 + round(slept_s)}\n")
        if spent:
            self.write("sys/class/rtc/rtc0/wakealarm", "")

    async def is_known(self, kernel: str = KERNEL) -> bool:
        return await asyncio.to_thread(read_suspend_test, self.state_dir, kernel, self.root)


@pytest.fixture
def board(tmp_path: Path) -> Board:
    """A board that can sleep, not tested yet."""
    return Board(tmp_path)


async def test_a_board_that_came_back_is_known(board: Board) -> None:
    """With how long it slept; and until it was back, the file said that it had not."""
    assert not await board.is_known()

    test = await try_suspend(board.state_dir, board.bed(lambda b: b.sleep(58.3, spent=True)))

    assert (test.ok, test.slept_s) == (True, 58.3)
    assert (test.board, test.kernel) == ("FriendlyElec CM3588 NAS", KERNEL)
    assert await asyncio.to_thread(last_test, board.state_dir) == test
    assert [kept.ok for kept in board.asleep if kept] == [False]
    assert await board.is_known()
    assert (board.clock / "wakealarm").read_text().strip() == "0"


async def test_the_file_is_the_daemons_to_read(board: Board) -> None:
    """It is root who tests; nothing else is left beside it."""
    await try_suspend(board.state_dir, board.bed(lambda b: b.sleep(60, spent=True)))

    (file,) = board.state_dir.iterdir()
    assert file.stat().st_mode & 0o777 == 0o644


async def test_it_counts_for_this_board_and_kernel_only(board: Board) -> None:
    """An update of the kernel may break it, and a card may move to another board."""
    await try_suspend(board.state_dir, board.bed(lambda b: b.sleep(60, spent=True)))

    assert not await board.is_known("6.1.0-rockchip")
    board.write("proc/device-tree/model", "Raspberry Pi 5 Model B Rev 1.0\0")
    assert not await board.is_known()


@pytest.mark.parametrize(
    ("asleep", "words"),
    [
        (lambda board: None, "the board did not go to sleep; `journalctl -b -k` says"),
        (lambda board: board.sleep(12, spent=False), "something else woke the board after 12 s"),
        (lambda board: board.sleep(600, spent=True), "did not wake the board: it slept on for 580"),
    ],
    ids=["stays awake", "woken early", "woken by hand"],
)
async def test_anything_else_than_the_alarm_is_a_failure(
    board: Board, asleep: Asleep, words: str
) -> None:
    """Said in a sentence; and an earlier success no longer counts."""
    await try_suspend(board.state_dir, board.bed(lambda b: b.sleep(60, spent=True)))
    board.write("sys/class/rtc/rtc0/since_epoch", "1000\n")

    with pytest.raises(InglenookError, match=words):
        await try_suspend(board.state_dir, board.bed(asleep, alarm_s=20.3))

    assert not await board.is_known()
    assert (board.clock / "wakealarm").read_text().strip() == "0"


async def test_a_refusal_takes_the_alarm_back(board: Board) -> None:
    """Polkit's, or because somebody keeps the board awake."""

    def refuse(_board: Board) -> None:
        raise LogindRefused("Backup keeps the board awake: Copying photos")

    with pytest.raises(InglenookError, match="Copying photos"):
        await try_suspend(board.state_dir, board.bed(refuse))

    assert (board.clock / "wakealarm").read_text().strip() == "0"
    assert not await board.is_known()


async def test_the_alarm_stays_if_the_test_is_given_up_meanwhile(board: Board) -> None:
    """The board may be on its way to sleep, and would not wake up."""
    suspended = asyncio.Event()

    def clocks() -> ClockPair:
        if board.asleep:
            suspended.set()
        return board.clocks()

    async with asyncio.TaskGroup() as tasks:
        bed = replace(board.bed(lambda _board: None), clocks=clocks)
        test = tasks.create_task(try_suspend(board.state_dir, bed), name="test")
        await suspended.wait()
        test.cancel()

    assert (board.clock / "wakealarm").read_text().strip() == "1060"


async def test_a_kernel_that_cannot_suspend_is_not_asked_to(board: Board) -> None:
    """As on every Raspberry Pi."""
    board.write("sys/power/state", "freeze\n")

    assert not await asyncio.to_thread(can_sleep, board.root)
    with pytest.raises(InglenookError, match="/sys/power/state has no 'mem'"):
        await try_suspend(board.state_dir, board.bed(lambda b: b.sleep(60, spent=True)))
    assert board.asleep == []


async def test_a_board_without_a_clock_is_not_put_to_sleep(board: Board) -> None:
    """Nothing would wake it."""
    (board.clock / "wakealarm").unlink()

    with pytest.raises(InglenookError, match="no clock that could wake it"):
        await try_suspend(board.state_dir, board.bed(lambda b: b.sleep(60, spent=True)))
    assert board.asleep == []


async def test_a_result_that_could_not_be_kept_is_not_sought(board: Board) -> None:
    """A state folder that is not there is found before the board sleeps, not after."""
    board.state_dir.rmdir()

    with pytest.raises(InglenookError, match="cannot be written: No such file"):
        await try_suspend(board.state_dir, board.bed(lambda b: b.sleep(60, spent=True)))
    assert board.asleep == []
    assert (board.clock / "wakealarm").read_text().strip() == "0"


@pytest.mark.parametrize("text", ["", "{}", '{"version": 2}', "[" * 100_000, "\xff"])
async def test_a_file_that_makes_no_sense_does_not_count(board: Board, text: str) -> None:
    """And fails nothing."""
    (board.state_dir / "suspend-test.json").write_text(text, encoding="latin-1")

    assert not await board.is_known()
    assert await asyncio.to_thread(last_test, board.state_dir) is None


async def test_a_file_that_cannot_be_read_does_not_count(board: Board) -> None:
    """Here it is a folder."""
    (board.state_dir / "suspend-test.json").mkdir()

    assert not await board.is_known()


async def test_a_pc_is_known_by_its_product_name(board: Board) -> None:
    """It has no device tree."""
    (board.root / "proc/device-tree/model").unlink()
    board.write("sys/class/dmi/id/product_name", "NUC8i5BEH\n")
    text = '{"version":1,"test":{"board":"NUC8i5BEH","kernel":"6.1","at":"x","ok":true}}'
    (board.state_dir / "suspend-test.json").write_text(text)

    assert await board.is_known("6.1")
