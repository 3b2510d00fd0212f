"""The owner's door is one socket file, for one daemon a folder."""

from __future__ import annotations

import os
import socket
import stat
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from inglenook.auth.devices import Device
from inglenook.common.errors import StartupError
from inglenook.gateway.context import Access, BoxInfo
from inglenook.gateway.control import (
    SOCKET_NAME,
    bind_control_socket,
    control_path,
    make_control_app,
)
from tests.parts.box import Box
from tests.parts.prefix_folder import fill

#: Not used by what is tried with them.
NO_BOX = cast(BoxInfo, None)
NOBODY = cast(Access, SimpleNamespace(allowlist=None))


def test_the_socket_is_for_its_owner_only(tmp_path: Path) -> None:
    """Whoever can open it can pair devices; whatever files of this user are open to otherwise."""
    usual = os.umask(0)
    try:
        control = bind_control_socket(tmp_path / SOCKET_NAME)
    finally:
        os.umask(usual)
    with control:
        path = Path(control.getsockname())

        assert path == control_path(tmp_path) == tmp_path / SOCKET_NAME
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("make", ["socket", "listening", "file"])
def test_what_a_killed_daemon_left_is_replaced(tmp_path: Path, make: str) -> None:
    """The file stays when its process dies; that it is dead is told by the folder's lock."""
    path = tmp_path / SOCKET_NAME
    if make == "file":
        path.touch()
    else:
        with bind_control_socket(path) as left:
            if make == "listening":
                left.listen()

    with bind_control_socket(path) as control, socket.socket(socket.AF_UNIX) as client:
        control.listen()
        client.connect(str(path))


def test_a_path_too_long_for_a_socket_is_said_to_be(tmp_path: Path) -> None:
    """The kernel's limit is 107 bytes, and its own message would be none."""
    with pytest.raises(StartupError, match=r"state_dir: .* too long a path"):
        control_path(tmp_path / ("long" * 30))


def test_a_socket_that_cannot_be_made_is_closed(tmp_path: Path) -> None:
    """Here it is a folder that stands in its place."""
    (tmp_path / SOCKET_NAME).mkdir()

    with pytest.raises(OSError, match="directory"):
        bind_control_socket(tmp_path / SOCKET_NAME)


def test_a_window_is_opened_and_tells_what_to_show(box: Box) -> None:
    """Code, secret, where the page is, and for how long."""
    began_at = time.monotonic()
    window = box.control("POST", "/pair/open?name=Grandma")
    took_s = time.monotonic() - began_at

    assert len(window["code"]) == 9
    assert len(window["secret"]) == 22
    assert 299.9 - took_s < window["closes_in_s"] <= 300
    assert window["urls"] == [box.url]


def test_a_name_that_will_not_do_opens_nothing(box: Box) -> None:
    """The error is in the shape every error has."""
    refused = box.control("POST", "/pair/open?name=%00")

    assert refused["error"]["code"] == "bad_request"
    assert "printable" in refused["error"]["message"]


def test_the_owner_sees_the_state_without_a_token(box: Box, token: str) -> None:
    """As phones do, and besides why there is no engine, and what failed unforeseen."""
    state = box.control("GET", "/state")

    phones = box.http("GET", "/v1/state", token=token).json()
    assert state.keys() - phones.keys() == {"engine_why", "unexpected_errors"}
    assert (state["engine"], state["engine_why"]) == ("ready", "")
    assert set(state["unexpected_errors"].values()) == {0}


def test_the_owners_door_does_not_open_to_the_network(box: Box, token: str) -> None:
    """Its paths do not exist on the ports, whatever the token."""
    assert box.http("POST", "/pair/open", token=token).status == 404
    assert box.http("GET", "/pair/wait", token=token).status == 404
    assert box.http("GET", "/state", token=token).status == 404
    assert box.http("POST", "/cache/purge", token=token).status == 404
    assert box.http("POST", "/devices/revoke?device=x", token=token).status == 404


def _control_app(purge: Callable[[], Awaitable[int]]) -> web.Application:
    """The application, to ask for nothing but a purge."""

    async def revoke(id_or_name: str) -> Device:
        raise AssertionError(f"{id_or_name} was to be revoked")

    return make_control_app(NO_BOX, NOBODY, purge, revoke)


async def test_a_cache_that_cannot_be_emptied_is_a_sentence() -> None:
    """The file is named, in the shape every error has."""

    async def purge() -> int:
        raise PermissionError(13, "Permission denied", "/state/prefix/a.kv")

    app = _control_app(purge)
    async with TestClient(TestServer(app)) as client, client.post("/cache/purge") as answer:
        body = await answer.json()

    assert answer.status == 500
    assert body["error"]["code"] == "internal"
    assert body["error"]["message"] == "/state/prefix/a.kv cannot be removed: Permission denied"


async def test_an_error_nobody_foresaw_is_an_answer_without_a_trace(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """As on the ports."""

    async def purge() -> int:
        raise ZeroDivisionError("the secret of the house")

    app = _control_app(purge)
    async with TestClient(TestServer(app)) as client, client.post("/cache/purge") as answer:
        body = await answer.json()

    assert (answer.status, body["error"]["code"]) == (500, "internal")
    assert "secret" not in body["error"]["message"]
    [record] = caplog.records
    assert record.exc_info is not None


def test_purging_tells_how_much_there_was(box: Box) -> None:
    """Other models' files go too, and what is not the cache's stays."""
    folder = box.state_dir / "prefix"
    fill(folder, "a" * 32, 2, 1024)
    (folder / "notes.txt").write_text("mine")

    assert box.control("POST", "/cache/purge")["freed_bytes"] >= 2048
    assert list((folder / ("a" * 32)).glob("*.kv")) == []
    assert (folder / "notes.txt").exists()
