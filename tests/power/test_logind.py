"""What goes on without logind; tests/system/test_logind.py tells what it does with one."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from inglenook.common.errors import InglenookError
from inglenook.power import bus, logind
from inglenook.power.logind import Logind
from inglenook.power.resume import ClockPair

#: Everything here takes milliseconds; a busy machine takes its time.
WITHIN_S = 20.0


class Box:
    """Counts what it is told, and has clocks that jump."""

    def __init__(self) -> None:
        self.slept_s = 0.0
        self.resumed: asyncio.Queue[float] = asyncio.Queue()
        self.logind = Logind(self.on_sleep, self.on_resume, clocks=self.clocks, look_every_s=0.001)

    async def on_sleep(self) -> None:
        raise AssertionError("nobody said that the board goes to sleep")

    def on_resume(self) -> None:
        self.resumed.put_nowait(self.slept_s)

    def clocks(self) -> ClockPair:
        return ClockPair(1000.0 + self.slept_s, 1000.0)


@contextlib.asynccontextmanager
async def running() -> AsyncIterator[Box]:
    box = Box()
    async with asyncio.TaskGroup() as tasks:
        run = tasks.create_task(box.logind.run(), name="logind")
        yield box
        run.cancel()


@pytest.fixture(autouse=True)
def address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the system bus would be."""
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={tmp_path}/bus")
    monkeypatch.setattr(logind, "_FIRST_S", 0.001)
    monkeypatch.setattr(logind, "_LONGEST_S", 0.001)
    return tmp_path / "bus"


async def test_the_clocks_tell_of_each_sleep() -> None:
    """Whatever it was that suspended the board."""
    async with running() as box, asyncio.timeout(WITHIN_S):
        box.slept_s = 3600.0
        assert await box.resumed.get() == 3600.0
        box.slept_s = 7200.0
        assert await box.resumed.get() == 7200.0
        assert box.resumed.empty()


async def test_a_missing_bus_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    """It is looked for again and again, in silence."""
    caplog.set_level(logging.DEBUG, "inglenook")
    async with running() as box, asyncio.timeout(WITHIN_S):
        while len(caplog.records) < 5:  # noqa: ASYNC110 nobody tells of a failed try
            await asyncio.sleep(0.001)
        assert not box.logind.inhibited

    levels = [record.levelno for record in caplog.records]
    assert levels == [logging.INFO] + [logging.DEBUG] * (len(levels) - 1)
    assert "no system bus (D-Bus) runs here" in caplog.messages[0]


async def test_what_needs_logind_says_so() -> None:
    """And what merely would like it does without."""
    async with running() as box:
        box.logind.busy = True
        assert box.logind.busy
        assert await box.logind.can_suspend() == "na"
        with pytest.raises(InglenookError, match="no logind"):
            await box.logind.suspend()


async def test_a_bus_that_hangs_holds_nothing_up(
    address: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it is waited for, the clocks go on to tell."""
    monkeypatch.setattr(bus, "CONNECT_S", 60.0)
    called = asyncio.Event()

    def accept(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        callers.append(writer)
        called.set()

    callers: list[asyncio.StreamWriter] = []
    server = await asyncio.start_unix_server(accept, address)
    async with running() as box, asyncio.timeout(WITHIN_S):
        await called.wait()
        box.slept_s = 60.0
        assert await box.resumed.get() == 60.0
    for caller in callers:
        caller.close()
    server.close()
    await server.wait_closed()
