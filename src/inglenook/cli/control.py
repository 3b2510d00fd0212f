"""Talking to the daemon on this machine through its control socket."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp

from inglenook.errors import StartupError
from inglenook.gateway.control import SOCKET_NAME
from inglenook.power.settings import ASLEEP_NAME


@contextlib.asynccontextmanager
async def control_session(state_dir: Path) -> AsyncIterator[aiohttp.ClientSession]:
    """Open a session whose requests all go to the daemon that uses ``state_dir``.

    Raises:
        StartupError: If none is running there, or it belongs to somebody else.
    """
    path = state_dir / SOCKET_NAME
    connector = aiohttp.UnixConnector(os.fspath(path))
    # No limit in all: waiting for a person to pair takes as long as it takes.
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=5)
    async with aiohttp.ClientSession("http://box", connector=connector, timeout=timeout) as session:
        try:
            yield session
        except aiohttp.ClientConnectorError as exc:
            if isinstance(exc.os_error, PermissionError):
                text = f"{path} belongs to another user; try it with sudo"
            elif await asyncio.to_thread((state_dir / ASLEEP_NAME).exists):
                text = (
                    "the box is asleep, and its process gone (power.stop_after); whoever connects "
                    "to it wakes it, such as a phone, its page or `inglenook chat`"
                )
            else:
                text = (
                    f"no daemon is running with the state in {state_dir}; "
                    "start it with `inglenook up`, or name its settings with --config"
                )
            raise StartupError(text) from exc
        except aiohttp.ClientError as exc:
            raise StartupError("the daemon went away in the middle of this") from exc
