"""The certificate follows the clock and the addresses while the box runs, and nobody is cut off."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509

from inglenook.auth.certificates import ensure_certificate
from inglenook.common.errors import StartupError
from inglenook.daemon.start import CertificateSubject
from inglenook.daemon.tls_port import TlsPort
from tests.daemon.settime import Time, connect, shown

SOON_S = 60.0
DAY_S = 86_400.0

#: What boards without a battery clock believe at their start, and what NTP tells them then.
START = datetime(2023, 3, 1, 12, tzinfo=UTC).timestamp()
RIGHT = datetime(2026, 6, 1, 12, tzinfo=UTC).timestamp()

HOME = CertificateSubject(("kitchen-1a2b.local", "localhost"), (ip_address("192.168.1.5"),))
MOVED = CertificateSubject(HOME.names, (ip_address("10.0.0.7"),))


class Port:
    """A TLS port that says everything back, with the door's certificate."""

    def __init__(self, folder: Path, time: Time) -> None:
        self.time = time
        self.subject: Callable[[], CertificateSubject] = lambda: HOME
        self._folder = folder
        self.door: TlsPort
        self._server: asyncio.Server

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Until the end of the block."""
        self.door = await asyncio.to_thread(self._make)
        self._server = await asyncio.start_server(
            self._say_back, "127.0.0.1", 0, ssl=self.door.context
        )
        async with self._server, asyncio.TaskGroup() as tasks:
            task = tasks.create_task(self.door.run(), name="certificate")
            try:
                yield
            finally:
                task.cancel()

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """As an app does that has pinned the key."""
        return await connect(self._server.sockets[0].getsockname()[1])

    async def shown(self) -> x509.Certificate:
        """The certificate that a new connection sees."""
        return await shown(self._server.sockets[0].getsockname()[1])

    def is_good(self, certificate: x509.Certificate) -> bool:
        """Whether it is valid by the clock as it is now."""
        now = datetime.fromtimestamp(self.time.now, UTC)
        return certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc

    def _make(self) -> TlsPort:
        certificate = ensure_certificate(
            self._folder, HOME.names, HOME.addresses, self.time.clock.wall_s()
        )
        return TlsPort(certificate, self._folder, self._subject_now, self.time.clock)

    def _subject_now(self) -> CertificateSubject:
        return self.subject()

    async def _say_back(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            writer.write(line)
        writer.close()


async def still_there(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    writer.write(b"are you there\n")
    async with asyncio.timeout(SOON_S):
        return await reader.readline() == b"are you there\n"


@pytest.mark.parametrize(
    ("start", "right", "way"),
    [(START, RIGHT, "forward"), (RIGHT + 400 * DAY_S, RIGHT, "back")],
    ids=["years behind", "a year ahead"],
)
async def test_a_clock_that_is_set_has_a_good_certificate_within_a_minute(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, start: float, right: float, way: str
) -> None:
    """The old one has run out, or is not valid yet; the key, and who is connected, stay."""
    caplog.set_level(logging.INFO)
    port = Port(tmp_path, Time(start))
    async with port.open():
        before = await port.shown()
        phone = await port.connect()
        assert port.is_good(before)
        port.time.set(right)
        assert not port.is_good(before)

        assert await port.time.pass_by() <= 60

        after = await port.shown()
        assert port.is_good(after)
        assert after.public_key() == before.public_key()
        assert await still_there(*phone)
        phone[1].close()
        await phone[1].wait_closed()
    said = [record.getMessage() for record in caplog.records]
    assert [line for line in said if line.startswith(f"the clock was set {way} by ")]
    assert said.count("the TLS certificate is a new one, for the same key") == 1


async def test_a_box_that_runs_for_years_needs_no_restart(tmp_path: Path) -> None:
    """A month before the certificate runs out there is another; until then it stays."""
    port = Port(tmp_path, Time(RIGHT))
    async with port.open():
        before = await port.shown()
        await port.time.pass_by()
        assert await port.shown() == before
        port.time.set(RIGHT + 790 * DAY_S)
        await port.time.pass_by()
        assert await port.shown() == before

        port.time.set(RIGHT + 800 * DAY_S)
        await port.time.pass_by()

        assert port.is_good(await port.shown())
        assert await port.shown() != before


async def test_addresses_that_stay_get_a_certificate(tmp_path: Path) -> None:
    """One that is seen once may be gone again a moment later; each would cost a process."""
    port = Port(tmp_path, Time(RIGHT))
    async with port.open():
        before = await port.shown()
        await port.time.pass_by()
        for subject in (MOVED, HOME, MOVED, HOME):
            port.subject = lambda subject=subject: subject  # type: ignore[misc]
            await port.time.pass_by()
        assert await port.shown() == before

        port.subject = lambda: MOVED
        await port.time.pass_by()
        await port.time.pass_by()

        names = (await port.shown()).extensions.get_extension_for_class(x509.SubjectAlternativeName)
        assert names.value.get_values_for_type(x509.IPAddress) == list(MOVED.addresses)


async def test_what_cannot_be_renewed_is_said_once_and_tried_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Less and less often, up to once an hour; and as ever once it has come right."""
    caplog.set_level(logging.INFO)
    port = Port(tmp_path, Time(START))

    def unknown() -> CertificateSubject:
        raise StartupError("the addresses of this machine cannot be listed: no")

    async with port.open():
        before = await port.shown()
        port.time.set(RIGHT)
        port.subject = unknown
        waits_s = [await port.time.pass_by() for _ in range(9)]
        assert await port.shown() == before
        port.subject = lambda: HOME
        await port.time.pass_by()
        assert port.is_good(await port.shown())
        await port.time.pass_by()

    assert waits_s == [60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]
    assert port.time.waits_s[-1] == 60
    complaints = [r for r in caplog.records if r.levelno >= logging.WARNING]
    assert [r.getMessage() for r in complaints] == [
        "the TLS certificate stays as it was: the addresses of this machine cannot be listed: no"
    ]
