"""What strangers send costs the box no line of its log: a card wears out by them."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.gateway.conftest import SOON_S
from tests.parts.box import Box, free_port, running_box

#: Sent again and again, and cut off in each of these ways.
TIMES = 12


@pytest.fixture(scope="module")
def tls_box(starter_model: Path) -> Iterator[Box]:
    """A box with both ports; `Box.port` is the plain one."""
    with running_box(starter_model, {"listen": {"tls_port": free_port()}}) as box:
        yield box


def upgrade(box: Box, *headers: str, path: str = "/ws", host: str | None = None) -> bytes:
    lines = [
        f"GET {path} HTTP/1.1",
        f"Host: {host or f'127.0.0.1:{box.port}'}",
        *("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"),
        *("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", *headers),
    ]
    return "\r\n".join([*lines, "", ""]).encode()


def request(box: Box, first: str, body: bytes = b"", *headers: str) -> bytes:
    lines = [f"{first} HTTP/1.1", f"Host: 127.0.0.1:{box.port}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def frame(opcode: int, payload: bytes) -> bytes:
    """A masked frame; the mask is all zeros."""
    return bytes([0x80 | opcode, 0x80 | len(payload)]) + bytes(4) + payload


def everything(box: Box) -> dict[str, bytes]:
    """What a stranger may send to the plain port."""
    ws = upgrade(box)
    return {
        "nothing": b"",
        "no HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        "no request": b"hello\r\n\r\n",
        "zeros": bytes(5000),
        "half a head": request(box, "GET /")[:-2],
        "bad header": request(box, "GET /", b"", "X\x00Y: \x00"),
        "long header": request(box, "GET /", b"", "X: " + "x" * 20_000),
        "long path": request(box, "GET /" + "x" * 20_000),
        "line break in the path": request(box, "GET /%0Aforged%20line"),
        "unknown method": request(box, "BREW /"),
        "bad length": request(box, "POST /pair", b"", "Content-Length: -5"),
        "two lengths": request(box, "POST /pair", b"x", "Content-Length: 1", "Content-Length: 2"),
        "bad chunk": request(box, "POST /pair", b"zz\r\n", "Transfer-Encoding: chunked"),
        "bad gzip": request(
            box, "POST /pair", b"12345", "Content-Length: 5", "Content-Encoding: gzip"
        ),
        "half a body": request(box, "POST /pair", b"{", "Content-Length: 50"),
        "wrong code": request(box, "POST /pair", b'{"code":"0000-0000"}', "Content-Length: 20"),
        "no token": request(box, "GET /v1/state"),
        "wrong token": request(box, "GET /v1/state", b"", "Authorization: Bearer ingle_x_y"),
        "odd token": request(box, "GET /v1/state", b"", "Authorization: Bearer \xff"),
        "unknown path": request(box, "GET /cgi-bin/luci"),
        "HTTP 2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "no host": b"GET / HTTP/1.1\r\n\r\n",
        "other host": upgrade(box, host="evil.example"),
        "other page": upgrade(box, "Origin: http://evil.example"),
        "other subprotocol": upgrade(box, "Sec-WebSocket-Protocol: evil"),
        "upgrade of another path": upgrade(box, path="/healthz"),
        "no key": ws.replace(b"dGhlIHNhbXBsZSBub25jZQ==", b""),
        "old version": ws.replace(b"Version: 13", b"Version: 1"),
        "socket": ws,
        "socket, no JSON": ws + frame(1, b"hello"),
        "socket, bad JSON": ws + frame(1, b'{"type":"auth","token":"\\ud83d"}'),
        "socket, wrong token": ws + frame(1, b'{"type":"auth","token":"ingle_x_y"}'),
        "socket, no UTF-8": ws + frame(1, b"\xff"),
        "socket, binary": ws + frame(2, b"\xff"),
        "socket, reserved frame": ws + frame(7, b""),
        "socket, no mask": ws + b"\x81\x01x",
        "socket, bad close": ws + frame(8, b"\x00"),
        "socket, too large": ws + b"\x81\xff" + (2**40).to_bytes(8, "big") + bytes(4),
        "socket, pings": ws + frame(9, b"x" * 100) * 50,
    }


def send(sock: socket.socket, data: bytes, ending: str) -> None:
    """Send it, and end in one of the ways there are."""
    with contextlib.closing(sock), contextlib.suppress(OSError):
        sock.sendall(data)
        if ending == "reset":
            # A linger time of 0 makes a close an RST.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return
        if ending == "wait":
            sock.settimeout(0.05)
            while sock.recv(65536):
                pass


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["reset", "close", "wait"])
def test_nothing_a_stranger_sends_is_worth_a_line_of_the_log(tls_box: Box, ending: str) -> None:
    """However it ends; and the box goes on."""
    said = len(tls_box.log())
    for data in everything(tls_box).values():
        for _ in range(TIMES):
            sock = socket.create_connection(
                ("127.0.0.1", tls_box.port), timeout=SOON_S, source_address=("127.0.0.2", 0)
            )
            send(sock, data, ending)

    assert tls_box.health() == 200
    assert tls_box.log()[said:] == ""


@pytest.mark.parametrize("ending", ["reset", "close", "wait"])
@pytest.mark.parametrize("first", [b"", b"\x16\x03\x01", b"GET / HTTP/1.1\r\n\r\n", bytes(300)])
def test_no_handshake_is_worth_a_line_either(tls_box: Box, first: bytes, ending: str) -> None:
    """Of those who speak no TLS, or not all of it."""
    said = len(tls_box.log())
    tls_port = tls_box.http("GET", "/.well-known/inglenook").json()["ports"]["tls"]
    for _ in range(TIMES):
        send(socket.create_connection(("127.0.0.1", tls_port), timeout=SOON_S), first, ending)

    assert tls_box.health() == 200
    assert tls_box.log()[said:] == ""


def test_a_client_that_does_not_trust_the_certificate_is_no_news(tls_box: Box) -> None:
    """Every browser that sees it first is one."""
    said = len(tls_box.log())
    tls_port = tls_box.http("GET", "/.well-known/inglenook").json()["ports"]["tls"]
    strict = ssl.create_default_context()
    for _ in range(TIMES):
        sock = socket.create_connection(("127.0.0.1", tls_port), timeout=SOON_S)
        with contextlib.closing(sock), pytest.raises(ssl.SSLCertVerificationError):
            strict.wrap_socket(sock, server_hostname="localhost")

    assert tls_box.health() == 200
    assert tls_box.log()[said:] == ""
