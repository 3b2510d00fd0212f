"""A real daemon with a real model on a board that a test heats, starves and mends.

The board is a folder, and a second of the governor's is a hundredth of ours: nobody waits for a
box to cool down. Everything else is as it is at people's homes.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from inglenook.auth.allowlist import Allowlist
from inglenook.auth.devices import Scope
from inglenook.config import load_config
from inglenook.daemon import Daemon, broadcast
from inglenook.engine import supervisor
from inglenook.governor.monitor import SampleIntervals
from tests.parts.board import Board, pi_5
from tests.parts.box import free_port
from tests.parts.phone import Answer, Phone, connected, long_chat
from tests.whole.conftest import TokensIn

#: Loading a model, or writing an answer, on a busy machine.
DEADLINE_S = 40.0

PHONES = 4

#: How long an answer takes that is still under way when heat is felt, seconds; and one that is when
#: the last rung but one of the memory ladder is reached, after a minute of the governor's. Four at
#: once take almost three times as long.
ANSWER_S, LONG_ANSWER_S = 0.7, 1.6


class Household:
    """Four phones of four people, who read along, and the board they all depend on."""

    def __init__(self, daemon: Daemon, board: Board, phones: list[Phone]) -> None:
        self.daemon = daemon
        self.board = board
        self.phones = phones
        self._news = asyncio.Event()

    async def read(self, phone: Phone) -> None:
        """Read whatever the box says, for as long as the test lasts."""
        while True:
            await phone.step()
            self._news.set()

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait until frames have made this true."""
        async with asyncio.timeout(DEADLINE_S):
            while not condition():
                self._news.clear()
                await self._news.wait()

    async def all_told(self, **fields: object) -> dict[str, Any]:
        """Wait until every phone's latest state has these fields; returns one of them."""

        def told(phone: Phone) -> bool:
            state = self.state_of(phone)
            return all(state.get(name) == value for name, value in fields.items())

        await self.until(lambda: all(told(phone) for phone in self.phones))
        return self.state_of(self.phones[0])

    def state_of(self, phone: Phone) -> dict[str, Any]:
        """What a phone knows of the box."""
        state: dict[str, Any] = (phone.states[-1] if phone.states else phone.hello)["state"]
        return state

    async def ask_all(self, tokens: int) -> list[Answer]:
        """Everybody asks at once; wait until all four are being written."""
        answers = [await phone.generate(long_chat(tokens)) for phone in self.phones]
        await self.until(lambda: all(answer.deltas for answer in answers))
        return answers

    async def warm_to(self, *temps_c: float) -> None:
        """Go through these temperatures; a sensor that jumps farther at once is not believed."""
        for temp_c in temps_c:
            self.board.heat(temp_c)
            await self.all_told(cpu_c=round(temp_c))

    async def all_complete(self, *answers: Answer, tokens: int) -> None:
        """Wait until every answer has all its tokens; the phones have checked each frame."""
        await self.until(lambda: all(answer.over for answer in answers))
        for answer in answers:
            assert answer.done is not None, answer.error
            assert answer.done["status"] == "incomplete", answer.done
            assert answer.done["usage"]["completion_tokens"] == tokens


@pytest.fixture(autouse=True)
def quick_days(monkeypatch: pytest.MonkeyPatch) -> None:
    """What else is done by the second, or by five of them, keeps up with the governor."""
    monkeypatch.setattr(broadcast, "_STATE_EVERY_S", 0.02)
    monkeypatch.setattr(supervisor, "_RECHECK_S", 0.05)


@asynccontextmanager
async def household(model: Path) -> AsyncIterator[Household]:
    """Run a daemon on a Raspberry Pi 5 at 45 °C with four phones connected; stop it at the end."""
    # Not pytest's own folder: the control socket's path may have 107 bytes.
    with tempfile.TemporaryDirectory(prefix="box") as name:
        folder = Path(name)
        board = pi_5(folder / "board")
        port = free_port()
        daemon, tokens = await asyncio.to_thread(make_daemon, folder, port, model)
        async with asyncio.TaskGroup() as tasks, AsyncExitStack() as connections:
            tasks.create_task(daemon.run(), name="daemon")
            async with asyncio.timeout(DEADLINE_S):
                await daemon.ready.wait()
            url = f"http://127.0.0.1:{port}"
            phones = [
                await connections.enter_async_context(connected(url, token)) for token in tokens
            ]
            house = Household(daemon, board, phones)
            readers = [tasks.create_task(house.read(phone), name="phone") for phone in phones]
            try:
                await house.all_told(engine="ready", level="cool")
                yield house
            finally:
                for reader in readers:
                    reader.cancel()
                daemon.stop.set()


def make_daemon(folder: Path, port: int, model: Path) -> tuple[Daemon, list[str]]:
    """Make a daemon that lives a hundred seconds a second, and the tokens of four devices."""
    settings = {
        "name": "Kitchen",
        "state_dir": str(folder),
        "listen": {"host": "127.0.0.1", "port": port, "tls_port": 0},
        "discovery": {"enabled": False},
        "model": {"path": str(model), "context": 8192},
        "engine": {"threads": 1, "max_sequences": PHONES},
        "cache": {"disk": 0},
        "governor": {"root": str(folder / "board")},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(settings))
    allowlist = Allowlist(folder / "devices.json")
    tokens = [allowlist.add(f"Phone {number}", (Scope.CHAT,))[1] for number in range(PHONES)]
    seconds = itertools.count(1000.0)
    pace = SampleIntervals(0.01, lambda: next(seconds))
    return Daemon(load_config(folder / "config.yaml", {}), pace=pace), tokens


