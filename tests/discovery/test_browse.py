from __future__ import annotations

import asyncio
import ssl
import struct
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from unittest.mock import Mock

import pytest
from zeroconf import (  # type: ignore[attr-defined]
    DNSCache,
    DNSPointer,
    NamePartTooLongException,
    RecordUpdate,
    Zeroconf,
)
from zeroconf.asyncio import AsyncServiceInfo

from inglenook.auth.certify import certify
from inglenook.common.errors import StartupError
from inglenook.discovery.addresses import InterfaceAddress
from inglenook.discovery.advert import SERVICE_TYPE, Advert, txt_record
from inglenook.discovery.box import Box, BoxHello
from inglenook.discovery.browse import _Unwritable, find_boxes, try_search
from inglenook.discovery.found_box import FoundBox, twins
from tests.parts.answering import answering
from tests.parts.neighbour import Neighbour

LONG_S = 50.0
SHORT_S = 0.1
#: So long that an answer that is a second late is heard.
LISTEN_S = 1.5


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody else searches here, so that nothing is answered late."""
    monkeypatch.setattr("inglenook.discovery.browse.LISTEN_LEAST_S", SHORT_S)


@pytest.fixture
def tls(tmp_path: Path) -> ssl.SSLContext:
    """What a server needs that makes its key itself."""
    certificate = certify(tmp_path, ["localhost"], [], datetime.now(UTC).timestamp())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.cert_path, certificate.key_path)
    return context


async def test_a_box_is_found_with_all_it_tells(
    neighbour: Neighbour, loopback: list[InterfaceAddress], advert: Advert
) -> None:
    """The search ends as soon as the caller has what it looked for, and that answers."""
    host = loopback[0].address
    async with (
        answering(host, 0, advert.server_id, advert.name, "00000001") as port,
        asyncio.timeout(LONG_S / 2),
        asyncio.TaskGroup() as tasks,
    ):
        search = tasks.create_task(
            find_boxes(
                LONG_S,
                until=lambda found: found.box.server_id == advert.server_id,
                addresses=loopback.copy,
            ),
            name="find",
        )
        await neighbour.announce(
            advert.name,
            server=f"den-{advert.server_id}.local.",
            txt=encode(txt_record(advert)),
            port=port,
            address=host,
        )
    assert mine(search.result(), advert) == [
        FoundBox(
            Box(
                name=advert.name,
                host_name=f"den-{advert.server_id}.local",
                server_id=advert.server_id,
                addresses=(host,),
                port=port,
                version="0.1.0",
                models=("small",),
                status="ready",
                pairing_open=False,
                tls=False,
                fingerprint=None,
                mac="dc:a6:32:01:02:03",
            ),
            (f"http://{host}:{port}",),
            BoxHello(advert.server_id, advert.name, run_id="00000001"),
        )
    ]


@pytest.mark.slow
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
    names: list[str] = []
    async with asyncio.timeout(LONG_S):
        while len(names) < 4:
            neighbour.send(pointer_to(b"bell\x07 " + advert.server_id.encode()))
            found = await find_boxes(LISTEN_S, addresses=loopback.copy, ask=nobody)
            names = [each.box.name for each in mine(found, advert)]

    assert names == [no_id, no_sense, den, kitchen]


def test_a_name_too_long_to_be_asked_for_is_forgotten() -> None:
    """The library would name it in its next question, fail, and ask nothing more."""
    cache = DNSCache()
    listener = _Unwritable(cache)
    good, bad = (
        DNSPointer(SERVICE_TYPE, 12, 1, 4500, f"{label}.{SERVICE_TYPE}", 1.0)
        for label in ("\u20ac" * 21, "\u20ac" * 22)
    )
    listener.async_update_records(
        Mock(Zeroconf), 1.0, [RecordUpdate(record, None) for record in (good, bad)]
    )
    cache.async_add_records([good, bad])
    listener.async_update_records_complete()

    assert cache.entries_with_name(SERVICE_TYPE) == [good]


@pytest.mark.slow
async def test_a_host_that_cannot_be_asked_for_ends_no_search(
    neighbour: Neighbour,
    loopback: list[InterfaceAddress],
    advert: Advert,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its name is too long once it was read, as with bytes that are no UTF-8."""
    asked = asyncio.Event()

    async def too_long(*_args: object) -> bool:
        asked.set()
        raise NamePartTooLongException

    monkeypatch.setattr(AsyncServiceInfo, "async_request", too_long)
    await neighbour.announce(advert.name, server=f"den-{advert.server_id}.local.")
    while not asked.is_set():
        assert await find_boxes(LISTEN_S, addresses=loopback.copy, ask=nobody) == []


