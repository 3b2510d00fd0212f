"""Nobody unpaired, and no foreign page, gets a byte that is not meant for everybody."""

from __future__ import annotations

import errno
import socket
from collections.abc import Mapping

import pytest
from aiohttp import ClientSession, web

from inglenook.gateway.guard import PUBLIC_PATHS, guards
from inglenook.gateway.http.page_files import read_pages
from tests.parts.box import Box
from tests.parts.phone import knocking

pytestmark = pytest.mark.usefixtures("unharmed")

PRIVATE_PATHS = [
    "/v1/state",
    "/v1/inference",
    "/v1/models",
    "/v1/chat/completions",
    "/api/tags",
    "/metrics/",
    "/nothing/here",
    "/index.html",
    "//healthz",
    "/ws/",
    "/healthz/../v1/state",
    "/%2e%2e/etc/passwd",
    "/pages/app.js",
]


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("path", PRIVATE_PATHS)
def test_every_path_but_the_public_ones_asks_for_a_token(box: Box, path: str, method: str) -> None:
    """A stranger cannot even learn which paths there are."""
    reply = box.http(method, path)

    assert (reply.status, reply.code) == (401, "not_paired")
    assert reply.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("path", ["/healthz", "/.well-known/inglenook", *read_pages()])
def test_the_public_ones_do_not(box: Box, path: str) -> None:
    """The page, and what a phone must know before it is paired."""
    reply = box.http("GET", path)

    assert reply.status == 200
    assert reply.body


def test_the_list_of_public_paths_is_short() -> None:
    """A path that is added here needs a reason."""
    assert {"/healthz", "/.well-known/inglenook", "/pair", "/ws"} == PUBLIC_PATHS


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Bearer",
        "Bearer ",
        "Bearer wrong",
        "Basic {token}",
        "{token}",
        "Bearer {token}x",
        "Bearer {token} {token}",
        "Bearer " + "x" * 4000,
    ],
)
def test_a_token_must_be_right_and_said_to_be_one(box: Box, token: str, authorization: str) -> None:
    """Anything near it is a stranger's."""
    headers = {"Authorization": authorization.format(token=token)}

    assert box.http("GET", "/v1/state", headers=headers).status == 401


def test_a_paired_device_comes_in(box: Box, token: str) -> None:
    """The scheme's case does not matter, as RFC 9110 says."""
    for scheme in ("Bearer", "bearer", "BEARER"):
        headers = {"Authorization": f"{scheme} {token}"}
        assert box.http("GET", "/v1/state", headers=headers).status == 200


def test_a_removed_device_is_told_so(box: Box) -> None:
    """401 like a stranger, but with the code that says why."""
    token = box.pair("Old tablet")
    box.revoke("Old tablet", token)

    reply = box.http("GET", "/v1/state", token=token)

    assert (reply.status, reply.code) == (401, "revoked")


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "evil.example:{port}"},
        {"Host": "127.0.0.1.evil.example"},
        {"Host": "192.168.66.6"},
        {"Host": ""},
        {"Host": "[::1"},
        {"Origin": "http://evil.example"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "null"},
        {"Origin": "file://"},
        {"Sec-Fetch-Site": "cross-site"},
    ],
)
@pytest.mark.parametrize("path", ["/", "/healthz", "/pair", "/v1/state"])
def test_foreign_names_and_pages_are_refused_whatever_they_ask(
    box: Box, token: str, path: str, headers: Mapping[str, str]
) -> None:
    """DNS rebinding and other people's pages, with or without a token."""
    sent = {name: value.format(port=box.port) for name, value in headers.items()}

    reply = box.http("GET", path, token=token, headers=sent)

    assert (reply.status, reply.code) == (403, "forbidden")


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "localhost"},
        {"Host": "localhost:{port}"},
        {"Host": "[::1]:{port}"},
        {"Host": "LOCALHOST."},
        {"Origin": "http://127.0.0.1:{port}"},
        {"Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "none"},
    ],
)
def test_the_boxs_own_names_and_page_are_let_in(box: Box, headers: Mapping[str, str]) -> None:
    """However people write them."""
    sent = {name: value.format(port=box.port) for name, value in headers.items()}

    assert box.http("GET", "/healthz", headers=sent).status == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1"])
async def test_a_foreign_pages_socket_is_closed_with_its_own_code(box: Box, origin: str) -> None:
    """4403, which a script can read; of a refused handshake it would learn nothing."""
    async with knocking(box.url, origin=origin) as phone:
        assert await phone.wait_closed() == 4403
        assert phone.others == []


async def test_a_socket_under_a_foreign_name_is_closed_too(box: Box) -> None:
    """A name that somebody else made point to the box."""
    url = f"http://evil.example:{box.port}"
    async with knocking(url, host="127.0.0.1", port=box.port) as phone:
        assert await phone.wait_closed() == 4403


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\x00" * 100,
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 100_000 + b"\r\n\r\n",
        b"POST /pair HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example:443\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ],
)
def test_what_is_no_http_is_refused_or_hung_up_on(box: Box, sent: bytes) -> None:
    """Port scanners, TLS on the plain port, proxies' requests: never an answer with content."""
    answer = said_to(box.port, sent)

    assert answer == b"" or answer.split()[1] in (b"400", b"401", b"403", b"404", b"405")


def said_to(port: int, sent: bytes) -> bytes:
    """All that comes back for some bytes until the box hangs up."""
    answer = b""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as sock:
        try:
            sock.sendall(sent)
            sock.shutdown(socket.SHUT_WR)
            while chunk := sock.recv(65536):
                answer += chunk
        except OSError as exc:
            # A box that hangs up before it has read everything has the kernel reset the connection.
            if exc.errno not in (errno.ECONNRESET, errno.EPIPE, errno.ENOTCONN):
                raise
    return answer


def test_every_answer_forbids_other_pages_to_use_it(box: Box) -> None:
    """No framing, no foreign scripts, no guessing of types; also on errors."""
    for path in ("/", "/healthz", "/nothing"):
        headers = box.http("GET", path).headers
        assert "default-src 'self'" in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"


async def test_a_fault_of_ours_is_one_trace_in_the_log_and_a_plain_sentence_outside(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The exception's own words stay inside; redirects and the like pass."""

    async def fail(_request: web.Request) -> web.Response:
        raise ValueError("the secret of the house")

    async def move(_request: web.Request) -> web.Response:
        raise web.HTTPFound("/elsewhere")

    app = web.Application(middlewares=guards(frozenset())[:1])
    app.add_routes([web.get("/fail", fail), web.get("/move", move)])
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    try:
        async with ClientSession(f"http://127.0.0.1:{port}") as client:
            async with client.get("/fail") as failed:
                said = await failed.text()
            async with client.get("/move", allow_redirects=False) as moved:
                pass
    finally:
        await runner.cleanup()

    assert (failed.status, moved.status) == (500, 302)
    assert "secret" not in said
    assert "its log says more" in said
    [record] = caplog.records
    assert record.exc_info is not None
