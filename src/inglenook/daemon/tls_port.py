"""The certificate that the TLS port shows, kept right while the box runs. Kind: hands."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from inglenook.auth.certificates import Certificate, ensure_certificate, server_ssl_context
from inglenook.common.errors import StartupError
from inglenook.config import Config
from inglenook.daemon.start import CertificateSubject, Resources, certificate_subject

log = logging.getLogger(__name__)

#: The clock, the addresses and the certificate's end are looked at so often, seconds; that costs
#: some milliseconds. A certificate is made only if the one shown will not do.
_LOOK_S = 60.0

#: After failures the looks are further and further apart, up to this.
_LOOK_MAX_S = 3600.0

#: Clocks that NTP keeps are corrected by less.
_JUMP_S = 60.0


@dataclass(frozen=True, slots=True)
class WallClock:
    """What time it is, and how it passes; another one in tests.

    Attributes:
        wall_s: Seconds since 1970, as the system has it: it may be set at any moment.
        boottime_s: Seconds since the system was started, suspended or not: it cannot be set.
        sleep: As `asyncio.sleep`.
    """

    wall_s: Callable[[], float] = lambda: datetime.now(UTC).timestamp()
    boottime_s: Callable[[], float] = lambda: time.clock_gettime(time.CLOCK_BOOTTIME)
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


SYSTEM_CLOCK = WallClock()


class TlsPort:
    """What the TLS port shows.

    Attributes:
        context: Of the port; it goes on when the certificate is another.
    """

    def __init__(
        self,
        certificate: Certificate,
        folder: Path,
        subject: Callable[[], CertificateSubject],
        clock: WallClock = SYSTEM_CLOCK,
    ) -> None:
        """Begin with this one; blocks.

        Args:
            certificate: Made a moment ago.
            folder: Where it and its successors are kept.
            subject: Says whom one is for now; blocks, raises a StartupError if that cannot be told.
            clock: What time it is.

        Raises:
            StartupError: If it cannot be used.
        """
        self.context = server_ssl_context(certificate)
        self._shown = certificate.cert_path.read_bytes()
        self._folder = folder
        self._subject = subject
        self._clock = clock
        self._one_at_a_time = asyncio.Lock()
        self._seen: CertificateSubject | None = None
        self._wanted: CertificateSubject | None = None
        self._ahead_s = clock.wall_s() - clock.boottime_s()
        self._complaint = ""

    async def run(self) -> None:
        """Look now and then whether the certificate still does, until cancelled."""
        wait_s = _LOOK_S
        while True:
            await self._clock.sleep(wait_s)
            self._note_jump()
            try:
                await self._look()
            except StartupError as exc:
                wait_s = min(2 * wait_s, _LOOK_MAX_S)
                self._complain(str(exc))
            else:
                wait_s = _LOOK_S
                self._complaint = ""

    async def renew(self) -> None:
        """Show a certificate for the box's present names and addresses, and for long enough.

        Open connections stay.

        Raises:
            StartupError: If there is none; the one before stays.
        """
        await self._show_for(await asyncio.to_thread(self._subject))

    async def _look(self) -> None:
        subject = await asyncio.to_thread(self._subject)
        # Addresses come and go while a network starts or is lost: seen twice, they are there.
        if subject == self._seen or self._wanted is None:
            self._wanted = subject
        self._seen = subject
        await self._show_for(self._wanted)

    async def _show_for(self, subject: CertificateSubject) -> None:
        async with self._one_at_a_time:
            self._wanted = subject
            certificate = await asyncio.to_thread(
                ensure_certificate,
                self._folder,
                subject.names,
                subject.addresses,
                self._clock.wall_s(),
            )
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

    def _note_jump(self) -> None:
        ahead_s = self._clock.wall_s() - self._clock.boottime_s()
        by_s, self._ahead_s = ahead_s - self._ahead_s, ahead_s
        if abs(by_s) >= _JUMP_S:
            way = "forward" if by_s > 0 else "back"
            log.info("the clock was set %s by %.0f s", way, abs(by_s))

    def _complain(self, text: str) -> None:
        """Say it once, however often it is tried in vain."""
        level = logging.DEBUG if text == self._complaint else logging.ERROR
        log.log(level, "the TLS certificate stays as it was: %s", text)
        self._complaint = text


def open_tls_door(found: Resources, config: Config, clock: WallClock) -> TlsPort | None:
    """Begin with the certificate of the start; None if there is no TLS port; blocks.

    Raises:
        StartupError: If it cannot be used.
    """
    if found.certificate is None:
        return None
    subject = partial(certificate_subject, config, found.identity.server_id)
    return TlsPort(found.certificate, config.state_dir, subject, clock)
