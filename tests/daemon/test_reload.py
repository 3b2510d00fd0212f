"""A reload takes up what it can, and whatever goes wrong leaves everything as it was."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from inglenook.common.errors import ConfigError, Fault, StartupError
from inglenook.config import Config
from inglenook.daemon.reload import Reload, changed_keys
from inglenook.power.settings import PowerSettings, WakeSettings, WakeTarget

SOON_S = 20.0

CONFIG = Config("Kitchen", Path("/state"))
BROKEN = ConfigError([Fault("listen.port", "must be 1 to 65535")], "config.yaml")


class Box:
    """What a reload acts on.

    Attributes:
        settings: What is read; an error is raised.
        certificate: Why there is none; None is that there is one.
        steps: What was done, in order.
    """

    def __init__(self) -> None:
        self.settings: Config | ConfigError = CONFIG
        self.certificate: StartupError | None = None
        self.steps: list[str] = []
        self._told = asyncio.Event()
        self._done = asyncio.Event()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Until the end of the block."""
        reload = Reload(self._read, self._reloading, self._take_up, self._renew)
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(reload.run(self._told), name="reload")
            yield
            task.cancel()

    async def tell(self) -> None:
        """Have it reload, and wait until that has ended."""
        self._done.clear()
        self._told.set()
        async with asyncio.timeout(SOON_S):
            await self._done.wait()

    def _read(self) -> Config:
        if isinstance(self.settings, ConfigError):
            raise self.settings
        return self.settings

    @contextmanager
    def _reloading(self) -> Iterator[None]:
        self.steps.append("begins")
        yield
        self.steps.append("ends")
        self._done.set()

    def _take_up(self, config: Config) -> None:
        assert config is CONFIG
        self.steps.append("settings")

    async def _renew(self) -> None:
        self.steps.append("certificate")
        if self.certificate is not None:
            raise self.certificate


async def test_settings_count_before_a_certificate_is_made_for_them() -> None:
    """And systemd hears of the end when all is done."""
    box = Box()
    async with box.running():
        await box.tell()

    assert box.steps == ["begins", "settings", "certificate", "ends"]


async def test_what_goes_wrong_is_said_and_the_next_reload_counts(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Settings that cannot be read, and a certificate that cannot be made."""
    caplog.set_level(logging.INFO)
    box = Box()
    async with box.running():
        box.settings = BROKEN
        await box.tell()
        assert box.steps == ["begins", "ends"]
        box.settings, box.certificate = CONFIG, StartupError("no room")
        await box.tell()
        box.certificate = None
        await box.tell()

    assert box.steps[2:] == ["begins", "settings", "certificate", "ends"] * 2
    assert [record.getMessage() for record in caplog.records] == [
        "the settings stay as they were: config.yaml: listen.port: must be 1 to 65535",
        "the TLS certificate stays as it was: no room",
    ]


def test_nothing_changed_is_nothing_said() -> None:
    """Neither now nor later."""
    assert changed_keys(CONFIG, replace(CONFIG)) == ([], [])


def test_sleep_and_whom_to_wake_count_at_once() -> None:
    """The rest waits for a restart, the port for calls too."""
    after = replace(
        CONFIG,
        name="Study",
        power=PowerSettings(unload_after_s=5),
        wake=WakeSettings(udp_port=7, targets=(WakeTarget("Office", "aa:bb:cc:dd:ee:ff"),)),
    )

    assert changed_keys(CONFIG, after) == (
        ["power.unload_after", "wake.targets"],
        ["name", "wake.udp_port"],
    )
