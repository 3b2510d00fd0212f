"""``POST /v1/wake``: wakes another machine. Kind: hands."""

from __future__ import annotations

import logging

from aiohttp import web

from inglenook.auth.devices import Scope
from inglenook.common.errors import Code, Problem, StartupError
from inglenook.gateway.context import WAKE
from inglenook.gateway.guard import need_scope
from inglenook.gateway.http.body import read_json
from inglenook.gateway.http.completing import complete
from inglenook.gateway.http.errors import problem_response

log = logging.getLogger(__name__)


async def wake(request: web.Request) -> web.Response:
    """Wake a machine of ``wake.targets``; 202, because a magic packet is not acknowledged."""
    device = need_scope(request, Scope.WAKE)
    body = await read_json(request)
    name = body.get("name") if isinstance(body, dict) else None
    if not isinstance(name, str):
        raise Problem(Code.BAD_REQUEST, "The body must be an object with a 'name'.")
    try:
        interfaces = await complete(request.app[WAKE](name))
    except LookupError:
        text = "This box wakes no machine of that name; its owner lists them in 'wake.targets'."
        return problem_response(Problem(Code.BAD_REQUEST, text), 404)
    except StartupError as exc:
        log.warning("%s could not be woken for %s: %s", name, device.device_id, exc)
        text = "The box could not send to the network; its log says why."
        raise Problem(Code.INTERNAL, text) from exc
    log.info("called %s for device %s", name, device.device_id)
    return web.json_response({"name": name, "interfaces": interfaces}, status=202)
