"""Opens the doors of the house, and closes them. Kind: hands."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from inglenook.auth.certificates import Certificate, server_ssl_context
from inglenook.config import Config
from inglenook.daemon.start import Found, current_certificate
from inglenook.errors import StartupError
from inglenook.gateway.app import make_app
from inglenook.gateway.control import make_control_app
from inglenook.gateway.house import House
from inglenook.gateway.listen import Doorman, serve
from inglenook.gateway.phones import Phones

log = logging.getLogger(__name__)

#: How long phones may take to go when the box stops, seconds.
_GOODBYE_S = 1.5


class TlsDoor:
    """What the TLS port shows.

    Attributes:
        context: Of the port; it goes on when the certificate is another.
    """

    def __init__(self, certificate: Certificate) -> None:
        """Begin with this one; blocks.

        Raises:
            StartupError: If it cannot be used.
        """
        self.context = server_ssl_context(certificate)
        self._shown = certificate.cert_path.read_bytes()

    async def renew(self, config: Config, box_id: str) -> None:
        """Show one for the box's present names and addresses, and for long enough.

        Whoever is connected stays so.

        Raises:
            StartupError: If there is none; the one before stays.
        """
        certificate = await asyncio.to_thread(current_certificate, config, box_id)
        try:
            latest = await asyncio.to_thread(certificate.cert_path.read_bytes)
            if latest == self._shown:
                return
            # Not in a thread: handshakes use it meanwhile. It is two small files.
            self.context.load_cert_chain(certificate.cert_path, certificate.key_path)
        except OSError as exc:  # ssl.SSLError is one
            raise StartupError(f"{certificate.cert_path} cannot be used: {exc}") from exc
        self._shown = latest
        log.info("the TLS certificate is a new one, for the same key")


@asynccontextmanager
async def front_door(
    found: Found, house: House, phones: Phones, tls: TlsDoor | None
) -> AsyncIterator[Doorman]:
    """Answer everybody who comes over the network, until the end of the block."""
    context = None if tls is None else tls.context
    runner = await serve(make_app(house, phones, found.pages), found.plain, found.tls, context)
    try:
        yield Doorman(runner)
    finally:
        await phones.close(_GOODBYE_S)
        await runner.cleanup()


@asynccontextmanager
async def control_door(
    found: Found, house: House, purge: Callable[[], Awaitable[int]]
) -> AsyncIterator[None]:
    """Answer the owner's command line, until the end of the block."""
    runner = await serve(make_control_app(house, purge), [found.control], [], None)
    try:
        yield
    finally:
        await runner.cleanup()
