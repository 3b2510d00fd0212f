"""A clock that somebody sets, and what a TLS port shows meanwhile."""

from __future__ import annotations

import asyncio
import ssl

from cryptography import x509

from inglenook.daemon.tls_port import WallClock

SOON_S = 60.0


class Time:
    """A clock that stands still until it is told to go on, or to be another.

    Attributes:
        waits_s: How long was to be waited, each time.
    """

    def __init__(self, wall_s: float) -> None:
        self.waits_s: list[float] = []
        self._boottime_s = 30.0
        self._ahead_s = wall_s - self._boottime_s
        self._go_on = asyncio.Queue[None]()
        self._asleep = asyncio.Event()
        self.clock = WallClock(lambda: self.now, lambda: self._boottime_s, self._sleep)

    @property
    def now(self) -> float:
        """Seconds since 1970, as the system believes."""
        return self._boottime_s + self._ahead_s

    def set(self, wall_s: float) -> None:
        """NTP sets it."""
        self._ahead_s = wall_s - self._boottime_s

    async def pass_by(self) -> float:
        """Let one wait be over, and everything until the next; returns how long it was, seconds."""
        async with asyncio.timeout(SOON_S):
            await self._asleep.wait()
            self._asleep.clear()
            self._go_on.put_nowait(None)
            await self._asleep.wait()
        return self.waits_s[-2]

    async def _sleep(self, delay_s: float) -> None:
        self.waits_s.append(delay_s)
        self._asleep.set()
        await self._go_on.get()
        self._boottime_s += delay_s


async def connect(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """As an app does that has pinned the key, to a port of this machine."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return await asyncio.open_connection("127.0.0.1", port, ssl=context)


async def shown(port: int) -> x509.Certificate:
    """The certificate that a new connection sees."""
    _reader, writer = await connect(port)
    der: bytes = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    await writer.wait_closed()
    return x509.load_der_x509_certificate(der)
