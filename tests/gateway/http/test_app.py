"""The plain HTTP paths: what they answer, and what they say to nonsense."""

from __future__ import annotations

import gzip
import re
import socket
from collections.abc import Mapping

import pytest
from aiohttp import ClientSession

from inglenook import __version__
from inglenook.common.errors import Code, Problem
from inglenook.engine.interface import EnginePhase
from inglenook.serving.limits import ServingLimits
from tests.gateway.conftest import Home
from tests.parts.box import Box, made_box
from tests.parts.starter import CAPITAL, PARIS

pytestmark = pytest.mark.usefixtures("unharmed")


def test_healthz_says_that_an_answer_can_start(box: Box) -> None:
    """And nothing about who lives here."""
    reply = box.http("GET", "/healthz")

    assert reply.status == 200
    assert reply.json() == {"status": "ok"}


@pytest.mark.parametrize(
    ("refusal", "retry_after"),
    [
        (Problem(Code.TOO_HOT, "The box is hot.", retry_after_s=41.6), "42"),
        (Problem(Code.LOW_MEMORY, "The box is short of memory.", retry_after_s=0.2), "1"),
        (Problem(Code.LOW_MEMORY, "The box is short of memory."), None),
    ],
)
async def test_healthz_says_why_every_newcomer_is_refused(
    home: Home, refusal: Problem, retry_after: str | None
) -> None:
    """The engine may be as ready as it likes; and 200 again once questions are taken."""
    home.desk.limit(ServingLimits(4, refuse=refusal))
    async with ClientSession(home.url) as client:
        async with client.get("/healthz") as refused:
            said = await refused.json()
        home.desk.limit(ServingLimits(4))
        async with client.get("/healthz") as taken:
            pass

    assert (refused.status, taken.status) == (503, 200)
    assert said == {"status": "unavailable", "reason": refusal.code}
    assert refused.headers.get("Retry-After") == retry_after
    assert "Retry-After" not in taken.headers


async def test_healthz_names_the_state_of_an_engine_that_is_away(home: Home) -> None:
    """That says more than the refusal it brings, which still says when to look again."""
    home.engine.tell(EnginePhase.UNLOADED)
    home.desk.limit(ServingLimits(0, refuse=Problem(Code.LOW_MEMORY, "Short.", retry_after_s=120)))
    async with ClientSession(home.url) as client, client.get("/healthz") as reply:
        said = await reply.json()

    assert (reply.status, reply.headers["Retry-After"]) == (503, "120")
    assert said == {"status": "unavailable", "reason": "unloaded"}


def test_well_known_says_who_this_is(box: Box) -> None:
    """What a phone needs before it is paired; no path, no device, no model."""
    found = box.http("GET", "/.well-known/inglenook").json()

    assert found == {
        "server_id": found["server_id"],
        "name": "Kitchen",
        "version": __version__,
        "protocols": ["ws"],
        "ports": {"http": box.port, "tls": 0},
        "spki_sha256": None,
        "run_id": found["run_id"],
        "pairing_open": found["pairing_open"],
    }
    assert re.fullmatch("[0-9a-f]{8}", found["run_id"])
    assert len(found["server_id"]) == 8


async def test_phones_are_told_the_name_that_the_network_says(home: Home) -> None:
    """It has a number where another box has the name, too: both before a token was shown."""
    async with ClientSession(home.url) as client:
        async with client.get("/.well-known/inglenook") as reply:
            assert (await reply.json())["name"] == "Kitchen-2"
        async with client.ws_connect("/ws") as phone:
            assert (await phone.receive_json())["name"] == "Kitchen-2"


def test_the_state_is_told_whole(box: Box, token: str) -> None:
    """As the frame of the same name."""
    state = box.http("GET", "/v1/state", token=token).json()

    assert state["engine"] == "ready"
    assert state["model"].startswith("SmolLM2")
    assert state["max_active"] == 8
    assert state["mem_available_bytes"] > 0


def test_the_smallest_client_gets_its_answer(box: Box, token: str) -> None:
    """One question in, one answer out."""
    reply = box.http("POST", "/v1/inference", token=token, body={"question": CAPITAL})

    assert reply.status == 200
    assert reply.json()["answer"] == PARIS


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"hello",
        b"null",
        b"[]",
        b"{}",
        b'{"question":5}',
        b'{"question":""}',
        b'{"question":"  "}',
        b'{"question":NaN}',
        b'{"question":"\xff"}',
        b"[" * 100_000,
        b'{"question":' + b"[" * 100_000,
        b'{"question":"hi","question',
    ],
)
@pytest.mark.parametrize("path", ["/v1/inference", "/pair"])
def test_a_body_that_makes_no_sense_is_refused(
    box: Box, token: str, path: str, body: bytes
) -> None:
    """With a sentence, in the shape every error has."""
    reply = box.http("POST", path, token=token, body=body)

    assert (reply.status, reply.code) == (400, "bad_request")
    assert reply.json()["error"]["message"].endswith(".")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"code":"\\ud83d"}', "Half of a surrogate pair in a text - at `$.code`"),
        (b'{"code":"A","x":[{"\\ud83d":1}]}', "Half of a surrogate pair in a name - at `$.x[0]`"),
        (b'{"code":1e400}', "Number out of range - at `$.code`"),
        (b'{"code":1' + b"0" * 3000 + b"}", "must be what the box shows"),
        (b'{"code":-Infinity}', "-Infinity is no JSON number - at `$.code`"),
        (b'{"code":' + b"[" * 1900 + b"]" * 1900 + b"}", "More than 256 objects and arrays"),
        (b'{"code":"\xff"}', "The body is not UTF-8."),
        (b'{"code":', "The body is not JSON."),
    ],
)
def test_a_body_with_one_bad_value_hears_which_it_is(box: Box, body: bytes, words: str) -> None:
    """Not that all of it is no JSON, which would be looked for in the wrong place."""
    reply = box.http("POST", "/pair", body=body)

    assert (reply.status, reply.code) == (400, "bad_request")
    assert words in reply.json()["error"]["message"]


