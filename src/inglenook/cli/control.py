"""A client of the daemon's control socket on this machine."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp

from inglenook.common.errors import StartupError
from inglenook.gateway.control import SOCKET_NAME, control_path
from inglenook.power.settings import ASLEEP_NAME

#: Seconds for an answer; the daemon waits for no client in it.
ANSWER_S = 15.0


class NoAnswerError(StartupError):
    """A daemon accepted the connection and did not answer; it may still do what it was asked."""


class NotReachedError(StartupError):
    """No daemon was reached: none is running, or it does not accept connections."""


@contextlib.asynccontextmanager
async def control_session(state_dir: Path) -> AsyncIterator[aiohttp.ClientSession]:
    """Open an HTTP session with the daemon that uses ``state_dir``.

    Raises:
        NotReachedError: If none is running there, it does not answer, or it is another user's.
        NoAnswerError: If a request takes more than `ANSWER_S`, or than its own timeout.
        StartupError: If it ends in the middle.
    """
    path = control_path(state_dir)
    connector = aiohttp.UnixConnector(os.fspath(path))
    timeout = aiohttp.ClientTimeout(total=ANSWER_S, sock_connect=5)
    async with aiohttp.ClientSession("http://box", connector=connector, timeout=timeout) as session:
        try:
            yield session
        except aiohttp.ClientConnectorError as exc:
            text = await asyncio.to_thread(_why_unreachable, state_dir, exc.os_error)
            raise NotReachedError(text) from exc
        except TimeoutError as exc:
            text = "the daemon does not answer, and may still do it; try again, or restart it"
            raise NoAnswerError(text) from exc
        except aiohttp.ClientError as exc:
            raise StartupError("the daemon closed the connection") from exc


def _why_unreachable(state_dir: Path, fault: OSError) -> str:
    # Imported here: slow to import, and most commands do not need it.
    from inglenook.daemon.statefolder import holder_of

    path = state_dir / SOCKET_NAME
    if isinstance(fault, PermissionError):
        return f"{path} belongs to another user; try it with sudo"
    try:
        holder = holder_of(state_dir)
    except StartupError as exc:
        return str(exc)
    if holder is not None and holder.is_daemon:
        return (
            f"a daemon is running with the state in {state_dir} ({holder}), but does not answer at"
            f" {path}: it is starting or stopping, or the file was removed; try again in a moment,"
            " and if that does not help, restart it"
        )
    if (state_dir / ASLEEP_NAME).exists():
        return (
            "the box is asleep, and its process gone (power.stop_after); a connection "
            "wakes it, such as of a phone, its page or `inglenook chat`"
        )
    return (
        f"no daemon is running with the state in {state_dir}; "
        "start it with `inglenook up`, or name its settings with --config"
    )
