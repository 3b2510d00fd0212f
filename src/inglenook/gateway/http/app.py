"""Every path of the HTTP door. Kind: hands."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Literal

from aiohttp import web

from inglenook.auth.devices import Scope
from inglenook.auth.network import AddressScope
from inglenook.common.errors import Code, Problem, StartupError
from inglenook.engine.interface import EnginePhase
from inglenook.gateway.connection_table import peer_group
from inglenook.gateway.context import ACCESS, BOX, CHAT, METRICS, WAKE, BoxInfo, GatewayContext
from inglenook.gateway.guard import DEVICE, METRICS_PATH, guards, need_scope
from inglenook.gateway.http.body import read_json
from inglenook.gateway.http.completing import complete
from inglenook.gateway.http.errors import problem_response, retry_after
from inglenook.gateway.http.inference import inference
from inglenook.gateway.http.metrics import CONTENT_TYPE, load_exposition
from inglenook.gateway.http.page_files import PageFile
from inglenook.gateway.http.response_watch import WAITERS, Waiters
from inglenook.gateway.settings import EVERYWHERE
from inglenook.gateway.ws.connections import PhoneConnections
from inglenook.protocol.codec import FRAME_BYTES_MAX

log = logging.getLogger(__name__)

#: The protocols this version serves, for ``/.well-known/inglenook`` and the mDNS record.
PROTOCOLS: tuple[Literal["ws", "oai", "oll"], ...] = ("ws",)

#: ``POST /pair`` needs a few hundred bytes.
_PAIR_BYTES_MAX = 4096


def make_app(
    context: GatewayContext, phones: PhoneConnections, pages: Mapping[str, PageFile]
) -> web.Application:
    """Build the application.

    Args:
        context: What the handlers may use.
        phones: Takes the WebSockets.
        pages: The page's files by path.
    """
    app = web.Application(client_max_size=FRAME_BYTES_MAX, middlewares=guards(frozenset(pages)))
    context.install(app)
    app[WAITERS] = Waiters()
    app.on_shutdown.append(app[WAITERS].stop)
    app.router.add_get("/ws", phones.serve)
    app.router.add_get("/healthz", healthz)
    app.router.add_get("/.well-known/inglenook", well_known)
    app.router.add_post("/pair", pair)
    app.router.add_get("/v1/state", state)
    app.router.add_get(METRICS_PATH, metrics)
    app.router.add_post("/v1/inference", inference)
    app.router.add_post("/v1/wake", wake)
    for path, page in pages.items():
        app.router.add_get(path, page.serve)
    return app


async def healthz(request: web.Request) -> web.Response:
    """``GET /healthz``: 200 when an answer can start at once, else 503 with the reason.

    A model that is unloaded because no request needs it is loaded by the time one does.
    """
    box, refusal = request.app[BOX], request.app[CHAT].refusal
    phase, asleep = box.engine_state().phase, box.asleep()
    able = asleep or phase is EnginePhase.READY
    if able and refusal is None:
        return web.json_response({"status": "asleep" if asleep else "ok"})
    reason = "model_missing" if phase is EnginePhase.MISSING else str(phase)
    if able and refusal is not None:
        reason = refusal.code
    return web.json_response(
        {"status": "unavailable", "reason": reason},
        status=503,
        headers=None if refusal is None else retry_after(refusal),
    )


async def well_known(request: web.Request) -> web.Response:
    """``GET /.well-known/inglenook``: the box's identity, and how to talk to it."""
    box = request.app[BOX]
    identity = box.identity
    return web.json_response(
        {
            "server_id": identity.server_id,
            "name": box.name(),
            "version": identity.version,
            "protocols": PROTOCOLS,
            "ports": {"http": identity.port, "tls": identity.tls_port},
            "spki_sha256": identity.spki_sha256,
            "run_id": identity.run_id,
            "pairing_open": request.app[ACCESS].pairing.is_open,
        }
    )


async def pair(request: web.Request) -> web.Response:
    """``POST /pair``: a code or secret for a token."""
    box, pairing = request.app[BOX], request.app[ACCESS].pairing
    body = await read_json(request, _PAIR_BYTES_MAX)
    peer = peer_group(request.remote or "")
    device, token = await complete(pairing.pair(body, peer))
    return web.json_response(
        {
            "device_id": device.device_id,
            "token": token,
            "server_id": box.identity.server_id,
            "spki_sha256": box.identity.spki_sha256,
            "scopes": device.scopes,
            "expires": device.expires_at,
            "mac": box.macs,
            "urls": await urls(box),
        },
        headers={"Cache-Control": "no-store"},
    )


async def urls(box: BoxInfo) -> list[str]:
    """URLs of the page, best for typing first: the name, then every address."""
    host, port, scheme = box.identity.host, box.identity.port, "http"
    if not port:
        port, scheme = box.identity.tls_port, "https"
    if host not in EVERYWHERE:
        return [f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"]
    found = [f"{scheme}://{box.host_name()}.local:{port}"]
    usable = [address for address in await box.addresses() if address.is_for_devices]
    # At home first: a tunnel's address is of use only to devices that are away.
    for interface in (
        a.interface for a in sorted(usable, key=lambda a: a.link is AddressScope.TUNNEL)
    ):
        if interface.version == 4:
            found.append(f"{scheme}://{interface.ip}:{port}")
        elif not interface.is_link_local:
            found.append(f"{scheme}://[{interface.ip}]:{port}")
    return found


async def state(request: web.Request) -> web.Response:
    """``GET /v1/state``: as the ``state`` frame."""
    return web.json_response(request.app[BOX].snapshot())


async def metrics(request: web.Request) -> web.Response:
    """``GET /metrics``: for Prometheus on this machine, or with the scope for it."""
    if DEVICE in request:
        need_scope(request, Scope.METRICS)
    await asyncio.to_thread(load_exposition)
    text = request.app[METRICS]()
    return web.Response(body=text, headers={"Content-Type": CONTENT_TYPE})


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
