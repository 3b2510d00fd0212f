"""A program that writes down every record said by mDNS on one link, until SIGTERM.

Usage: ``python -m tests.parts.mdns_ear INTERFACE``. Each line is JSON: seconds since its start, the
record's name, type (number), data as text, TTL in seconds, and who sent it.
"""

from __future__ import annotations

import ipaddress
import json
import socket
import struct
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from zeroconf import DNSAddress, DNSIncoming, DNSPointer, DNSService  # type: ignore[attr-defined]

GROUP, PORT = "224.0.0.251", 5353
_ANY_TYPE_TEXT = "-"


@dataclass(frozen=True, slots=True)
class Said:
    """One record as it was said."""

    at_s: float
    name: str
    type: int
    data: str
    ttl_s: float
    sender: str


def heard(log: Path) -> list[Said]:
    """Read what the program has written so far."""
    lines = log.read_text().splitlines()
    return [Said(*json.loads(line)) for line in lines if line.endswith("]")]


def main(interface: str) -> None:
    """Listen."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind((GROUP, PORT))
        index = socket.if_nametoindex(interface)
        group = socket.inet_aton(GROUP) + socket.inet_aton("0.0.0.0") + struct.pack("@i", index)
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group)
        sys.stdout.write("\n")
        sys.stdout.flush()
        began_s = time.monotonic()
        while True:
            packet, (sender, _port) = sock.recvfrom(9000)
            for record in records(packet):
                said = [round(time.monotonic() - began_s, 3), *record, sender]
                sys.stdout.write(f"{json.dumps(said)}\n")
                sys.stdout.flush()


def records(packet: bytes) -> Iterator[tuple[str, int, str, float]]:
    """Give the records of an answer."""
    message = DNSIncoming(packet)
    if message.is_query():
        return
    for record in message.answers():
        data = _ANY_TYPE_TEXT
        if isinstance(record, DNSAddress):
            data = str(ipaddress.ip_address(record.address))
        elif isinstance(record, DNSService):
            data = f"{record.server}:{record.port}"
        elif isinstance(record, DNSPointer):
            data = record.alias
        yield record.name, record.type, data, record.ttl


if __name__ == "__main__":
    main(*sys.argv[1:])
