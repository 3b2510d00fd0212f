"""The command line's door: a Unix socket in the state folder. Kind: hands.

A process that may open the socket may do everything; the folder's permissions decide.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

from aiohttp import web

from inglenook.auth.devices import clean_name
from inglenook.common.errors import Code, Problem, StartupError
from inglenook.common.guarded import counts
from inglenook.gateway.context import ACCESS, BOX, Access, BoxInfo
from inglenook.gateway.control_devices import Revoke, add_device_routes
from inglenook.gateway.http.app import urls
from inglenook.gateway.http.completing import complete
from inglenook.gateway.http.errors import problem_response, speak_plainly

SOCKET_NAME = "control.sock"

_PURGE: web.AppKey[Callable[[], Awaitable[int]]] = web.AppKey("purge")

#: Linux's ``sun_path`` has 108 bytes, one of them for the end.
_PATH_BYTES_MAX = 107


def make_control_app(
    box: BoxInfo, access: Access, purge: Callable[[], Awaitable[int]], revoke: Revoke
) -> web.Application:
    """Build the application behind the socket.

    Args:
        box: Its identity and state.
        access: Pairs new devices.
        purge: Empties the prefix cache and returns how many bytes of files it had.
        revoke: Removes a device from the list and shuts it out.
    """
    app = web.Application(middlewares=[speak_plainly])
    app[BOX] = box
    app[ACCESS] = access
    app[_PURGE] = purge
    app.router.add_get("/state", _state)
    app.router.add_post("/pair/open", _open_pairing)
    app.router.add_get("/pair/wait", _wait_for_pairing)
    app.router.add_post("/cache/purge", _purge_cache)
    add_device_routes(app, access.allowlist, revoke)
    return app


def control_path(state_dir: Path) -> Path:
    """Where the socket of a state folder is.

    Raises:
        StartupError: If the path is too long for one.
    """
    path = state_dir / SOCKET_NAME
    if len(os.fsencode(path)) > _PATH_BYTES_MAX:
        raise StartupError(f"state_dir: {state_dir} is too long a path for a socket; use a shorter")
    return path


def bind_control_socket(path: Path) -> socket.socket:
    """Make the socket, for this user only; it replaces one that a dead daemon left.

    The caller knows by the lock of the state folder that the daemon before it is dead.

    Raises:
        OSError: If it cannot be made.
    """
    path.unlink(missing_ok=True)
    control = socket.socket(socket.AF_UNIX)
    try:
        control.bind(os.fspath(path))
        path.chmod(0o600)
    except OSError:
        control.close()
        raise
    return control


async def _state(request: web.Request) -> web.Response:
    """The ``state`` as phones have it, why there is no engine, and counts of unexpected errors."""
    box = request.app[BOX]
    more = {"engine_why": box.engine_state().why, "unexpected_errors": counts()}
    return web.json_response({**box.snapshot(), **more})


async def _open_pairing(request: web.Request) -> web.Response:
    """Open a window; returns its code, its secret and where phones reach the page."""
    box = request.app[BOX]
    name = request.query.get("name")
    try:
        window = request.app[ACCESS].pairing.open(None if name is None else clean_name(name))
    except Problem as problem:
        return problem_response(problem)
    closes_in_s = window.closes_at - asyncio.get_running_loop().time()
    return web.json_response(
        {
            "code": window.shown_code,
            "secret": window.secret,
            "closes_in_s": closes_in_s,
            "server_id": box.identity.server_id,
            "spki_sha256": box.identity.spki_sha256,
            "urls": await urls(box),
        }
    )


async def _wait_for_pairing(request: web.Request) -> web.Response:
    """Wait until the window of this ``code`` closes; returns the device it paired, or null."""
    device = await request.app[ACCESS].pairing.wait_closed(request.query.get("code"))
    return web.json_response(
        None if device is None else {"device_id": device.device_id, "name": device.name}
    )


async def _purge_cache(request: web.Request) -> web.Response:
    """Empty the prefix cache; returns how much was on the disk."""
    try:
        freed_bytes = await complete(request.app[_PURGE]())
    except OSError as exc:
        text = f"{exc.filename} cannot be removed: {exc.strerror}"
        return problem_response(Problem(Code.INTERNAL, text))
    return web.json_response({"freed_bytes": freed_bytes})
