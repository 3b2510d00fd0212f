"""The command line finds the daemon of its settings, or says that there is none."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from inglenook.cli import cache, control, pair
from inglenook.cli.control import NoAnswerError, control_session
from inglenook.common.errors import StartupError
from inglenook.daemon.statefolder import held_state_folder
from inglenook.gateway.control import SOCKET_NAME, bind_control_socket
from inglenook.power.settings import ASLEEP_NAME
from tests.parts.box import Box


async def test_requests_go_to_the_daemon_of_that_folder(box: Box) -> None:
    """By its socket, whatever port it listens on."""
    async with control_session(box.state_dir) as session, session.post("/pair/open") as answer:
        window = await answer.json()

    assert window["urls"] == [box.url]


@pytest.mark.parametrize("make", ["nothing", "file", "socket"])
async def test_without_a_daemon_it_says_how_to_start_one(tmp_path: Path, make: str) -> None:
    """No folder, a file that is no socket, and what a killed daemon left are all the same."""
    path = tmp_path / SOCKET_NAME
    if make == "file":
        path.touch()
    elif make == "socket":
        with socket.socket(socket.AF_UNIX) as left:
            left.bind(str(path))

    with pytest.raises(StartupError, match="`inglenook up`"):
        async with control_session(tmp_path) as session, session.post("/pair/open"):
            pass


@pytest.mark.parametrize("command", ["pair", "cache"])
def test_a_daemon_that_is_stuck_is_said_to_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    """No command waits for it without end; its socket still takes connections."""
    monkeypatch.setattr(control, "ANSWER_S", 0.2)
    monkeypatch.setattr(cache, "_PURGE_S", 0.2)
    asked = pair._pair(tmp_path, None) if command == "pair" else cache._ask_daemon(tmp_path)
    with socket.socket(socket.AF_UNIX) as deaf:
        deaf.bind(str(tmp_path / SOCKET_NAME))
        deaf.listen()
        with pytest.raises(NoAnswerError, match="does not answer"):
            asyncio.run(asked)


async def test_a_box_whose_process_sleeps_need_not_be_started(tmp_path: Path) -> None:
    """Systemd holds its ports; to start another process would find them taken."""
    (tmp_path / ASLEEP_NAME).touch()
    with pytest.raises(StartupError, match="a connection wakes it"):
        async with control_session(tmp_path) as session, session.post("/pair/open"):
            pass


@pytest.fixture(params=["bound", "nothing"])
def silent_daemon(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """The folder of a daemon that does not listen at its socket yet, or has none any more."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(held_state_folder(tmp_path))
        if request.param == "bound":
            stack.enter_context(bind_control_socket(tmp_path / SOCKET_NAME))
        (tmp_path / ASLEEP_NAME).touch()
        yield tmp_path


async def test_a_daemon_that_does_not_answer_is_not_called_missing(silent_daemon: Path) -> None:
    """It is starting or stopping, or somebody removed the socket's file."""
    with pytest.raises(StartupError, match=rf"daemon is running .*process {os.getpid()}"):
        async with control_session(silent_daemon) as session, session.post("/pair/open"):
            pass


async def test_a_path_too_long_for_a_socket_is_the_daemons_sentence(tmp_path: Path) -> None:
    """No daemon can run there, so it is of no use to start one."""
    with pytest.raises(StartupError, match="is too long a path for a socket; use a shorter"):
        async with control_session(tmp_path / ("long" * 30)) as session, session.post("/pair/open"):
            pass


async def test_a_daemon_that_goes_away_meanwhile_is_a_sentence(tmp_path: Path) -> None:
    """It was stopped while somebody waited for a phone."""

    def hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_unix_server(hang_up, tmp_path / SOCKET_NAME)
    async with server:
        with pytest.raises(StartupError, match="closed the connection"):
            async with control_session(tmp_path) as session, session.post("/pair/open"):
                pass
