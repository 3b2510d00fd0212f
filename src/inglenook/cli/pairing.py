"""Pairing this terminal: by the box's device list on its own machine, elsewhere by a code."""

from __future__ import annotations

import json
import socket
from typing import Annotated, Any

import aiohttp
import msgspec

from inglenook.auth.allowlist import Allowlist
from inglenook.auth.devices import NAME_CHARACTERS_MAX, Scope
from inglenook.auth.identity_files import server_id
from inglenook.client.known_boxes import KnownBox, from_pairing
from inglenook.client.route import Route, refused
from inglenook.client.tls_pin import key_fingerprint
from inglenook.client.tokens import BoxToken
from inglenook.common.errors import Code, Problem, StartupError
from inglenook.common.private_files import read_private
from inglenook.config import Config
from inglenook.discovery.box import BoxHello
from inglenook.discovery.hello import read_bounded

_ASK_S = 10.0

#: A pairing's answer has some 500 bytes.
_BYTES_MAX = 65_536


class _Paired(msgspec.Struct, frozen=True):
    """The required fields of ``POST /pair``'s answer."""

    token: str
    server_id: str
    spki_sha256: Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9_-]{43}$")] | None = None


def terminal_name() -> str:
    """This terminal's name in the box's device list."""
    # A host name alone may be as long as a device's name.
    return f"Terminal on {socket.gethostname()}"[:NAME_CHARACTERS_MAX]


def is_own_box(config: Config, box: BoxHello) -> bool:
    """Whether a box has the id of the state folder that this user can read."""
    try:
        # Checked first: `server_id` would make one.
        known = (config.state_dir / "server_id").is_file()
        return known and server_id(config.state_dir) == box.server_id
    except (StartupError, OSError):
        return False


def own_key(config: Config) -> str | None:
    """Fingerprint of the TLS key in the state folder; None if the box there speaks no TLS."""
    if not config.listen.tls_port:
        return None
    try:
        return key_fingerprint(read_private(config.state_dir / "tls.crt"))
    except (OSError, ValueError):
        return None


def pair_with_own_box(config: Config) -> BoxToken | None:
    """Add this terminal to the device list; None if this user may not write it."""
    try:
        allowlist = Allowlist(config.state_dir / "devices.json")
        allowlist.load()
        token = allowlist.add(terminal_name(), (Scope.CHAT,), platform="terminal")[1]
    except (StartupError, OSError):
        return None
    return BoxToken(token, own_key(config))


async def pair_by_code(route: Route, box: BoxHello, code: str) -> tuple[BoxToken, KnownBox | None]:
    """Pair with the code that the box shows; returns the token, and the box to remember.

    Raises:
        Problem: If the code is not right.
        StartupError: If the box goes away, does not answer as one, or has another TLS key.
    """
    answer = await _offer(route, code)
    try:
        reply = msgspec.convert(answer, _Paired)
    except msgspec.ValidationError as exc:
        raise _no_box(route) from exc
    if reply.server_id != box.server_id:
        raise StartupError(f"another box answers at {route.url} than a moment before; try again")
    if route.pin is None:
        # Nothing proves that the named key is the box's.
        return BoxToken(reply.token), from_pairing(box.name, answer)
    if not (reply.spki_sha256 or "").startswith(route.pin):
        raise StartupError(
            f"the box says that its TLS key is another than the one shown at {route.url}, so "
            "something stands between; use its own address, as `inglenook find` shows it"
        )
    return BoxToken(reply.token, reply.spki_sha256), from_pairing(box.name, answer)


async def _offer(route: Route, code: str) -> dict[str, Any]:
    body = {"code": code, "device_name": terminal_name(), "platform": "terminal"}
    timeout = aiohttp.ClientTimeout(total=_ASK_S)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.post(
                f"{route.url}/pair",
                json=body,
                ssl=True if route.tls is None else route.tls,
                allow_redirects=False,
            ) as reply,
        ):
            answer = json.loads(await read_bounded(reply, _BYTES_MAX))
    except aiohttp.ClientConnectorCertificateError as exc:
        raise refused(route, exc.certificate_error) from exc
    except (aiohttp.ClientError, TimeoutError) as exc:
        raise StartupError(f"the box at {route.url} closed the connection") from exc
    except (ValueError, RecursionError) as exc:
        raise _no_box(route) from exc
    if not isinstance(answer, dict):
        raise _no_box(route)
    if "error" in answer:
        raise _refusal(answer["error"])
    return answer


def _no_box(route: Route) -> StartupError:
    return StartupError(f"what answers at {route.url} does not pair as a box does")


def _refusal(error: Any) -> Problem:
    """The box's error; in words for people even if it is malformed."""
    fields = error if isinstance(error, dict) else {}
    codes = {str(code): code for code in Code}
    code = codes.get(str(fields.get("code")), Code.INTERNAL)
    return Problem(code, str(fields.get("message", "The box refused to pair.")))
