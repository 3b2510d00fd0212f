"""Notifies systemd of the box's state. Kind: hands."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from inglenook.engine.interface import EnginePhase
from inglenook.engine.supervisor import Supervisor
from inglenook.systemd import Inherited, Notifier

log = logging.getLogger(__name__)

#: While a model loads: how often systemd is asked for more time, and for how much, seconds.
_EXTEND_EVERY_S, _EXTEND_S = 5.0, 60.0

#: Notifications of the watchdog within its timeout.
_SIGNS = 4


@dataclass(frozen=True, slots=True)
class Systemd:
    """What connects this process with systemd."""

    notifier: Notifier
    inherited: Inherited


WITHOUT_SYSTEMD = Systemd(Notifier({}), Inherited())


class SystemdService:
    """Notifies systemd: ready, reloading, stopping, alive."""

    def __init__(self, notifier: Notifier, supervisor: Supervisor) -> None:
        """Nothing is sent before `run`."""
        self._notifier = notifier
        self._supervisor = supervisor
        self._settled = asyncio.Event()
        self._ready = False
        self._told = ""

    def engine_changed(self) -> None:
        """The engine has a new state."""
        if self._supervisor.state.phase is not EnginePhase.LOADING:
            self._settled.set()

    def tell(self, status: str) -> None:
        """Show this line in ``systemctl status``."""
        if status != self._told:
            self._told = status
            self._notifier.status(status)

    async def run(self) -> None:
        """Be ready once the model is, or cannot be; then give signs of life until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            # From the start: a start that hangs is ended by the watchdog, too, as nothing is asked
            # for then either that would hold it off.
            tasks.create_task(self._watch(), name="watchdog")
            await self._settle()
            self._ready = True
            self._notifier.ready()

    def stopping(self) -> None:
        """The box is about to end."""
        self._notifier.stopping()

    @contextmanager
    def reloading(self) -> Iterator[None]:
        """Settings are read anew in this block."""
        if not self._ready:
            # The end of a reload would be taken for the end of the start.
            yield
            return
        self._notifier.reloading()
        try:
            yield
        finally:
            self._notifier.ready()

    async def _settle(self) -> None:
        """Ask for more time while a model loads, but not for one whose load hangs.

        What is asked for holds off systemd's watchdog as well as the end of the start.
        """
        while not self._settled.is_set():
            if self._lives():
                self._notifier.extend_timeout_s(_EXTEND_S)
            try:
                async with asyncio.timeout(_EXTEND_EVERY_S):
                    await self._settled.wait()
            except TimeoutError:
                log.debug("the model is still loading")
                # Or news of it got lost.
                self.engine_changed()

    async def _watch(self) -> None:
        """Give signs of life, but not for an engine that should have given some itself.

        An engine that hangs is killed by its supervisor. If that did not happen, or if there is no
        engine to kill as a look at the model's drive hangs, only a new process may mend it.
        """
        if self._notifier.watchdog_s is None:
            return
        while True:
            if self._lives():
                self._notifier.watchdog()
            await asyncio.sleep(self._notifier.watchdog_s / _SIGNS)

    def _lives(self) -> bool:
        return not self._supervisor.overdue(asyncio.get_running_loop().time())
