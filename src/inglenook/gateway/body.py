"""Reads what a client sent beside its request. Kind: hands."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from aiohttp import web

from inglenook.errors import Code, Problem

#: The bodies here are small; whoever takes longer to send one holds a connection and nothing else.
_BODY_S = 10.0


async def read_json(request: web.Request) -> Any:
    """Read the body as JSON.

    Raises:
        Problem: `Code.BAD_REQUEST` if it does not come, or is none.
    """
    try:
        async with asyncio.timeout(_BODY_S):
            body = await request.read()
        # Not the standard library's, which lets lone surrogates and NaN pass.
        return msgspec.json.decode(body)
    except TimeoutError:
        raise Problem(Code.BAD_REQUEST, "The body did not come in time.") from None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, web.RequestPayloadError):
        raise Problem(Code.BAD_REQUEST, "The body is not JSON.") from None
