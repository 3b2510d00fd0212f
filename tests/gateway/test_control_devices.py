"""The owner's command line changes the list of devices by one call, in force when it returns."""

from __future__ import annotations

import asyncio
import time
from urllib.parse import urlencode

import pytest

from tests.parts.box import Box
from tests.parts.phone import connected
from tests.parts.prefix_folder import fill


def change(box: Box, what: str, **parameters: str) -> dict[str, str]:
    """Ask for a change as `inglenook devices` does."""
    body: dict[str, str] = box.control("POST", f"/devices/{what}?{urlencode(parameters)}")
    return body


def knows(box: Box, token: str) -> bool:
    return box.http("GET", "/v1/state", token=token).status == 200


def test_a_device_that_was_added_is_known_when_the_call_returns(box: Box) -> None:
    """By its token, which only this answer has."""
    device = change(box, "add", name="Desk lamp", scopes="chat", thinking="off")

    assert knows(box, device["token"])
    assert (device["name"], device["thinking"]) == ("Desk lamp", "off")
    assert "token" not in change(box, "rename", device="desk lamp", name="Lamp")
    assert change(box, "thinking", device="lamp", thinking="64")["thinking"] == "64"
    assert change(box, "revoke", device=device["device_id"])["name"] == "Lamp"


async def test_a_revoked_device_is_shut_out_when_the_call_returns(box: Box) -> None:
    """Its connection is closed, its token refused, and the files of other models gone."""
    fill(box.state_dir / "prefix", "b" * 32, 1, 1024)
    device = await asyncio.to_thread(
        change, box, "add", name="Lost", scopes="chat", thinking="auto"
    )
    async with connected(box.url, device["token"]) as phone:
        await asyncio.to_thread(change, box, "revoke", device="lost")

        assert not await asyncio.to_thread(knows, box, device["token"])
        assert list((box.state_dir / "prefix" / ("b" * 32)).glob("*.kv")) == []
        async with asyncio.timeout(20):
            assert await phone.wait_closed() == 4401


@pytest.mark.parametrize(
    ("what", "parameters", "words"),
    [
        ("revoke", {}, "device is missing"),
        ("revoke", {"device": "nobody at all"}, "No device is called"),
        ("rename", {"device": "x"}, "name is missing"),
        ("add", {"name": "x", "scopes": "chatt", "thinking": "auto"}, "did you mean 'chat'?"),
        ("add", {"name": "\0", "scopes": "chat", "thinking": "auto"}, "printable"),
        (
            "add",
            {"name": "x", "scopes": "chat", "thinking": "auto", "expires_at": "soon"},
            "expires_at is no number",
        ),
        (
            "add",
            {"name": "x", "scopes": "chat", "thinking": "auto", "expires_at": "1"},
            "from now to the year 9999",
        ),
        ("thinking", {"device": "x", "thinking": "perhaps"}, "is not auto, on, off"),
    ],
)
def test_what_cannot_be_is_a_problem(
    box: Box, what: str, parameters: dict[str, str], words: str
) -> None:
    """In the shape every error has; nothing has changed."""
    before = (box.state_dir / "devices.json").read_bytes()

    refused = box.control("POST", f"/devices/{what}?{urlencode(parameters)}")

    assert refused["error"]["code"] == "bad_request"
    assert words in refused["error"]["message"]
    assert (box.state_dir / "devices.json").read_bytes() == before


@pytest.mark.slow
def test_the_command_line_asks_the_daemon(box: Box) -> None:
    """So its change is in force when it ends, and what the daemon refuses it says."""
    ran = box.run("devices", "add", "--name", "Tablet", "--expires", "1h")
    token = ran.out.strip()
    assert knows(box, token)
    assert "is now called Slate" in box.run("devices", "rename", "tablet", "Slate").err

    refused = box.run("devices", "revoke", "tablet")
    ran = box.run("devices", "revoke", "slate")

    assert (refused.returncode, refused.out) == (1, "")
    assert "no device is called 'tablet'" in refused.err
    assert ran.returncode == 0
    assert not knows(box, token)


def test_a_list_that_another_process_changed_is_read(box: Box) -> None:
    """The watch on the file is the way for a command that cannot reach the socket."""
    token = change(box, "add", name="By file", scopes="chat", thinking="auto")["token"]
    hidden = box.state_dir / "control.sock.hidden"
    (box.state_dir / "control.sock").rename(hidden)
    try:
        box.run("devices", "revoke", "by file")  # it fails to empty the daemon's cache
        deadline_s = time.monotonic() + 20
        while knows(box, token):
            assert time.monotonic() < deadline_s
            time.sleep(0.05)
    finally:
        hidden.rename(box.state_dir / "control.sock")
