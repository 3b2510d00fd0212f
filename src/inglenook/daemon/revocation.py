"""Revokes devices, and shuts out those that another process has removed. Kind: hands."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from inglenook.auth.allowlist import Allowlist
from inglenook.auth.devices import Device
from inglenook.common.errors import StartupError
from inglenook.daemon.loading import remove_blocks
from inglenook.gateway.ws.connections import PhoneConnections
from inglenook.serving.dispatcher import Dispatcher

log = logging.getLogger(__name__)


class Revocation:
    """Removes devices, and shuts out those that another process has removed from the list."""

    def __init__(
        self, allowlist: Allowlist, phones: PhoneConnections, desk: Dispatcher, state_dir: Path
    ) -> None:
        """No device is admitted before `begin`."""
        self._allowlist = allowlist
        self._phones = phones
        self._desk = desk
        self._state_dir = state_dir
        #: The hash of its token by the id of each device admitted.
        self._admitted: dict[str, str] = {}

    def begin(self) -> None:
        """Admit the devices on the list, once that is loaded."""
        self._admitted = self._listed()

    def is_admitted(self, device_id: str) -> bool:
        """Whether a device was on the list at the latest look; unknown if that is damaged: yes."""
        return device_id in self._admitted or self._allowlist.damaged

    async def revoke(self, id_or_name: str) -> Device:
        """Remove a device from the list, shut it out and empty the prefix cache.

        The cache holds what the device has said, and does not know whose its conversations are.

        Raises:
            Problem: If no device, or more than one, is called that.
            StartupError: If the list or the cache cannot be changed.
        """
        device = await asyncio.to_thread(self._allowlist.revoke, id_or_name)
        self.look()
        # After the engine was told: it empties its own folder, these are other models', too.
        try:
            await asyncio.to_thread(remove_blocks, self._state_dir)
        except OSError as exc:
            text = f"{device.name} is no longer paired, but {exc.filename} cannot be removed"
            raise StartupError(f"{text}: {exc.strerror}") from exc
        return device

    async def run(self) -> None:
        """Watch the list until cancelled."""
        # Changes missed since this job failed, if it is not the first time that it begins.
        self.look()
        await self._allowlist.watch(self.look)

    def look(self) -> None:
        """Shut out every device that is not on the list any more, or by another token."""
        # A device added and removed between two looks at the list is in neither.
        self._admitted = {**self._admitted, **self._phones.tokens}
        listed = self._listed()
        for device_id in [d for d, token in self._admitted.items() if listed.get(d) != token]:
            log.info("device %s is no longer paired", device_id)
            self._phones.drop(device_id)
            self._desk.forget_device(device_id)
            # Not before: if this fails, it is done at the next look.
            del self._admitted[device_id]
        self._admitted = listed

    def _listed(self) -> dict[str, str]:
        return {device.device_id: device.token_sha256 for device in self._allowlist.devices}
