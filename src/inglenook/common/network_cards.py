"""Flags and names of network interfaces, and hardware addresses. Kind: rules."""

from __future__ import annotations

import re
from typing import Protocol

#: A hardware address as this program writes it.
MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")

#: As people write one.
_SIX_BYTES = re.compile(r"[0-9A-Fa-f]{2}(?:[:-][0-9A-Fa-f]{2}){5}")


class InterfaceStats(Protocol):
    """An interface's state as psutil returns it."""

    @property
    def flags(self) -> str:
        """Names such as ``up`` and ``running``, separated by commas."""


def flags_of(stats: InterfaceStats | None) -> frozenset[str]:
    """Return an interface's flags; an unknown interface has none."""
    return frozenset(stats.flags.split(",") if stats else ())


def interface_name(adapter: str) -> str:
    """Return the interface of an adapter: ``eth0:1`` is an old way to give ``eth0`` an address."""
    return adapter.partition(":")[0]


def parse_mac(text: str) -> bytes:
    """Read a hardware address such as ``aa:bb:cc:dd:ee:ff`` or ``AA-BB-CC-DD-EE-FF``.

    Raises:
        ValueError: With a sentence that shows the form.
    """
    if _SIX_BYTES.fullmatch(text) is None:
        raise ValueError(f"{text!r} is not a MAC address; write for example aa:bb:cc:dd:ee:ff")
    return bytes.fromhex(text.replace(":", "").replace("-", ""))
