"""Paired devices, and whether a token belongs to one. Kind: rules."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from inglenook.auth import tokens
from inglenook.common.errors import Code, Problem

#: More than any household has; bounds the file and each search through it.
DEVICES_MAX = 256

#: Number of removed tokens that are still answered with "revoked", not "not paired".
REVOKED_MAX = 64

NAME_CHARACTERS_MAX = 64

#: Last second of the year 9999, where Python's calendar ends.
LATEST_EXPIRY = 253_402_300_799.0

#: Valid values of `Device.thinking`.
THINKING = re.compile(r"auto|on|off|[1-9][0-9]{0,5}")

_STRANGER = "This device is not paired with the box."


class Scope(StrEnum):
    """Permission of a device; none includes another."""

    CHAT = "chat"
    MODELS = "models"
    WAKE = "wake"
    ADMIN = "admin"
    METRICS = "metrics"


@dataclass(frozen=True, slots=True)
class Device:
    """A paired device. Times are seconds since 1970, UTC.

    Attributes:
        device_id: 8 characters, unique; part of its token.
        name: Chosen by people, unique regardless of case.
        platform: The device's own description, such as ``iOS``; may be empty.
        token_sha256: Hash of its token, 64 hex digits.
        scopes: What it may do.
        created_at: When it was paired.
        expires_at: When its token expires; None is never.
        last_seen_at: Its last visit, to about ten minutes; None is never.
        thinking: Whether the model thinks for it, unless a request says otherwise: ``auto`` (the
            box's setting), ``on``, ``off``, or the highest number of tokens of thought.
    """

    device_id: str
    name: str
    platform: str
    token_sha256: str = field(repr=False)
    scopes: tuple[Scope, ...]
    created_at: float
    expires_at: float | None = None
    last_seen_at: float | None = None
    thinking: str = "auto"


@dataclass(frozen=True, slots=True)
class Roster:
    """Content of the allowlist.

    Attributes:
        devices: At most `DEVICES_MAX`, oldest first.
        revoked: Token hashes of removed devices, the last `REVOKED_MAX`, oldest first.
    """

    devices: tuple[Device, ...] = ()
    revoked: tuple[str, ...] = ()

    def get(self, device_id: str) -> Device | None:
        """Return the device with this id."""
        return next((device for device in self.devices if device.device_id == device_id), None)

    def find(self, id_or_name: str) -> Device:
        """Return the one device with this id, or with this name in any case.

        Raises:
            Problem: If there is none, or more than one.
        """
        wanted = id_or_name.strip().casefold()
        found = [
            device
            for device in self.devices
            if wanted in (device.device_id, device.name.casefold())
        ]
        if len(found) == 1:
            return found[0]
        if found:
            listed = ", ".join(f"{device.device_id} ({device.name})" for device in found)
            raise Problem(Code.BAD_REQUEST, f"{id_or_name!r} could mean {listed}; give the id.")
        raise Problem(
            Code.BAD_REQUEST, f"No device is called {id_or_name!r}; `inglenook devices` lists them."
        )

    def with_device(self, device: Device) -> Roster:
        """Add a device; if its name is taken, it gets ``2``, ``3``, … after it.

        Raises:
            Problem: If the roster is full.
        """
        if len(self.devices) >= DEVICES_MAX:
            raise Problem(
                Code.FORBIDDEN,
                f"This box already knows {DEVICES_MAX} devices; revoke one you no longer use.",
            )
        taken = {known.name.casefold() for known in self.devices}
        name, number = device.name, 1
        while name.casefold() in taken:
            number += 1
            suffix = f" {number}"
            name = device.name[: NAME_CHARACTERS_MAX - len(suffix)].rstrip() + suffix
        return replace(self, devices=(*self.devices, replace(device, name=name)))

    def without(self, device: Device) -> Roster:
        """Remove a device, and record its token as revoked."""
        return Roster(
            tuple(known for known in self.devices if known.device_id != device.device_id),
            (*self.revoked, device.token_sha256)[-REVOKED_MAX:],
        )

    def renamed(self, device: Device, name: str) -> Roster:
        """Rename a device; the name is one that `clean_name` returned.

        Raises:
            Problem: If another device has it.
        """
        for known in self.devices:
            if known.device_id != device.device_id and known.name.casefold() == name.casefold():
                raise Problem(Code.BAD_REQUEST, f"Another device is already called {known.name!r}.")
        return self.updated(replace(device, name=name))

    def updated(self, device: Device) -> Roster:
        """Replace the device with the same id."""
        return replace(
            self,
            devices=tuple(
                device if known.device_id == device.device_id else known for known in self.devices
            ),
        )


def check(roster: Roster, token: str, now: float) -> Device | Problem:
    """Return the device of a token, or the reason why there is none.

    Args:
        roster: The paired devices.
        token: As it came from the network.
        now: Seconds since 1970, UTC.
    """
    device_id = tokens.parse(token)
    if device_id is None:
        return Problem(Code.NOT_PAIRED, _STRANGER)
    device = roster.get(device_id)
    if device is not None and tokens.matches(device.token_sha256, token):
        if device.expires_at is not None and device.expires_at <= now:
            return Problem(
                Code.NOT_PAIRED, "This device's pairing has expired; pair it with the box again."
            )
        return device
    if any(tokens.matches(sha256, token) for sha256 in roster.revoked):
        return Problem(Code.REVOKED, "This device was removed from the box; pair it again.")
    return Problem(Code.NOT_PAIRED, _STRANGER)


def clean_name(text: str) -> str:
    """Tidy a name for a device: 1 to `NAME_CHARACTERS_MAX` printable characters, single spaces.

    Raises:
        Problem: If nothing valid is left.
    """
    name = " ".join(text.split())
    if not name or len(name) > NAME_CHARACTERS_MAX or not name.isprintable():
        raise Problem(
            Code.BAD_REQUEST,
            f"A device name has 1 to {NAME_CHARACTERS_MAX} printable characters.",
        )
    return name


def clean_platform(text: str) -> str:
    """Tidy a device's own description; never refuses, because no person chose it."""
    return "".join(char for char in text if char.isprintable())[:NAME_CHARACTERS_MAX]


def check_thinking(text: str) -> str:
    """Return the text if it is a valid `Device.thinking`.

    Raises:
        Problem: If it is not.
    """
    if THINKING.fullmatch(text) is None:
        raise Problem(
            Code.BAD_REQUEST,
            f"{text!r} is not auto, on, off, or a number of tokens from 1 to 999999.",
        )
    return text


def parse_scopes(names: Sequence[str]) -> tuple[Scope, ...]:
    """Read scopes as people write them; repeats are dropped.

    Raises:
        Problem: If one is unknown or none is given.
    """
    known = [scope.value for scope in Scope]
    for name in names:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(known)}."
            raise Problem(Code.BAD_REQUEST, f"{name!r} is not a scope; {hint}")
    if not names:
        raise Problem(Code.BAD_REQUEST, f"A device needs a scope; known are {', '.join(known)}.")
    return tuple(dict.fromkeys(Scope(name) for name in names))
