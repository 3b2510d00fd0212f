"""What systemd hears of the box, on a socket as systemd makes it."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
import yaml

from tests.parts.box import READY_S, Box, made_box
from tests.parts.phone import connected, long_chat


class Systemd:
    """The other end of ``NOTIFY_SOCKET``.

    Attributes:
        heard: All that came, or all since it was last cleared.
        before_ready: What came until the box was ready first.
    """

    def __init__(self, path: Path) -> None:
        self.heard: list[str] = []
        self.before_ready: list[str] = []
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._sock.bind(str(path))

    def wait(self, text: str) -> str:
        """Wait for a message that begins so; returns it."""
        deadline_s = time.monotonic() + READY_S
        while True:
            found = [message for message in self.heard if message.startswith(text)]
            if found:
                return found[-1]
            self._sock.settimeout(max(deadline_s - time.monotonic(), 0.01))
            self.heard.append(self._sock.recv(4096).decode())

    def forget(self) -> None:
        """Drop what came so far; the kernel queues ten messages, and further ones are lost."""
        self._sock.settimeout(0)
        with suppress(BlockingIOError):
            while True:
                self._sock.recv(4096)
        self.heard.clear()

    def close(self) -> None:
        """Hear no more."""
        self._sock.close()


@pytest.fixture(scope="module")
def service(starter_model: Path) -> Iterator[tuple[Box, Systemd]]:
    """A box whose parent is a service manager."""
    with made_box(starter_model) as box:
        systemd = Systemd(box.folder / "notify")
        box.extra_environ = {
            "NOTIFY_SOCKET": str(box.folder / "notify"),
            # A sign of life each half a second: ten fit into a socket that nobody reads just now,
            # and what comes behind them is lost.
            "WATCHDOG_USEC": "2000000",
        }
        box.start()
        systemd.wait("READY=1")
        systemd.before_ready = list(systemd.heard)
        yield box, systemd
        systemd.forget()
        box.stop()
        systemd.wait("STOPPING=1")
        systemd.close()


def test_it_is_ready_once_it_can_answer(service: tuple[Box, Systemd]) -> None:
    """More time is asked for meanwhile; the line for people names the model."""
    box, systemd = service

    assert box.health() == 200
    assert "EXTEND_TIMEOUT_USEC=60000000" in systemd.before_ready
    assert systemd.before_ready[-1] == "READY=1"
    assert systemd.wait("STATUS=SmolLM2-135M-Instruct.Q4_1 ready, 0 of 8 answers")


def test_it_lives_as_long_as_it_says_so(service: tuple[Box, Systemd]) -> None:
    """Again and again, also with nothing to do."""
    _box, systemd = service
    for _sign in range(3):
        systemd.forget()
        systemd.wait("WATCHDOG=1")


def test_the_engine_cannot_speak_in_its_name(service: tuple[Box, Systemd]) -> None:
    """What was meant for the daemon is not in its environment."""
    box, _systemd = service
    environ = psutil.Process(box.engine_pid()).environ()

    assert not [name for name in environ if name.startswith(("NOTIFY", "WATCHDOG", "LISTEN"))]


async def test_a_reload_drops_nobody(service: tuple[Box, Systemd]) -> None:
    """What can be changed at once is; what cannot is named; the answer goes on."""
    box, systemd = service
    settings = yaml.safe_load(box.config.read_text())
    settings["power"] = {"unload_after": "1h"}
    settings["serving"] = {"queue": 7}
    async with connected(box.url, box.pair("Ada")) as phone:
        answer = await phone.begin(long_chat(120))
        box.config.write_text(yaml.safe_dump(settings))
        systemd.forget()
        os.kill(box.pid, signal.SIGHUP)
        systemd.wait("RELOADING=1")
        systemd.wait("READY=1")
        await phone.finish(answer)

    assert answer.done is not None
    assert answer.done["status"] == "incomplete"
    box.wait_log("settings read anew; changed: power.unload_after")
    box.wait_log("only in force after a restart: serving.queue")


def test_a_reload_of_a_broken_file_changes_nothing(service: tuple[Box, Systemd]) -> None:
    """It says where, and goes on with the settings it has."""
    box, systemd = service
    box.config.write_text("power: {unload_after: never}\n")
    systemd.forget()
    os.kill(box.pid, signal.SIGHUP)
    systemd.wait("READY=1")

    box.wait_log("the settings stay as they were: .*power.unload_after")
    assert box.health() == 200
