"""The paired devices, changed by the daemon and the command line alike. Kind: hands.

Every change takes the lock, reads the file again, and replaces it, so no change is lost. Methods
block on the disk and the lock: on an event loop, call them through ``asyncio.to_thread``.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Never

from inglenook.auth import tokens
from inglenook.auth.device_store import DeviceStore
from inglenook.auth.devices import (
    LATEST_EXPIRY,
    Device,
    Roster,
    Scope,
    check,
    check_thinking,
    clean_name,
    clean_platform,
)
from inglenook.common.errors import Code, Problem, StartupError
from inglenook.common.guarded import Guard

logger = logging.getLogger(__name__)

#: How fine "last seen" is. Phones come and go all day, and an SD card wears with every write.
TOUCH_EVERY_S = 600.0

#: A removed phone must be off within a second. A stat costs microseconds, works on every file
#: system a NAS may use, and needs no library, as inotify would.
WATCH_EVERY_S = 0.49

_DAMAGED = (
    "The box's list of devices is damaged; its owner must repair it, or pair this device again."
)


class Allowlist:
    """Paired devices, kept in one file.

    Empty until `load`. Reading what is in memory (`roster`, `check`) is safe from any thread and
    never blocks; changes are safe from any thread and any process.
    """

    def __init__(self, path: Path) -> None:
        self._store = DeviceStore(path)
        self._touching = threading.Lock()
        self._noting = Guard("noting when a device was last seen")

    @property
    def roster(self) -> Roster:
        """The list as last read or written."""
        return self._store.roster

    @property
    def devices(self) -> tuple[Device, ...]:
        """Paired devices, oldest first."""
        return self.roster.devices

    def check(self, token: str, now: float) -> Device | Problem:
        """Find the device a token belongs to, or say why not; ``now`` is seconds since 1970."""
        verdict = check(self.roster, token, now)
        if isinstance(verdict, Problem) and verdict.code is Code.NOT_PAIRED and self._store.damaged:
            # "Not paired" would have phones forget tokens that a repaired file still knows.
            return Problem(Code.INTERNAL, _DAMAGED)
        return verdict

    async def check_fresh(self, token: str, now: float) -> Device | Problem:
        """As `check`, but look into the file before a token is refused: it may be a second old."""
        verdict = self.check(token, now)
        if isinstance(verdict, Problem):
            await asyncio.to_thread(self._store.refresh)
            verdict = self.check(token, now)
        return verdict

    def load(self) -> None:
        """Read the file; a missing one is an empty list, and of a damaged one what is whole counts.

        Raises:
            StartupError: If it cannot be opened, or a newer version wrote it.
        """
        self._store.load()

    def add(
        self,
        name: str,
        scopes: Sequence[Scope],
        expires_at: float | None = None,
        platform: str = "",
        thinking: str = "auto",
    ) -> tuple[Device, str]:
        """Let a device in, and give its token, which is kept nowhere.

        Args:
            name: Gets a number after it if it is taken.
            scopes: What the device may do.
            expires_at: When its token ends, seconds since 1970; None is never.
            platform: What the device said it is; tidied, never refused.
            thinking: See `Device.thinking`.

        Raises:
            Problem: If the name or ``thinking`` is none, the time is past, or the list is full.
            StartupError: If the file cannot be read or written.
        """
        now = datetime.now(UTC).timestamp()
        if expires_at is not None and not now < expires_at <= LATEST_EXPIRY:
            raise Problem(Code.BAD_REQUEST, "A pairing can expire from now to the year 9999.")
        new = tokens.mint(secrets.token_bytes)
        device = Device(
            device_id=new.device_id,
            name=clean_name(name),
            platform=clean_platform(platform),
            token_sha256=new.sha256,
            scopes=tuple(scopes),
            created_at=now,
            expires_at=expires_at,
            thinking=check_thinking(thinking),
        )
        with self._store.changing():
            self._store.save(self.roster.with_device(device))
            return self.roster.devices[-1], new.token

    def revoke(self, id_or_name: str) -> Device:
        """Shut a device out; gives the device removed.

        Raises:
            Problem: If none, or more than one, is called that.
            StartupError: If the file cannot be read or written.
        """
        with self._store.changing():
            device = self.roster.find(id_or_name)
            self._store.save(self.roster.without(device))
            return device

    def rename(self, id_or_name: str, new_name: str) -> Device:
        """Give a device another name; gives the device as it is now.

        Raises:
            Problem: As for `revoke`; or if the new name is taken, or cannot be one.
            StartupError: If the file cannot be read or written.
        """
        name = clean_name(new_name)
        with self._store.changing():
            device = self.roster.find(id_or_name)
            self._store.save(self.roster.renamed(device, name))
            return replace(device, name=name)

    def set_thinking(self, id_or_name: str, thinking: str) -> Device:
        """Have the model think for a device, or not; gives the device as it is now.

        Raises:
            Problem: As for `revoke`; or if ``thinking`` is no such thing.
            StartupError: If the file cannot be read or written.
        """
        check_thinking(thinking)
        with self._store.changing():
            device = replace(self.roster.find(id_or_name), thinking=thinking)
            self._store.save(self.roster.updated(device))
            return device

    def touch(self, device_id: str, now: float) -> None:
        """Remember that a device was here; ``now`` is seconds since 1970.

        Never raises: a full or read-only disk must not cost a phone its answer.
        """
        if not self._touch_due(device_id, now):
            return
        try:
            with self._store.changing():
                device = self.roster.get(device_id)
                # Asked again: another connection of the same phone may have been quicker. A damaged
                # file is left to its owner: a date is not worth replacing it.
                due = not self._store.damaged and self._touch_due(device_id, now)
                if device is not None and due:
                    self._store.save(self.roster.updated(replace(device, last_seen_at=now)))
        except StartupError as exc:
            self._store.warn(exc)

    def touch_soon(self, device_id: str, now: float) -> None:
        """As `touch`, in a thread of its own: no phone waits for a slow card to be let in.

        There is one such thread at most. What comes meanwhile is noted at the device's next visit.
        """
        if self._touch_due(device_id, now) and self._touching.acquire(blocking=False):
            thread = threading.Thread(
                target=self._touch_and_release, args=(device_id, now), name="last-seen", daemon=True
            )
            try:
                thread.start()
            except RuntimeError as exc:  # no room for another thread just now
                self._touching.release()
                logger.debug("when %s was here is not noted: %s", device_id, exc)

    def _touch_and_release(self, device_id: str, now: float) -> None:
        try:
            # Nobody waits for this thread, so nobody else would say what it raised.
            with self._noting:
                self.touch(device_id, now)
        finally:
            self._touching.release()

    async def watch(self, on_change: Callable[[], None]) -> Never:
        """Read the file again whenever somebody changed it; runs until cancelled, which is safe.

        A file that cannot be understood leaves the last good list in force.

        Args:
            on_change: Called on the loop after every change, also ours: one may bring others' in.
        """
        told = self.roster
        stop = threading.Event()
        try:
            while True:
                # One thread that stays: to hand every look to one would cost more than the look.
                await asyncio.to_thread(self._wait_for_change, told, stop)
                told = self.roster
                on_change()
        finally:
            stop.set()

    def _wait_for_change(self, told: Roster, stop: threading.Event) -> None:
        self._store.refresh()
        while self.roster == told and not stop.wait(WATCH_EVERY_S):
            self._store.refresh()

    def _touch_due(self, device_id: str, now: float) -> bool:
        device = self.roster.get(device_id)
        if device is None:
            return False
        # The distance: a board without a battery clock may have been in the future.
        return device.last_seen_at is None or abs(now - device.last_seen_at) >= TOUCH_EVERY_S
