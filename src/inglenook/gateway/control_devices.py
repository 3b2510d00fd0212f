"""The part of the control socket that changes the list of paired devices. Kind: hands.

A change made here is in force when the call returns; one made to the file, within a second.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeAlias, TypeVar

from aiohttp import web

from inglenook.auth.allowlist import Allowlist
from inglenook.auth.devices import Device, parse_scopes
from inglenook.common.errors import Code, Problem, StartupError
from inglenook.gateway.http.completing import complete

_T = TypeVar("_T")

#: Removes a device by id or name and shuts it out; raises as `Allowlist.revoke` does.
Revoke: TypeAlias = Callable[[str], Awaitable[Device]]

_ALLOWLIST = web.AppKey("allowlist", Allowlist)
_REVOKE: web.AppKey[Revoke] = web.AppKey("revoke")


def add_device_routes(app: web.Application, allowlist: Allowlist, revoke: Revoke) -> None:
    """Add ``/devices/add``, ``revoke``, ``rename`` and ``thinking``; each answers with the device.

    Args:
        app: The control application.
        allowlist: The list.
        revoke: Removes a device and shuts it out.
    """
    app[_ALLOWLIST] = allowlist
    app[_REVOKE] = revoke
    app.router.add_post("/devices/add", _add)
    app.router.add_post("/devices/revoke", _revoke)
    app.router.add_post("/devices/rename", _rename)
    app.router.add_post("/devices/thinking", _set_thinking)


async def _add(request: web.Request) -> web.Response:
    """Add a device of this ``name``; the answer has its token, too."""
    scopes = parse_scopes(_given(request, "scopes").split(","))
    try:
        expires_at = float(request.query["expires_at"]) if "expires_at" in request.query else None
    except ValueError:
        raise Problem(Code.BAD_REQUEST, "expires_at is no number.") from None
    name, thinking = _given(request, "name"), _given(request, "thinking")
    device, token = await _change(
        lambda allowlist: allowlist.add(name, scopes, expires_at, thinking=thinking), request
    )
    return _answer(device, token)


async def _revoke(request: web.Request) -> web.Response:
    """Shut out a ``device``, by id or name."""
    return _answer(await _whole(request.app[_REVOKE](_given(request, "device"))))


async def _rename(request: web.Request) -> web.Response:
    """Give a ``device`` another ``name``."""
    which, name = _given(request, "device"), _given(request, "name")
    return _answer(await _change(lambda allowlist: allowlist.rename(which, name), request))


async def _set_thinking(request: web.Request) -> web.Response:
    """Set ``thinking`` of a ``device``."""
    which, thinking = _given(request, "device"), _given(request, "thinking")
    return _answer(
        await _change(lambda allowlist: allowlist.set_thinking(which, thinking), request)
    )


def _given(request: web.Request, parameter: str) -> str:
    try:
        return request.query[parameter]
    except KeyError:
        raise Problem(Code.BAD_REQUEST, f"{parameter} is missing.") from None


async def _change(change: Callable[[Allowlist], _T], request: web.Request) -> _T:
    return await _whole(asyncio.to_thread(change, request.app[_ALLOWLIST]))


async def _whole(change: Awaitable[_T]) -> _T:
    """Finish a change even if the caller hangs up."""
    try:
        return await complete(change)
    except StartupError as exc:
        raise Problem(Code.INTERNAL, str(exc)) from exc


def _answer(device: Device, token: str | None = None) -> web.Response:
    body = {"device_id": device.device_id, "name": device.name, "thinking": device.thinking}
    return web.json_response(body if token is None else {**body, "token": token})
