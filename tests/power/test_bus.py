"""A system bus that is not there, or not as it should be, is an error with a reason.

What a bus that works does, tests/system/test_logind.py tells.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from inglenook.power import bus
from inglenook.power.bus import open_logind
from inglenook.power.login1 import NoLogind


@contextlib.asynccontextmanager
async def answering(path: Path, answers: list[bytes | None]) -> AsyncIterator[None]:
    """Listen at ``path`` and give an answer to each thing that is said; None hangs up."""
    ended = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for text in answers:
            await reader.read(4096)
            if text is None:
                break
            writer.write(text)
        else:
            await ended.wait()
        writer.close()

    server = await asyncio.start_unix_server(answer, path)
    try:
        yield
    finally:
        ended.set()
        server.close()
        await server.wait_closed()


async def test_no_bus_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in most containers."""
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={tmp_path}/bus")

    with pytest.raises(NoLogind, match=r"no system bus \(D-Bus\) runs here, as in most containers"):
        async with open_logind():
            pass


async def test_an_address_nobody_understands(monkeypatch: pytest.MonkeyPatch) -> None:
    """As from a typing error in a unit file."""
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", "carrier-pigeon")

    with pytest.raises(NoLogind, match=r"the system bus \(D-Bus\) cannot be reached: address"):
        async with open_logind():
            pass


async def test_a_bus_that_never_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel takes the connection, and nobody is behind it."""
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={tmp_path}/bus")
    monkeypatch.setattr(bus, "CONNECT_S", 0.02)

    async with answering(tmp_path / "bus", []):
        with pytest.raises(NoLogind, match=r"the system bus has not answered for 0\.02 s"):
            async with open_logind():
                pass


@pytest.mark.parametrize(
    "answers",
    [
        [None],
        [b"\0" * 100],
        [b"REJECTED EXTERNAL\r\n"],
        [b"OK 0123456789abcdef0123456789abcdef\r\n", b"ERROR no files here\r\n"],
        [b"OK 0123456789abcdef0123456789abcdef\r\n", b"AGREE_UNIX_FD\r\n", b"nonsense" * 40],
        [b"OK 0123456789abcdef0123456789abcdef\r\n", b"AGREE_UNIX_FD\r\n", None],
    ],
    ids=["hangs up", "speaks nonsense", "rejects", "passes no files", "nonsense later", "ends"],
)
async def test_a_bus_that_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answers: list[bytes | None]
) -> None:
    """Nothing that it says gets further than this."""
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={tmp_path}/bus")
    monkeypatch.setattr(bus, "CONNECT_S", 0.2)

    async with answering(tmp_path / "bus", answers):
        with pytest.raises(NoLogind):
            async with open_logind():
                pass
