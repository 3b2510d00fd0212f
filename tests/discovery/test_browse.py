from __future__ import annotations

import asyncio
import struct

import pytest

from inglenook.discovery.addresses import InterfaceAddress
from inglenook.discovery.advert import Advert, txt_record
from inglenook.discovery.box import Box
from inglenook.discovery.browse import find_boxes
from inglenook.errors import StartupError
from tests.parts.neighbour import Neighbour

LONG_S = 50.0
SHORT_S = 0.1


async def test_a_box_is_found_with_all_it_tells(
    neighbour: Neighbour, loopback: list[InterfaceAddress], advert: Advert
) -> None:
    """The search ends as soon as the caller has what it looked for."""
    async with asyncio.timeout(LONG_S / 2), asyncio.TaskGroup() as tasks:
        search = tasks.create_task(
            find_boxes(
                LONG_S, until=lambda box: box.server_id == advert.server_id, addresses=loopback.copy
            ),
            name="find",
        )
        await neighbour.announce(
            advert.name,
            server=f"den-{advert.server_id}.local.",
            txt=encode(txt_record(advert)),
            port=8377,
        )
    assert mine(search.result(), advert) == [
        Box(
            name=advert.name,
            host_name=f"den-{advert.server_id}.local",
            server_id=advert.server_id,
            addresses=("192.0.2.9",),
            port=8377,
            version="0.1.0",
            model="small",
            status="ready",
            pairing_open=False,
            tls=False,
            fingerprint=None,
            mac="dc:a6:32:01:02:03",
        )
    ]


async def test_each_box_is_listed_once_and_strangers_break_nothing(
    neighbour: Neighbour, loopback: list[InterfaceAddress], advert: Advert
) -> None:
    """Garbage on the network costs nobody the list; a box under two names is one box."""
    den, kitchen = f"Den {advert.server_id}", f"Kitchen {advert.server_id}"
    no_id, no_sense = f"Attic {advert.server_id}", f"Cellar {advert.server_id}"
    txt, other_id = txt_record(advert), advert.server_id[::-1]
    await neighbour.announce(kitchen, server=f"a-{advert.server_id}.local.", txt=encode(txt))
    await neighbour.announce(f"{kitchen}-2", server=f"a-{advert.server_id}.local.", txt=encode(txt))
    await neighbour.announce(
        den, server=f"b-{advert.server_id}.local.", txt=encode(txt | {"id": other_id})
    )
    await neighbour.announce(no_id, server=f"c-{advert.server_id}.local.", txt=b"")
    await neighbour.announce(
        no_sense,
        server=f"d-{advert.server_id}.local.",
        txt=b"\xffid=\xff\xfe" + bytes(range(256)) * 4,
    )
    missing = {den, kitchen, f"{kitchen}-2", no_id, no_sense}

    def all_seen(box: Box) -> bool:
        missing.discard(box.name)
        return not missing

    async with asyncio.TaskGroup() as tasks:
        search = tasks.create_task(
            find_boxes(LONG_S, until=all_seen, addresses=loopback.copy), name="find"
        )
        while not search.done():
            neighbour.send(pointer_to(b"bell\x07 " + advert.server_id.encode()))
            await asyncio.wait([search], timeout=SHORT_S)
    names = [box.name for box in mine(search.result(), advert)]
    assert not missing
    assert [name for name in names if not name.startswith("Kitchen")] == [no_id, no_sense, den]
    assert len(names) == 4


async def test_a_search_that_finds_nothing_ends_in_time(
    loopback: list[InterfaceAddress], advert: Advert
) -> None:
    """An empty list, not an error: there may be no box."""
    assert mine(await find_boxes(SHORT_S, addresses=loopback.copy), advert) == []


async def test_a_machine_without_a_network_says_so() -> None:
    """One sentence for the person who asked, with what to do."""
    with pytest.raises(StartupError, match=r"cannot search the network: .*plug in a cable"):
        await find_boxes(LONG_S, addresses=list)


def encode(txt: dict[str, str]) -> bytes:
    """Write a TXT record as RFC 6763 section 6.1 has it."""
    pairs = [f"{key}={value}".encode() for key, value in txt.items()]
    return b"".join(bytes([len(pair)]) + pair for pair in pairs)


def pointer_to(instance: bytes) -> bytes:
    """Write an answer that names an instance no library would send (RFC 1035 section 4.1)."""
    header = struct.pack("!6H", 0, 0x8400, 0, 1, 0, 0)
    service = b"\x0a_inglenook\x04_tcp\x05local\x00"
    target = bytes([len(instance)]) + instance + b"\xc0\x0c"  # the rest as at offset 12
    return header + service + struct.pack("!HHIH", 12, 1, 4500, len(target)) + target


def mine(boxes: list[Box], advert: Advert) -> list[Box]:
    """Leave out what other test runs announce."""
    return [box for box in boxes if advert.server_id in box.name]
