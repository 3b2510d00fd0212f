"""Text form of the settings of sleep and waking. Kind: rules."""

from __future__ import annotations

import re

from inglenook.config.values import Kind
from inglenook.config.values import name as box_name
from inglenook.power.settings import AwakeHours, WakeTarget

_TIME = r"([01][0-9]|2[0-3]):([0-5][0-9])"
_HOURS = re.compile(rf"{_TIME}-{_TIME}")
_MAC = r"[0-9a-fA-F]{2}(?:[:-][0-9a-fA-F]{2}){5}"
_TARGET = re.compile(rf"(.+)=({_MAC})(?:/({_MAC}))?")

#: Shown in place of a password.
_MASKED = "**:**:**:**:**:**"


def _convert_hours(text: str) -> AwakeHours:
    found = _HOURS.fullmatch(text)
    if found is None:
        raise ValueError
    begin_hour, begin_min, end_hour, end_min = map(int, found.groups())
    hours = AwakeHours(begin_hour * 60 + begin_min, end_hour * 60 + end_min)
    if hours.begin_min == hours.end_min:
        raise ValueError
    return hours


def _write_hours(hours: AwakeHours) -> str:
    begin, end = divmod(hours.begin_min, 60), divmod(hours.end_min, 60)
    return f"{begin[0]:02}:{begin[1]:02}-{end[0]:02}:{end[1]:02}"


def _convert_target(text: str) -> WakeTarget:
    found = _TARGET.fullmatch(text)
    if found is None:
        raise ValueError
    name, mac, secure_on = found.groups()
    return WakeTarget(box_name.convert(name), _plain(mac), _plain(secure_on) if secure_on else None)


def _plain(mac: str) -> str:
    return mac.lower().replace("-", ":")


def _write_target(target: WakeTarget) -> str:
    password = f"/{_MASKED}" if target.secure_on else ""
    return f"{target.name}={target.mac}{password}"


hours = Kind(
    "hours such as 07:00-22:30, or 22:00-06:00 for those of the night", _convert_hours, _write_hours
)
wake_target = Kind(
    "a name and a MAC address such as Office=aa:bb:cc:dd:ee:ff, with the machine's SecureOn "
    "password after a slash if it wants one",
    _convert_target,
    _write_target,
)
