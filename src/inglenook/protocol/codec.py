"""Frames to messages and back, within limits. Kind: rules."""

from __future__ import annotations

from typing import Any, get_args

import msgspec

from inglenook.common.errors import Code, Problem
from inglenook.protocol.messages import FromPhone, ToPhone
from inglenook.protocol.values import (
    NESTING_MAX,
    TOO_DEEP,
    NestedTooDeeplyError,
    find_fault,
    is_nested_too_deeply,
    mended,
    read,
    read_leading,
)

#: A frame from a phone, bytes of UTF-8.
FRAME_BYTES_MAX = 256 * 1024

#: Text of one frame to a phone, bytes of UTF-8; clients' own limit is often 1 MiB of JSON.
TEXT_BYTES_MAX = 32 * 1024

#: Ids and keys that phones choose.
ID_CHARACTERS_MAX = 128

_decode = msgspec.json.Decoder(FromPhone).decode
_decode_object = msgspec.json.Decoder(dict[str, Any]).decode
_encode = msgspec.json.Encoder().encode

#: The fields of each type of message; others are ignored, whatever they hold.
_FIELDS = {
    str(info.tag): {info.tag_field, *(field.encode_name for field in info.fields)}
    for info in (msgspec.inspect.type_info(kind) for kind in get_args(FromPhone))
    if isinstance(info, msgspec.inspect.StructType)
}


class BadMessage(Problem):
    """A frame that is no JSON object at all: its sender does not speak the protocol."""


def decode(frame: str) -> FromPhone:
    """Read one frame.

    Half an emoji becomes U+FFFD where it is text for people to read: in the contents of a
    request's messages and in what the phone's program calls itself. Elsewhere it is refused.

    Raises:
        BadMessage: If it is not one JSON object; the connection should close with 4400.
        Problem: `Code.BAD_REQUEST` if it is one, but no message of ours; nothing else is harmed.
    """
    try:
        message: FromPhone = _decode(frame)
    except (msgspec.MsgspecError, RecursionError, UnicodeEncodeError) as exc:
        message = _decode_again(frame, exc)
    for name in ("id", "idempotency_key", "response_id"):
        value = getattr(message, name, None)
        if value is not None and not 0 < len(value) <= ID_CHARACTERS_MAX:
            text = f"'{name}' must have 1 to {ID_CHARACTERS_MAX} characters."
            raise Problem(Code.BAD_REQUEST, text)
    # Few frames have that many brackets at all.
    nests = frame.count("[") + frame.count("{") > NESTING_MAX
    if nests and is_nested_too_deeply(getattr(message, "request", None)):
        raise Problem(Code.BAD_REQUEST, f"{TOO_DEEP} - at `$.request`.")
    return message


def encode(message: ToPhone) -> str:
    """Write one frame."""
    return _encode(message).decode()


def id_of(frame: str) -> str | None:
    """Find the id of a frame that could not be read as a message, so that its error can name it."""
    try:
        value = _decode_object(frame).get("id")
    except (msgspec.MsgspecError, RecursionError, UnicodeEncodeError):
        value = read_leading(frame).get("id")
    if not isinstance(value, str) or find_fault(value) is not None:
        return None
    return value if 0 < len(value) <= ID_CHARACTERS_MAX else None


def _decode_again(frame: str, exc: Exception) -> FromPhone:
    """Read a frame that the decoder does not take, to say why, or to mend what can be mended."""
    try:
        members = read(frame)
    except NestedTooDeeplyError:
        if not frame.lstrip().startswith("{"):
            raise _not_ours() from None
        raise Problem(Code.BAD_REQUEST, f"{TOO_DEEP}.") from None
    except ValueError:
        raise _not_ours() from None
    if not isinstance(members, dict):
        raise _not_ours()
    kind = members.get("type")
    fields = _FIELDS.get(kind) if isinstance(kind, str) else None
    if fields is None:
        raise Problem(Code.BAD_REQUEST, f"'type' must be one of {', '.join(sorted(_FIELDS))}.")
    members = _mended({name: value for name, value in members.items() if name in fields})
    fault = find_fault(members)
    if fault is not None:
        raise Problem(Code.BAD_REQUEST, f"In '{kind}': {fault}.")
    try:
        message: FromPhone = msgspec.convert(members, FromPhone)
    except msgspec.ValidationError as invalid:
        # Its sentence names the field and the type it wants, and nothing of ours or theirs.
        raise Problem(Code.BAD_REQUEST, f"In '{kind}': {invalid}.") from exc
    return message


def _not_ours() -> BadMessage:
    return BadMessage(Code.BAD_REQUEST, "The frame is not one JSON object.")


def _mended(members: dict[str, Any]) -> dict[str, Any]:
    """The same with whole characters in the texts that people read."""
    client, request = members.get("client"), members.get("request")
    if isinstance(client, dict):
        members["client"] = {name: _mended_text(value) for name, value in client.items()}
    messages = request.get("messages") if isinstance(request, dict) else None
    for message in messages if isinstance(messages, list) else ():
        if isinstance(message, dict) and "content" in message:
            message["content"] = _mended_content(message["content"])
    return members


def _mended_content(content: Any) -> Any:
    if not isinstance(content, list):
        return _mended_text(content)
    return [
        {name: _mended_text(value) if name == "text" else value for name, value in part.items()}
        if isinstance(part, dict)
        else part
        for part in content
    ]


def _mended_text(value: Any) -> Any:
    return mended(value) if isinstance(value, str) else value
