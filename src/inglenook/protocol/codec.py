"""Frames to messages and back, within limits. Kind: rules."""

from __future__ import annotations

from typing import Any

import msgspec

from inglenook.errors import Code, Problem
from inglenook.protocol.messages import FromPhone, ToPhone

#: A frame from a phone, bytes of UTF-8.
FRAME_BYTES_MAX = 256 * 1024

#: Text of one frame to a phone, bytes of UTF-8; clients' own limit is often 1 MiB of JSON.
TEXT_BYTES_MAX = 32 * 1024

#: Ids and keys that phones choose.
ID_CHARACTERS_MAX = 128

_decode = msgspec.json.Decoder(FromPhone).decode
_decode_object = msgspec.json.Decoder(dict[str, Any]).decode
_encode = msgspec.json.Encoder().encode

_TYPES = ("auth", "cancel", "generate", "ping", "prepare", "resume")


class BadMessage(Problem):
    """A frame that is no JSON object at all: whoever sends it does not speak the protocol."""


def decode(frame: str) -> FromPhone:
    """Read one frame.

    Raises:
        BadMessage: If it is not one JSON object; the connection should close with 4400.
        Problem: `Code.BAD_REQUEST` if it is one, but no message of ours; nothing else is harmed.
    """
    try:
        data = frame.encode()
    except UnicodeEncodeError:
        raise BadMessage(Code.BAD_REQUEST, "The frame is not valid UTF-8 text.") from None
    try:
        message: FromPhone = _decode(data)
    except msgspec.ValidationError as exc:
        raise _explain(data, exc) from None
    except (msgspec.DecodeError, RecursionError):
        raise BadMessage(Code.BAD_REQUEST, "The frame is not one JSON object.") from None
    for name in ("id", "idempotency_key", "response_id"):
        value = getattr(message, name, None)
        if value is not None and not 0 < len(value) <= ID_CHARACTERS_MAX:
            text = f"'{name}' must have 1 to {ID_CHARACTERS_MAX} characters."
            raise Problem(Code.BAD_REQUEST, text)
    return message


def encode(message: ToPhone) -> str:
    """Write one frame."""
    return _encode(message).decode()


def id_of(frame: str) -> str | None:
    """Find the id of a frame that could not be read as a message, so that its error can name it."""
    try:
        value = _decode_object(frame.encode()).get("id")
    except (msgspec.MsgspecError, RecursionError, UnicodeEncodeError):
        return None
    return value if isinstance(value, str) and 0 < len(value) <= ID_CHARACTERS_MAX else None


def _explain(data: bytes, exc: msgspec.ValidationError) -> Problem:
    try:
        kind = _decode_object(data).get("type")
    except (msgspec.MsgspecError, RecursionError):
        return BadMessage(Code.BAD_REQUEST, "The frame is not one JSON object.")
    if kind not in _TYPES:
        known = ", ".join(_TYPES)
        return Problem(Code.BAD_REQUEST, f"'type' must be one of {known}.")
    # msgspec's sentence names the field and the type it wants, and nothing of ours or theirs.
    return Problem(Code.BAD_REQUEST, f"In '{kind}': {exc}.")
