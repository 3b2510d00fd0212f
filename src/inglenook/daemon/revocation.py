"""Shuts out devices that are no longer paired, whoever removed them. Kind: hands."""

from __future__ import annotations

import logging

from inglenook.auth.allowlist import Allowlist
from inglenook.gateway.ws.connections import PhoneConnections
from inglenook.serving.dispatcher import Dispatcher

log = logging.getLogger(__name__)


class Revocation:
    """Compares the list of devices with those that were let in."""

    def __init__(self, allowlist: Allowlist, phones: PhoneConnections, desk: Dispatcher) -> None:
        """Nobody is known before `begin`."""
        self._allowlist = allowlist
        self._phones = phones
        self._desk = desk
        self._known: dict[str, str] = {}

    def begin(self) -> None:
        """Take those on the list, once that is loaded, as let in."""
        self._known = self._tokens()

    def is_known(self, device_id: str) -> bool:
        """Whether a device was on the list at the latest look."""
        return device_id in self._known

    async def run(self) -> None:
        """Watch the list until cancelled."""
        # First what was missed, if it is not the first time that this is begun.
        self.look()
        await self._allowlist.watch(self.look)

    def look(self) -> None:
        """Shut out whoever is not on the list any more, or by another token."""
        # Who came in and was shut out between two looks at the list is in none of them.
        self._known = {**self._known, **self._phones.tokens}
        listed = self._tokens()
        for device_id in [d for d, token in self._known.items() if listed.get(d) != token]:
            log.info("device %s is no longer paired", device_id)
            self._phones.drop(device_id)
            self._desk.forget_device(device_id)
            # Not before: if this fails, it is done at the next look.
            del self._known[device_id]
        self._known = listed

    def _tokens(self) -> dict[str, str]:
        return {device.device_id: device.token_sha256 for device in self._allowlist.devices}
