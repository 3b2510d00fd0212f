"""Tells phones, systemd and the network of the box's state. Kind: hands."""

from __future__ import annotations

import asyncio
from functools import partial

from inglenook import __version__
from inglenook.daemon.rooms import Rooms
from inglenook.daemon.start import Resources
from inglenook.daemon.state_report import status_line
from inglenook.discovery.advert import Advert, instance_name
from inglenook.discovery.announcer import Announcer
from inglenook.gateway.http.app import PROTOCOLS
from inglenook.models.workplace import in_thread

#: Seconds between two states at least; docs/protocol.md promises it.
_STATE_EVERY_S = 1.0


class StateBroadcast:
    """Sends the latest state after a change, not every one."""

    def __init__(self, rooms: Rooms, found: Resources) -> None:
        """Nothing is sent before `run`."""
        self._rooms = rooms
        self._found = found

    def advert(self) -> Advert:
        """The mDNS announcement of now."""
        found, state = self._found, self._rooms.supervisor.state
        return Advert(
            name=found.identity.name,
            server_id=found.identity.server_id,
            version=__version__,
            port=found.identity.port or found.identity.tls_port,
            api=PROTOCOLS,
            tls=found.certificate is not None,
            fingerprint=found.certificate.spki16 if found.certificate else None,
            pairing_open=self._rooms.pairing.is_open,
            models=(state.model,) if state.model else (),
            mac=next(iter(found.macs), None),
            status=self._rooms.governor.mdns_status(),
        )

    async def run(self, announcer: Announcer) -> None:
        """Tell of changes until cancelled; ``announcer`` tells the network."""
        rooms = self._rooms
        sent: object = None
        while True:
            rooms.news.clear()
            latest = (
                rooms.governor.changes,
                rooms.dispatcher.load,
                rooms.supervisor.state,
                rooms.sleep.stage,
                rooms.dispatcher.journal_error,
            )
            if latest != sent:
                sent = latest
                rooms.phones.tell_state()
                rooms.service.tell(status_line(rooms.snapshot()))
            announcer.update(self.advert())
            await self._remember_names(announcer)
            await asyncio.sleep(_STATE_EVERY_S)
            await rooms.news.wait()

    async def _remember_names(self, announcer: Announcer) -> None:
        config = self._rooms.config
        if not config.discovery.enabled:
            return
        owners, names = instance_name(config.name), announcer.names
        remember = partial(self._rooms.names.remember, owners, names.instance, names.host)
        # To its end, even when cancelled: the folder is another process's after this one's end.
        await in_thread(remember)
