"""Reads ``/.well-known/inglenook`` of the box at an address. Kind: hands."""

from __future__ import annotations

import re
from typing import Annotated

import aiohttp
import msgspec

from inglenook.discovery.advert import clean_text
from inglenook.discovery.box import BoxHello

#: A box sends some 300 bytes; a longer answer is not a box's.
_BYTES_MAX = 65_536

_PIN = re.compile(r"[A-Za-z0-9_-]{43}")
_RUN_ID = re.compile(r"[0-9a-f]{8}")

_Port = Annotated[int, msgspec.Meta(ge=0, le=65535)]


class _Ports(msgspec.Struct, frozen=True):
    tls: _Port = 0


class _Said(msgspec.Struct, frozen=True):
    """The answer as it is on the wire."""

    server_id: str
    name: str
    ports: _Ports = _Ports()
    spki_sha256: str | None = None
    run_id: str | None = None


async def who_answers(url: str, timeout_s: float) -> BoxHello | None:
    """Return a box's public facts; None without an answer from a box in time.

    The TLS key is not checked: no secret is sent, and the answer has the fingerprint.
    """
    timeout = aiohttp.ClientTimeout(total=timeout_s)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(f"{url}/.well-known/inglenook", ssl=False, allow_redirects=False) as answer,
        ):
            said = msgspec.json.decode(await read_bounded(answer, _BYTES_MAX), type=_Said)
    except (aiohttp.ClientError, TimeoutError, ValueError, RecursionError):
        # The last is raised by JSON that is nested too deeply.
        return None
    pin = said.spki_sha256 if said.spki_sha256 and _PIN.fullmatch(said.spki_sha256) else None
    run_id = said.run_id if said.run_id and _RUN_ID.fullmatch(said.run_id) else None
    return BoxHello(said.server_id, clean_text(said.name), said.ports.tls, pin, run_id)


async def read_bounded(answer: aiohttp.ClientResponse, bytes_max: int) -> bytes:
    """Read the answer of an untrusted server.

    Raises:
        ValueError: If it is longer than ``bytes_max``.
    """
    data = bytearray()
    async for chunk in answer.content.iter_chunked(bytes_max):
        data += chunk
        if len(data) > bytes_max:
            raise ValueError(f"longer than {bytes_max} bytes")
    return bytes(data)
