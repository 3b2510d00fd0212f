"""The first frames of a connection, which authenticate the phone. Kind: hands."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Final, NoReturn

from inglenook.auth.allowlist import Allowlist
from inglenook.auth.devices import Device
from inglenook.common.errors import Code, Problem
from inglenook.gateway.context import BoxInfo
from inglenook.gateway.ws.channel import FrameChannel
from inglenook.protocol.codec import BadMessage, decode
from inglenook.protocol.messages import Auth, AuthInvalid, AuthRequired, Client
from inglenook.protocol.session import CloseCode, Closing, Session

AUTH_S: Final = 10.0

#: Of a first frame: a longer one is not decoded at all, because strangers send it.
AUTH_CHARACTERS_MAX: Final = 4096


async def authenticate(
    channel: FrameChannel, session: Session, box: BoxInfo, allowlist: Allowlist
) -> tuple[Device, Client]:
    """Ask for a token; returns whose it is, and the program's own name.

    Raises:
        ConnectionOver: If the phone is gone, or has no token of a paired device.
    """
    await channel.send(AuthRequired(box.identity.server_id, box.name()))
    try:
        async with asyncio.timeout(AUTH_S):
            frame = await channel.receive()
    except TimeoutError:
        channel.leave(CloseCode.AUTH_TIMEOUT, "no auth within 10 seconds")
    try:
        if len(frame) > AUTH_CHARACTERS_MAX:
            raise Problem(Code.BAD_REQUEST, "An 'auth' is a short frame.")
        auth = decode(frame)
        session.receive(auth)
    except BadMessage as problem:
        channel.leave(CloseCode.BAD_MESSAGE, problem.text)
    except Problem as problem:
        text = f"The first message must be 'auth'. {problem.text}"
        await _refuse(channel, Problem(Code.NOT_PAIRED, text))
    except Closing:
        await _refuse(channel, Problem(Code.NOT_PAIRED, "The first message must be 'auth'."))
    assert isinstance(auth, Auth), "the session lets nothing else pass"
    verdict = await allowlist.check_fresh(auth.token, datetime.now(UTC).timestamp())
    if isinstance(verdict, Problem):
        await _refuse(channel, verdict)
    return verdict, auth.client


async def _refuse(channel: FrameChannel, problem: Problem) -> NoReturn:
    if problem.code is Code.INTERNAL:
        # The box's own fault: a phone that is told to be unknown forgets its token.
        channel.leave(CloseCode.FAULT, problem.code)
    await channel.send(AuthInvalid(problem.code, problem.text))
    channel.leave(CloseCode.NOT_AUTHORISED, problem.code)