@pytest.mark.slow
async def test_where_boxes_share_an_id_the_one_that_answers_is_listed(
    neighbour: Neighbour,
    loopback: list[InterfaceAddress],
    new_address: Callable[[], InterfaceAddress],
    advert: Advert,
) -> None:
    """What a router repeats of before answers nowhere; a copied SD card does."""
    here, copied = loopback[0].address, new_address().address
    txt = encode(txt_record(advert))
    was, is_now, copy = (f"{advert.name}{end}" for end in ("", "-2", "-3"))
    async with (
        answering(here, 0, advert.server_id, is_now, "00000001") as port,
        answering(copied, port, advert.server_id, copy, "00000002"),
    ):
        await neighbour.announce(
            was, server="a.local.", txt=txt, port=port, address=new_address().address
        )
        await neighbour.announce(is_now, server="b.local.", txt=txt, port=port, address=here)
        one = await found_all(advert, loopback, 1)
        await neighbour.announce(copy, server="c.local.", txt=txt, port=port, address=copied)
        both = await found_all(advert, loopback, 2)

    assert [(each.box.name, each.url) for each in one] == [(is_now, f"http://{here}:{port}")]
    assert [each.box.name for each in both] == [is_now, copy]
    assert twins(both) == [both]


@pytest.mark.slow
async def test_the_address_in_the_askers_network_comes_first(
    neighbour: Neighbour,
    loopback: list[InterfaceAddress],
    new_address: Callable[[], InterfaceAddress],
    advert: Advert,
) -> None:
    """The others stay behind it; here they all are of the same box."""
    far, near = new_address().address, new_address().address
    own = [replace(loopback[0], prefix_length=32), InterfaceAddress("lo", 1, near, 32, False)]
    async with answering("0.0.0.0", 0, advert.server_id, advert.name, "00000001") as port:
        box = AsyncServiceInfo(
            SERVICE_TYPE,
            f"{advert.name}.{SERVICE_TYPE}",
            port=port,
            properties=txt_record(advert),
            server="a.local.",
            parsed_addresses=[far, near],
        )
        await (await neighbour.responder.async_register_service(box))
        [found] = await found_all(advert, own, 1)

    assert found.urls == (f"http://{near}:{port}", f"http://{far}:{port}")


@pytest.mark.slow
async def test_a_box_with_a_tls_port_alone_is_asked_there(
    neighbour: Neighbour, loopback: list[InterfaceAddress], advert: Advert, tls: ssl.SSLContext
) -> None:
    """That is then the port it announces."""
    host = loopback[0].address
    async with answering(host, 0, advert.server_id, advert.name, tls=tls) as port:
        await neighbour.announce(
            advert.name,
            server="a.local.",
            txt=encode(txt_record(replace(advert, tls=True))),
            port=port,
            address=host,
        )
        [found] = await found_all(advert, loopback, 1)

    assert found.url == f"https://{host}:{port}"


@pytest.mark.parametrize("timeout_s", [-5.0, 0.0, SHORT_S])
async def test_a_search_that_finds_nothing_ends_in_time(
    loopback: list[InterfaceAddress], advert: Advert, timeout_s: float
) -> None:
    """An empty list, not an error: there may be no box."""
    assert mine(await find_boxes(timeout_s, addresses=loopback.copy), advert) == []


@pytest.mark.slow
async def test_a_search_is_never_too_short_to_hear_a_late_answer(
    neighbour: Neighbour,
    loopback: list[InterfaceAddress],
    advert: Advert,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What was told less than a second ago is told again a second late (RFC 6762 section 6)."""
    monkeypatch.undo()
    await neighbour.announce(advert.name, server="a.local.", txt=encode(txt_record(advert)))

    for _search in range(3):
        assert mine(await find_boxes(SHORT_S, addresses=loopback.copy, ask=nobody), advert)


async def test_a_machine_without_a_network_says_so() -> None:
    """One sentence for the person who asked, with what to do."""
    for search in (find_boxes(LONG_S, addresses=list), try_search(list)):
        with pytest.raises(StartupError, match=r"cannot search the network: .*plug in a cable"):
            await search


async def test_mdns_is_tried_without_a_search(loopback: list[InterfaceAddress]) -> None:
    """Where it can be used nothing is said."""
    await try_search(loopback.copy)


async def nobody(_url: str, _timeout_s: float) -> BoxHello | None:
    """Answers nowhere."""
    return None


async def found_all(advert: Advert, own: list[InterfaceAddress], count: int) -> list[FoundBox]:
    """What is found once it is so many, each with an answer."""
    async with asyncio.timeout(LONG_S):
        while True:
            found = mine(await find_boxes(LISTEN_S, addresses=own.copy), advert)
            if len(found) == count and all(each.hello for each in found):
                return found


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


def mine(boxes: list[FoundBox], advert: Advert) -> list[FoundBox]:
    """Leave out what other test runs announce."""
    return [each for each in boxes if advert.server_id in each.box.name]
