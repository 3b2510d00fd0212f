"""Ports are bound all or none, and a port that cannot be had is named with what to do about it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiohttp import web

from inglenook.auth.certificates import ensure_certificate, server_ssl_context
from inglenook.common.errors import StartupError
from inglenook.gateway.listen import TLS_READ_BYTES, bind, serve
from inglenook.gateway.settings import ListenSettings
from tests.parts.box import free_port


def close(*groups: list[socket.socket]) -> list[tuple[str, int]]:
    """Close everything; returns where it was bound."""
    names = [sock.getsockname()[:2] for group in groups for sock in group]
    for group in groups:
        for sock in group:
            sock.close()
    return names


def test_every_port_that_is_on_is_bound() -> None:
    """The plain one and its companions, and the one with TLS."""
    with contextlib.ExitStack() as held:
        # All at once, or the same one might be free three times.
        socks = [held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(3)]
        ports = [sock.getsockname()[1] for sock in socks]
    settings = ListenSettings("127.0.0.1", ports[0], ports[1], (ports[2],))

    plain, tls = bind(settings)

    assert close(plain) == [("127.0.0.1", ports[0]), ("127.0.0.1", ports[2])]
    assert close(tls) == [("127.0.0.1", ports[1])]


def test_a_port_of_zero_is_off() -> None:
    """Not a port of the system's choice, as for sockets."""
    assert bind(ListenSettings("127.0.0.1", 0, 0)) == ([], [])


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_everywhere_is_ipv4_and_ipv6(host: str) -> None:
    """One socket hears phones of either kind."""
    port = free_port()
    plain, tls = bind(ListenSettings(host, port, 0))
    try:
        for address in ("127.0.0.1", "::1"):
            socket.create_connection((address, port), timeout=20).close()
    finally:
        close(plain, tls)


def test_one_taken_port_leaves_nothing_bound() -> None:
    """The sentence says which, and that it can be changed."""
    free = free_port()
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        with pytest.raises(StartupError) as caught:
            bind(ListenSettings("127.0.0.1", free, taken))

    assert f"127.0.0.1 port {taken} is taken by another program" in str(caught.value)
    assert "'listen'" in str(caught.value)
    socket.create_server(("127.0.0.1", free)).close()


@pytest.mark.parametrize("host", ["203.0.113.1", "2001:db8::1"])
def test_an_address_of_another_machine_is_said_to_be_one(host: str) -> None:
    """A board that got a new address from its router."""
    with pytest.raises(StartupError, match=r"has no such address; correct 'listen\.host'"):
        bind(ListenSettings(host, free_port(), 0))


def test_a_host_that_is_no_address_at_all_is_a_sentence_too() -> None:
    """Names are not looked up at the start of a daemon for nothing."""
    with pytest.raises(StartupError, match="cannot be used"):
        # Two dots in a row: no resolver asks the network for that, which could take it a minute.
        bind(ListenSettings("no..such.host", free_port(), 0))


def test_a_port_that_systemd_holds_is_not_bound_again() -> None:
    """Its sockets are used as they are, two where there is one for each kind of address."""
    four = socket.create_server(("127.0.0.1", 0))
    port, tls_port = four.getsockname()[1], free_port()
    six = socket.create_server(("::1", port), family=socket.AF_INET6)

    plain, tls = bind(ListenSettings("127.0.0.1", port, tls_port), {port: (four, six)})

    assert plain == [four, six]
    assert close(plain, tls) == [
        ("127.0.0.1", port),
        ("::1", port),
        ("127.0.0.1", tls_port),
    ]


def test_a_port_that_is_off_is_not_answered_though_systemd_holds_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The log says which, and how its unit comes to know the settings."""
    left_over = socket.create_server(("127.0.0.1", 0))
    port = left_over.getsockname()[1]

    plain, tls = bind(ListenSettings("127.0.0.1", free_port(), 0), {port: (left_over,)})

    close(plain, tls)
    assert left_over.fileno() == -1
    assert f"systemd listens on port {port}, which 'listen' does not have" in caplog.text
    assert "inglenook service install" in caplog.text


def test_a_taken_port_closes_what_was_inherited_too() -> None:
    """The daemon ends, and systemd has its own hold on them."""
    used = socket.create_server(("127.0.0.1", 0))
    unused = socket.create_server(("127.0.0.1", 0))
    inherited = {sock.getsockname()[1]: (sock,) for sock in (used, unused)}
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        with pytest.raises(StartupError, match="is taken by another program"):
            bind(ListenSettings("127.0.0.1", used.getsockname()[1], taken), inherited)

    assert (used.fileno(), unused.fileno()) == (-1, -1)


@pytest.fixture
def context(tmp_path: Path) -> ssl.SSLContext:
    """What a TLS port is served with; made before there is a loop to block."""
    now = datetime.now(UTC).timestamp()
    return server_ssl_context(ensure_certificate(tmp_path, ["localhost"], [], now))


async def test_a_connection_over_tls_holds_little_memory(context: ssl.SSLContext) -> None:
    """The library's own buffer would be 256 KiB, for as long as the phone stays."""
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    _plain, doors = bind(ListenSettings("127.0.0.1", 0, free_port()))
    port = doors[0].getsockname()[1]
    runner = await serve(web.Application(), [], doors, context)
    try:
        async with asyncio.timeout(20):
            reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trusting)
            writer.write(b"GET / HTTP/1.1\r\nHost: box\r\n\r\n")
            await reader.readline()
        assert runner.server is not None
        transport = runner.server.connections[0].transport

        assert len(transport._ssl_protocol._ssl_buffer) == TLS_READ_BYTES  # type: ignore[union-attr]

        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
    finally:
        await runner.cleanup()


def test_importing_changes_nothing_of_asyncio() -> None:
    """What is shared by the whole process is set when the box serves, in one named place."""
    look = (
        "import logging; from asyncio.sslproto import SSLProtocol as protocol; "
        "before = protocol.max_size; import inglenook.daemon.box, inglenook.gateway.listen; "
        "print(protocol.max_size == before, logging.getLogger('asyncio').filters)"
    )
    found = subprocess.run(
        (sys.executable, "-c", look), capture_output=True, text=True, timeout=60, check=True
    )

    assert found.stdout.strip() == "True []"
