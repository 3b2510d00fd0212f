"""Magic packets (Wake-on-LAN): encoded and recognised. Kind: rules.

Source: AMD, Magic Packet Technology, white paper 20213, November 1995.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Collection

from inglenook.common.network_cards import parse_mac

#: Longest part of a packet that is read: one Ethernet frame.
PACKET_BYTES_MAX = 1500

_SYNC = b"\xff" * 6
_REPEATS = 16

_FOUR_BYTES = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}", re.ASCII)


def parse_password(text: str) -> bytes:
    """Read a SecureOn password: six bytes as a MAC address is written, or four as ``192.168.1.1``.

    Raises:
        ValueError: With a sentence that shows the forms.
    """
    with contextlib.suppress(ValueError):
        return parse_mac(text)
    numbers = [int(part) for part in text.split(".")] if _FOUR_BYTES.fullmatch(text) else []
    if not numbers or max(numbers) > 255:
        # Without the text: it may be right except for one character, and be seen by others.
        raise ValueError(
            "that is not a SecureOn password; write for example 00:11:22:33:44:55 or 192.168.1.1"
        )
    return bytes(numbers)


def magic_packet(mac: bytes, secure_on: bytes | None = None) -> bytes:
    """Return the packet that wakes the machine with this address.

    Args:
        mac: Six bytes.
        secure_on: Its card's password, if it has one: four or six bytes, as in etherwake(8).
    """
    assert len(mac) == 6
    assert secure_on is None or len(secure_on) in (4, 6)
    return _SYNC + mac * _REPEATS + (secure_on or b"")


def is_called(packet: bytes, macs: Collection[bytes]) -> bool:
    """Return whether a packet wakes one of these cards; bytes around the sequence do not matter.

    Takes time linear in the packet: six bytes of ff begin a match, and no card's address has them.
    """
    head = packet[:PACKET_BYTES_MAX]
    return any(magic_packet(mac) in head for mac in macs)