def lines(caplog: pytest.LogCaptureFixture) -> list[tuple[int, str]]:
    """What the governor has written into the log: how serious, and how hot."""
    return [
        (record.levelno, record.getMessage().partition(":")[0])
        for record in caplog.records
        if record.name == "inglenook.governor.monitor"
    ]


async def test_heat_slows_and_queues_but_ends_no_answer(
    starter_model: Path, caplog: pytest.LogCaptureFixture, tokens_in: TokensIn
) -> None:
    """At the limit two of four go on; beyond it all pause; cool again, all is as before."""
    caplog.set_level(logging.INFO, "inglenook.governor")
    tokens = tokens_in(ANSWER_S)
    async with household(starter_model) as house:
        answers = await house.ask_all(tokens)
        await house.warm_to(65, 79.9)
        critical = await house.all_told(level="critical", max_active=2, active=2, queued=2)
        waiting = await house.phones[0].generate(long_chat(tokens))
        await house.until(lambda: waiting.queued)
        assert waiting.queued[-1]["reason"] == "thermal"

        await house.warm_to(104, 110)
        paused = await house.all_told(level="critical", reason="thermal")
        refused = await house.phones[1].generate(long_chat(tokens))
        await house.until(lambda: refused.error)

        await house.warm_to(86, 62, 45)
        await house.all_complete(*answers, waiting, tokens=tokens)
        await house.all_told(level="cool", reason="none", max_active=PHONES, active=0, queued=0)

    assert critical["reason"] == "thermal"
    assert "more when it is below" in critical["sentence"]
    assert critical["eta_s"] > 0
    assert "paused until it is below 80 °C" in paused["sentence"]
    assert refused.error is not None
    assert refused.error["code"] == "too_hot"
    assert refused.error["retry_after_s"] > 0
    check_lines(lines(caplog))


def check_lines(said: list[tuple[int, str]]) -> None:
    """Up with warnings, down without, and no line for what was not a turn."""
    assert said[0] == said[-1] == (logging.INFO, "board cool")
    hottest = [place for place, (_level, text) in enumerate(said) if text == "board critical"]
    warnings = [place for place, (level, _text) in enumerate(said) if level == logging.WARNING]
    assert set(range(hottest[0], warnings[-1] + 1)) <= set(warnings)
    assert warnings[-1] <= hottest[-1]
    # Of hundreds of looks: cool, warm, hot, critical, paused and back, answer by answer.
    assert len(said) <= 15


async def test_a_weak_supply_and_a_sensor_that_goes_are_borne(
    starter_model: Path, tokens_in: TokensIn
) -> None:
    """One answer at a time while the voltage is low; as if hot while nothing can be read."""
    tokens = tokens_in(ANSWER_S)
    async with household(starter_model) as house:
        answers = await house.ask_all(tokens)
        flags = "sys/devices/platform/soc@107c000000/soc@107c000000:firmware/get_throttled"
        house.board.write(flags, "1")
        weak = await house.all_told(reason="power", max_active=1, active=1)
        house.board.write(flags, "0")
        await house.all_told(reason="none", max_active=PHONES)

        house.board.remove(house.board.temps[0])
        blind = await house.all_told(level="hot", reason="thermal", cpu_c=None)
        house.board.heat(45)
        await house.all_told(level="cool", reason="none", cpu_c=45)
        await house.all_complete(*answers, tokens=tokens)

    assert "too little voltage" in weak["sentence"]
    assert "has stopped working" in blind["sentence"]


def _engines() -> list[psutil.Process]:
    """Engines of daemons in this very process; other tests' daemons have processes of their own."""
    children = psutil.Process().children()
    return [child for child in children if "inglenook.engine.worker" in child.cmdline()]


async def test_short_memory_refuses_then_parks_then_unloads_and_all_goes_on(
    starter_model: Path, tokens_in: TokensIn
) -> None:
    """The model comes back when there is room for it, and not before."""
    tokens = tokens_in(LONG_ANSWER_S)
    async with household(starter_model) as house:
        [engine] = _engines()
        answers = await house.ask_all(tokens)

        # Of 8 GiB, 403 MiB are to stay free.
        house.board.memory(MemAvailable=300 * 1024)
        await house.all_told(reason="memory")
        refused = await house.phones[0].generate(long_chat(tokens))
        await house.until(lambda: refused.error)
        parked = await house.all_told(max_active=1, active=1, queued=PHONES - 1)

        house.board.memory(MemAvailable=100 * 1024)
        unloaded = await house.all_told(engine="unloaded", max_active=0, active=0, queued=PHONES)
        assert "the model is unloaded" in unloaded["sentence"]
        _gone, alive = await asyncio.to_thread(psutil.wait_procs, [engine], DEADLINE_S)
        assert not alive

        # Enough to be quiet, too little for the model.
        house.board.memory(MemAvailable=620 * 1024)
        await house.until(lambda: "No room" in house.state_of(house.phones[0])["sentence"])
        no_room = house.state_of(house.phones[0])

        house.board.memory(MemAvailable=6 * 2**20)
        await house.all_complete(*answers, tokens=tokens)
        await house.all_told(engine="ready", reason="none", max_active=PHONES)

    assert refused.error is not None
    assert refused.error["code"] == "low_memory"
    assert refused.error["retry_after_s"] > 0
    assert parked["level"] == "cool"
    assert (no_room["engine"], no_room["reason"]) == ("unloaded", "memory")
    assert "620.0 MiB are free" in no_room["sentence"]
