"""The allowlist as JSON that people can read; strictly checked when read. Kind: rules.

An entry with an unknown field counts as damaged: this version would drop the field at its next
save, and a newer one may depend on it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Annotated, Literal, TypeVar

import msgspec

from inglenook.auth.devices import (
    DEVICES_MAX,
    LATEST_EXPIRY,
    NAME_CHARACTERS_MAX,
    REVOKED_MAX,
    THINKING,
    Device,
    Roster,
    Scope,
)

T = TypeVar("T")

#: Version of the file's format.
VERSION: Literal[1] = 1

_Moment = Annotated[datetime, msgspec.Meta(tz=True)]
_Sha256 = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]


class _Entry(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    device_id: Annotated[str, msgspec.Meta(pattern="^[a-z2-7]{8}$")]
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=NAME_CHARACTERS_MAX)]
    platform: Annotated[str, msgspec.Meta(max_length=NAME_CHARACTERS_MAX)]
    token_sha256: _Sha256
    scopes: tuple[Scope, ...]
    created_at: _Moment
    expires_at: _Moment | None
    last_seen_at: _Moment | None
    thinking: Annotated[str, msgspec.Meta(pattern=f"^({THINKING.pattern})$")] = "auto"


class _File(msgspec.Struct, forbid_unknown_fields=True):
    version: Literal[1]
    devices: Annotated[list[_Entry], msgspec.Meta(max_length=DEVICES_MAX)]
    revoked: Annotated[list[_Sha256], msgspec.Meta(max_length=REVOKED_MAX)]


def encode(roster: Roster) -> bytes:
    """Encode the roster as JSON, times as ISO 8601 in UTC to the second."""
    entries = [
        _Entry(
            device_id=device.device_id,
            name=device.name,
            platform=device.platform,
            token_sha256=device.token_sha256,
            scopes=device.scopes,
            created_at=_moment(device.created_at),
            expires_at=None if device.expires_at is None else _moment(device.expires_at),
            last_seen_at=None if device.last_seen_at is None else _moment(device.last_seen_at),
            thinking=device.thinking,
        )
        for device in roster.devices
    ]
    compact = msgspec.json.encode(
        _File(version=VERSION, devices=entries, revoked=list(roster.revoked))
    )
    return msgspec.json.format(compact, indent=2) + b"\n"


def decode(data: bytes) -> Roster:
    """Decode the output of `encode`, maybe edited by a person.

    Raises:
        ValueError: With what is wrong and where.
    """
    return read(msgspec.json.decode(data))


def read(content: object) -> Roster:
    """Read the JSON content of the file.

    Raises:
        ValueError: With what is wrong and where.
    """
    file = msgspec.convert(content, _File)
    devices = tuple(_device(entry) for entry in file.devices)
    if len({device.device_id for device in devices}) < len(devices):
        raise ValueError("two devices have the same device_id")
    return Roster(devices, tuple(file.revoked))


def salvage(content: Mapping[str, object]) -> Roster:
    """Read the whole entries of a damaged file; of two with one id, neither."""
    devices = list(
        _valid(content.get("devices"), lambda entry: _device(msgspec.convert(entry, _Entry)))
    )
    times = Counter(device.device_id for device in devices)
    return Roster(
        tuple(device for device in devices if times[device.device_id] == 1)[:DEVICES_MAX],
        tuple(_valid(content.get("revoked"), lambda sha: msgspec.convert(sha, _Sha256)))[
            -REVOKED_MAX:
        ],
    )


def _valid(entries: object, convert: Callable[[object], T]) -> Iterator[T]:
    for entry in entries if isinstance(entries, list) else []:
        with suppress(ValueError):
            yield convert(entry)


def _device(entry: _Entry) -> Device:
    """Make the device of an entry.

    Raises:
        ValueError: If a name cannot be printed, or a date cannot be written.
    """
    device = Device(
        device_id=entry.device_id,
        name=entry.name,
        platform=entry.platform,
        token_sha256=entry.token_sha256,
        scopes=entry.scopes,
        created_at=entry.created_at.timestamp(),
        expires_at=None if entry.expires_at is None else entry.expires_at.timestamp(),
        last_seen_at=None if entry.last_seen_at is None else entry.last_seen_at.timestamp(),
        thinking=entry.thinking,
    )
    # Names are shown in terminals, where some characters are commands.
    if not (device.name + device.platform).isprintable():
        raise ValueError(f"device {device.device_id} has a name that cannot be printed")
    moments = (device.created_at, device.expires_at or 0, device.last_seen_at or 0)
    if not all(0 <= moment <= LATEST_EXPIRY for moment in moments):
        raise ValueError(f"device {device.device_id} has a date before 1970 or after 9999")
    return device


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(int(seconds), UTC)
