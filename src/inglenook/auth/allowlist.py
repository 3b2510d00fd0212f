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

#: A revoked phone must be disconnected within a second. A stat costs microseconds, works on every
#: file system of a NAS, and needs no library, as inotify would.
WATCH_EVERY_S = 0.49

_DAMAGED = (
    "The box's list of devices is damaged; its owner must repair it, or pair this device again."
)


class Allowlist:
    """Paired devices, stored in one file.

    Empty until `load`. Reads of the list in memory (`roster`, `check`) are safe from any thread and
    never block; changes are safe from any thread and any process.
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

    @property
    def damaged(self) -> bool:
        """Whether the file was damaged when it was last read, so that devices may be missing."""
        return self._store.damaged

    def check(self, token: str, now: float) -> Device | Problem:
        """Return the device of a token, or the reason why none; ``now`` is seconds since 1970."""
        verdict = check(self.roster, token, now)
        if isinstance(verdict, Problem) and verdict.code is Code.NOT_PAIRED and self._store.damaged:
            # At "not paired" phones delete their token, which a repaired file may still know.
            return Problem(Code.INTERNAL, _DAMAGED)
        return verdict

    async def check_fresh(self, token: str, now: float) -> Device | Problem:
        """As `check`, but read the file before refusing a token that may be a second old."""
        verdict = self.check(token, now)
        if isinstance(verdict, Problem):
            await asyncio.to_thread(self._store.refresh)
            verdict = self.check(token, now)
        return verdict

    def load(self) -> None:
        """Read the file; a missing one is an empty list, of a damaged one the whole entries count.

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
        """Add a device, and return its token, which is stored nowhere.

        Args:
            name: Gets a number after it if it is taken.
            scopes: What the device may do.
            expires_at: When its token expires, seconds since 1970; None is never.
            platform: The device's own description; tidied, never refused.
            thinking: As `Device.thinking`.

        Raises:
            Problem: If the name or ``thinking`` is invalid, the time is past, or the list is full.
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
        """Remove a device, and return it.

        Raises:
            Problem: If no device, or more than one, has this id or name.
            StartupError: If the file cannot be read or written.
        """
        with self._store.changing():
            device = self.roster.find(id_or_name)
            self._store.save(self.roster.without(device))
            return device

    def rename(self, id_or_name: str, new_name: str) -> Device:
        """Rename a device; returns the device as it is now.

        Raises:
            Problem: As for `revoke`; or if the new name is taken or invalid.
            StartupError: If the file cannot be read or written.
        """
        name = clean_name(new_name)
        with self._store.changing():
            device = self.roster.find(id_or_name)
            self._store.save(self.roster.renamed(device, name))
            return replace(device, name=name)

    def set_thinking(self, id_or_name: str, thinking: str) -> Device:
        """Set whether the model thinks for a device; returns the device as it is now.

        Raises:
            Problem: As for `revoke`; or if ``thinking`` is invalid.
            StartupError: If the file cannot be read or written.
        """
        check_thinking(thinking)
        with self._store.changing():
            device = replace(self.roster.find(id_or_name), thinking=thinking)
            self._store.save(self.roster.updated(device))
            return device

    def touch(self, device_id: str, now: float) -> None:
        """Record a device's visit; ``now`` is seconds since 1970.

        Never raises: a phone gets its answer even if the disk is full or read-only.
        """
        if not self._touch_due(device_id, now):
            return
        try:
            with self._store.changing():
                device = self.roster.get(device_id)
                # Checked again: another connection of the phone may have been quicker. A damaged
                # file is not replaced for a date: its owner may be repairing it.
                due = not self._store.damaged and self._touch_due(device_id, now)
                if device is not None and due:
                    self._store.save(self.roster.updated(replace(device, last_seen_at=now)))
        except StartupError as exc:
            self._store.warn(exc)

    def touch_soon(self, device_id: str, now: float) -> None:
        """As `touch`, in a thread of its own: no phone waits for a slow card to authenticate.

        One such thread at most. Other visits meanwhile are not recorded; the next ones are.
        """
        if self._touch_due(device_id, now) and self._touching.acquire(blocking=False):
            thread = threading.Thread(
                target=self._touch_and_release, args=(device_id, now), name="last-seen", daemon=True
            )
            try:
                thread.start()
            except RuntimeError as exc:  # the system has no more threads just now
                self._touching.release()
                logger.debug("the visit of %s is not recorded: %s", device_id, exc)

    def _touch_and_release(self, device_id: str, now: float) -> None:
        try:
            # No task awaits this thread, so only the guard logs what it raises.
            with self._noting:
                self.touch(device_id, now)
        finally:
            self._touching.release()

    async def watch(self, on_change: Callable[[], None]) -> Never:
        """Read the file again after each change of it, until cancelled; that is safe at any time.

        A damaged file leaves the last good list in force.

        Args:
            on_change: Called on the loop after every change, also our own: it may include others.
        """
        told = self.roster
        stop = threading.Event()
        try:
            while True:
                # One thread that stays: handing each stat to a pool would cost more than the stat.
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
        # The absolute difference: a board without a battery clock may have been in the future.
        return device.last_seen_at is None or abs(now - device.last_seen_at) >= TOUCH_EVERY_S
