"""Asking who answers at an address."""

from __future__ import annotations

from dataclasses import dataclass

import aiohttp
import msgspec


@dataclass(frozen=True, slots=True)
class Hello:
    """What a box says of itself to anybody.

    Attributes:
        server_id: What it is recognised by.
        name: As people see it.
    """

    server_id: str
    name: str


async def who_answers(url: str, timeout_s: float) -> Hello | None:
    """Ask a box who it is; None if nobody answers there in time, or no box.

    A TLS key is not checked: no secret goes this way, and who needs certainty has the fingerprint.
    """
    timeout = aiohttp.ClientTimeout(total=timeout_s)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(f"{url}/.well-known/inglenook", ssl=False) as answer,
        ):
            return msgspec.json.decode(await answer.read(), type=Hello)
    except (aiohttp.ClientError, TimeoutError, ValueError):
        return None
