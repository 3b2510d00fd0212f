"""Reads the bodies of requests. Kind: hands."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from aiohttp import hdrs, web

from inglenook.common.errors import Code, Problem
from inglenook.protocol.values import TOO_DEEP, NestedTooDeeplyError, find_fault, mended, read

#: Bodies are small; a client that takes longer only holds its connection.
_BODY_S = 10.0

#: Members for people to read, in which half an emoji becomes U+FFFD. Elsewhere it is refused.
_PROSE = frozenset({"question", "device_name"})


async def read_json(request: web.Request, bytes_max: int | None = None) -> Any:
    """Read the body as JSON.

    Args:
        request: Of the client.
        bytes_max: Most bytes of the body; None is the application's own limit.

    Raises:
        HTTPRequestEntityTooLarge: If it is larger than any may be.
        Problem: `Code.BAD_REQUEST` if it does not arrive, is no JSON, or has a value in it that
            cannot be taken; the sentence says which.
    """
    if request.headers.get(hdrs.CONTENT_ENCODING, "identity").lower() != "identity":
        raise Problem(Code.BAD_REQUEST, "The body is compressed; send it as it is.")
    try:
        async with asyncio.timeout(_BODY_S):
            body = await (request.read() if bytes_max is None else _read(request, bytes_max))
    except TimeoutError:
        raise Problem(Code.BAD_REQUEST, "The body did not come in time.") from None
    except web.RequestPayloadError:
        raise Problem(Code.BAD_REQUEST, "The body is not what the headers say.") from None
    try:
        # Not the standard library's, which lets lone surrogates and NaN pass.
        return msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _read_again(body)


async def _read(request: web.Request, bytes_max: int) -> bytes:
    body = bytearray()
    async for chunk in request.content.iter_any():
        body += chunk
        if len(body) > bytes_max:
            text = f"The body is too large; here it may have {bytes_max} bytes."
            raise Problem(Code.BAD_REQUEST, text)
    return bytes(body)


def _read_again(body: bytes) -> Any:
    """Read a body that the decoder refuses, to say why, or to mend what can be mended."""
    try:
        value = read(body.decode())
    except UnicodeDecodeError:
        raise Problem(Code.BAD_REQUEST, "The body is not UTF-8.") from None
    except NestedTooDeeplyError:
        raise Problem(Code.BAD_REQUEST, f"The body has a wrong value: {TOO_DEEP}.") from None
    except ValueError:
        raise Problem(Code.BAD_REQUEST, "The body is not JSON.") from None
    if isinstance(value, dict):
        for name in _PROSE & value.keys():
            if isinstance(value[name], str):
                value[name] = mended(value[name])
    fault = find_fault(value)
    if fault is not None:
        raise Problem(Code.BAD_REQUEST, f"The body has a wrong value: {fault}.")
    return value
