"""Text forms of settings: text to values, and back. Kind: rules."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any, TypeVar

from inglenook.common.units import parse_bytes, parse_duration_s
from inglenook.config.yamltext import shown

#: RFC 6763 section 4.1.1: the longest name a service may announce.
_NAME_BYTES_MAX = 63

_WHOLE = re.compile(r"0|[1-9][0-9]{0,17}")
_HOST_NAME = re.compile(r"(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_-]+)*", re.ASCII)
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:]+\])(:[0-9]{1,5})?")

_Number = TypeVar("_Number", int, float)


@dataclass(frozen=True, slots=True)
class Kind:
    """A text form of values.

    Attributes:
        expects: The accepted forms, to follow "is not".
        convert: Returns the value of a text; raises ValueError or OverflowError.
        write: Returns what `yaml` writes for a value.
    """

    expects: str
    convert: Callable[[str], Any]
    write: Callable[[Any], Any] = lambda value: value

    def read(self, text: str) -> Any:
        """Return the value of a text.

        Raises:
            ValueError: With a sentence that says what to write instead.
        """
        try:
            return self.convert(text)
        except (ValueError, OverflowError):
            raise ValueError(f"{shown(text)} is not {self.expects}") from None


def whole(low: int, high: int, what: str = "a whole number") -> Kind:
    """Whole numbers between two limits, both included."""

    def convert(text: str) -> int:
        return _within(int(_matched(_WHOLE, text)), low, high)

    return Kind(f"{what} from {low} to {high}", convert)


def duration(low: str, high: str, zero: str = "") -> Kind:
    """Durations between two limits, both included.

    Args:
        low: Shortest.
        high: Longest.
        zero: What 0 means, if it is accepted as well.
    """

    def convert(text: str) -> float:
        value_s = parse_duration_s(text)
        if value_s == 0 and zero:
            return value_s
        return _within(value_s, parse_duration_s(low), parse_duration_s(high))

    also = f", or 0 for {zero}" if zero else ""
    return Kind(f"a duration from {low} to {high} with its unit{also}", convert, _write_duration)


def size(high: str) -> Kind:
    """Sizes up to a limit; 0 is off."""

    def convert(text: str) -> int:
        return _within(parse_bytes(text), 0, parse_bytes(high))

    expects = f"a size up to {high} with its unit, such as 512MiB, or 0 for off"
    return Kind(expects, convert, _write_size)


def choice(*words: str) -> Kind:
    """One of some words."""

    def convert(text: str) -> str:
        return words[words.index(text)]

    return Kind(" or ".join(words), convert)


def or_auto(kind: Kind) -> Kind:
    """The same, or ``auto``, which is None to the program."""

    def convert(text: str) -> Any:
        return None if text == "auto" else kind.convert(text)

    def write(value: Any) -> Any:
        return "auto" if value is None else kind.write(value)

    return Kind(f"auto or {kind.expects}", convert, write)


def _convert_boolean(text: str) -> bool:
    return ("false", "true").index(text.lower()) == 1


def _convert_name(text: str) -> str:
    if not text.strip() or not text.isprintable() or len(text.encode()) > _NAME_BYTES_MAX:
        raise ValueError
    return text.strip()


def _convert_path(text: str) -> Path:
    # "~" would become a folder of that name.
    if not text or not text.isprintable() or text.startswith("~"):
        raise ValueError
    return Path(text)


def _convert_host(text: str) -> str:
    try:
        return str(ip_address(text))
    except ValueError:
        name = _matched(_HOST_NAME, text.lower())
        if name.rpartition(".")[2].isdigit():
            raise  # meant as an address, and none
        return name


def _convert_origin(text: str) -> str:
    return _matched(_ORIGIN, text.removesuffix("/"))


def _convert_thinking(text: str) -> str:
    if text not in ("auto", "on", "off"):
        whole(1, 999_999).convert(text)
    return text


boolean = Kind("true or false", _convert_boolean)
port = whole(1, 65535, "a port")
port_or_off = Kind("a port from 1 to 65535, or 0 for off", whole(0, 65535).convert)
thinking = Kind("auto, on, off, or a number of tokens from 1 to 999999", _convert_thinking)
name = Kind(f"a name of 1 to {_NAME_BYTES_MAX} bytes that can be shown", _convert_name)
path = Kind("a path; write it from / on or relative to this file, without ~", _convert_path, str)
host = Kind("an address or host name, without port", _convert_host)
origin = Kind("an origin such as https://chat.example.com, without a path", _convert_origin)


def _matched(pattern: re.Pattern[str], text: str) -> str:
    if pattern.fullmatch(text) is None:
        raise ValueError
    return text


def _within(value: _Number, low: _Number, high: _Number) -> _Number:
    if not low <= value <= high:
        raise ValueError
    return value


def _write_duration(value_s: float) -> Any:
    for unit, unit_s in (("d", 86400), ("h", 3600), ("min", 60)):
        if value_s >= unit_s and value_s % unit_s == 0:
            return f"{value_s // unit_s:.0f}{unit}"
    if 0 < value_s < 1:
        return f"{value_s * 1000:.9g}ms"
    return f"{value_s:.12g}s" if value_s else 0


def _write_size(count: int) -> Any:
    for unit, unit_bytes in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if count >= unit_bytes and count % unit_bytes == 0:
            return f"{count // unit_bytes}{unit}"
    return f"{count}B" if count else 0