def test_a_compressed_body_is_refused_unread(box: Box, token: str) -> None:
    """No client here compresses, and a stranger's few bytes could become many."""
    body, headers = gzip.compress(b'{"code":"A"}'), {"Content-Encoding": "gzip"}
    for path in ("/pair", "/v1/inference"):
        reply = box.http("POST", path, token=token, body=body, headers=headers)

        assert (reply.status, reply.code) == (400, "bad_request")
        assert "is compressed" in reply.json()["error"]["message"]


@pytest.mark.slow
def test_half_an_emoji_in_a_question_or_a_name_is_replaced(box: Box, token: str) -> None:
    """They are texts that people read, and a cut one is better than none."""
    asked = box.http("POST", "/v1/inference", token=token, body=b'{"question":"Hi \\ud83d"}')
    code = box.pairing_code()
    body = b'{"code":"%s","device_name":"Anna\\ud83d"}' % code.encode()
    paired = box.http("POST", "/pair", body=body)

    assert (asked.status, paired.status) == (200, 200)
    assert "Anna\ufffd" in box.run("devices", "list").out


@pytest.mark.parametrize(
    ("path", "body", "headers"),
    [
        ("/v1/inference", b'{"question":"' + b"x" * 300_000 + b'"}', {}),
        ("/pair", b'{"code":"' + b"x" * 300_000 + b'"}', {}),
        ("/pair", b'{"code":"' + b"x" * 5000 + b'"}', {}),
    ],
)
def test_a_body_that_is_too_large_is_refused(
    box: Box, token: str, path: str, body: bytes, headers: Mapping[str, str]
) -> None:
    """Before it is read where possible."""
    reply = box.http("POST", path, token=token, body=body, headers=headers)

    assert reply.status in (400, 413)
    assert reply.code == "bad_request"


def test_a_question_longer_than_the_context_hears_both_numbers(box: Box, token: str) -> None:
    """As over the WebSocket."""
    reply = box.http("POST", "/v1/inference", token=token, body={"question": "word " * 9000})

    assert (reply.status, reply.code) == (400, "context_too_long")


def test_a_device_without_the_scope_may_not_ask(box: Box) -> None:
    """403: it is known, but not for this."""
    token = box.add_device("Gauge", "--scopes", "metrics")

    reply = box.http("POST", "/v1/inference", token=token, body={"question": "Hi"})

    assert (reply.status, reply.code) == (403, "forbidden")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/"),
        ("POST", "/healthz"),
        ("GET", "/pair"),
        ("PUT", "/pair"),
        ("POST", "/v1/state"),
        ("GET", "/v1/inference"),
        ("POST", "/ws"),
        ("DELETE", "/app.js"),
    ],
)
def test_a_wrong_method_is_named_as_such(box: Box, token: str, method: str, path: str) -> None:
    """405 with the ones that would do."""
    reply = box.http(method, path, token=token)

    assert (reply.status, reply.code) == (405, "bad_request")


def test_an_unknown_path_is_not_found_by_a_paired_device(box: Box, token: str) -> None:
    """404 in the shape every error has."""
    reply = box.http("GET", "/nothing", token=token)

    assert (reply.status, reply.code) == (404, "bad_request")


def test_a_plain_get_of_the_socket_is_refused(box: Box) -> None:
    """Somebody typed the address into a browser."""
    reply = box.http("GET", "/ws")

    assert (reply.status, reply.code) == (400, "bad_request")


@pytest.mark.slow
def test_a_box_that_listens_everywhere_names_all_its_addresses() -> None:
    """The name first, which is best to type; then what every phone can open."""
    with made_box(None, {"listen": {"host": "0.0.0.0"}}) as box:
        box.start()
        box.wait(box.health, "it never answered", 20)
        urls: list[str] = box.control("POST", "/pair/open")["urls"]
        box.stop()

    assert urls[0].startswith("http://kitchen-")
    assert urls[0].endswith(f".local:{box.port}")
    assert all(url.endswith(f":{box.port}") for url in urls)
    assert not any("fe80" in url or "127.0.0.1" in url for url in urls)


@pytest.mark.slow
@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")
def test_a_box_that_listens_at_one_ipv6_address_names_it() -> None:
    """In brackets, as addresses in links are."""
    with made_box(None, {"listen": {"host": "::1"}}) as box:
        box.start()
        box.wait_log("no model: ")
        assert box.control("POST", "/pair/open")["urls"] == [f"http://[::1]:{box.port}"]
        box.stop()
