from __future__ import annotations

import asyncio
import ctypes
import socket
import struct
from collections.abc import AsyncIterator, Callable

import pytest
from zeroconf import DNSAddress, DNSIncoming, DNSPointer  # type: ignore[attr-defined]
from zeroconf.asyncio import AsyncServiceInfo

from inglenook.discovery import link as link_module
from inglenook.discovery.addresses import InterfaceAddress, links_of
from inglenook.discovery.advert import SERVICE_TYPE, Advert
from inglenook.discovery.link import OnLink
from inglenook.discovery.names import Names
from inglenook.discovery.rivals import OwnRecords
from tests.parts.neighbour import Neighbour

BPF_RET = 0x06
SO_ATTACH_FILTER = 26
WAIT_S = 30.0

Record = tuple[str, str, float]


@pytest.fixture
def names(advert: Advert) -> Names:
    """Give names that nobody else has."""
    return Names(advert.name, f"den-{advert.server_id}")


@pytest.fixture
async def on_link(loopback: list[InterfaceAddress]) -> AsyncIterator[OnLink]:
    """Give a link, open."""
    link = await OnLink.open(links_of(loopback)["lo"], lambda: None)
    yield link
    await link.close()


def info(names: Names, *addresses: str, txt: bytes = b"") -> AsyncServiceInfo:
    return AsyncServiceInfo(
        SERVICE_TYPE,
        f"{names.instance}.{SERVICE_TYPE}",
        port=8377,
        properties=txt,
        server=f"{names.host}.local.",
        parsed_addresses=[*addresses],
    )


class Ear:
    """Hears what is said on loopback, as records of name or data, type and TTL, in order."""

    def __init__(self, address: str) -> None:
        self._sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._sock.setblocking(False)
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self._sock.bind(("224.0.0.251", 5353))
        group = socket.inet_aton("224.0.0.251") + socket.inet_aton(address)
        self._sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group)

    async def until(self, about: Names, last: Record) -> list[Record]:
        """Listen to what is said about these names, to this record."""
        heard: list[Record] = []
        async with asyncio.timeout(WAIT_S):
            while last not in heard:
                packet = await asyncio.get_running_loop().sock_recv(self._sock, 9000)
                heard += self._records(packet, about)
        return heard

    def close(self) -> None:
        self._sock.close()

    @staticmethod
    def _records(packet: bytes, about: Names) -> list[Record]:
        message = DNSIncoming(packet)
        if message.is_query():
            return []
        found: list[Record] = []
        for record in message.answers():
            if isinstance(record, DNSAddress) and record.name == f"{about.host}.local.":
                found.append(("A", socket.inet_ntoa(record.address), record.ttl))
            elif isinstance(record, DNSPointer):
                found.append(("PTR", record.alias.removesuffix(f".{SERVICE_TYPE}"), record.ttl))
        return found


@pytest.fixture
async def ear(new_address: Callable[[], InterfaceAddress]) -> AsyncIterator[Ear]:
    """Give an ear on loopback."""
    ear = Ear(new_address().address)
    yield ear
    ear.close()


@pytest.mark.parametrize("heard", [True, False])
async def test_a_box_notices_whether_it_hears_itself(
    on_link: OnLink, names: Names, heard: bool
) -> None:
    """With the way back cut, as by a firewall, the announcement does not return."""
    if not heard:
        for reader in on_link._responder.zeroconf.engine.readers:
            drop_all_that_comes_in(reader.sock)
    await on_link.say(info(names, "192.0.2.9"), yielding=False)
    assert on_link.hears_itself(names) is heard


async def test_a_way_back_that_is_cut_later_is_noticed_at_the_next_announcement(
    on_link: OnLink, names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was heard of an earlier one does not count."""
    await on_link.say(info(names, "192.0.2.9"), yielding=False)
    assert on_link.hears_itself(names)
    monkeypatch.setattr(link_module, "SAME_AGAIN_S", 0.0)
    for reader in on_link._responder.zeroconf.engine.readers:
        drop_all_that_comes_in(reader.sock)
    await on_link.say(info(names, "192.0.2.9"), yielding=False)
    assert not on_link.hears_itself(names)


def drop_all_that_comes_in(sock: socket.socket) -> None:
    """Put a packet filter on a socket that passes nothing, as a firewall would (linux/filter.h)."""
    program = ctypes.create_string_buffer(struct.pack("HBBI", BPF_RET, 0, 0, 0))
    sock.setsockopt(
        socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HL", 1, ctypes.addressof(program))
    )


async def test_another_address_is_told_after_a_goodbye_for_the_old_one(
    on_link: OnLink, names: Names, new_address: Callable[[], InterfaceAddress], ear: Ear
) -> None:
    """And the old one is not told from the new: a phone would keep both, for two minutes."""
    old, new = on_link.link.announced[0], new_address()
    await on_link.say(info(names, old), yielding=False)
    await ear.until(names, ("A", old, 120))
    await on_link.move(links_of([new])["lo"])
    await on_link.say(info(names, new.address), yielding=False)
    heard = await ear.until(names, ("A", new.address, 120))
    addresses = [record for record in heard if record[0] == "A" and record[1] in (old, new.address)]
    after = addresses[addresses.index(("A", old, 0)) :]
    assert set(after) == {("A", old, 0), ("A", new.address, 120)}


async def test_an_old_name_is_taken_back(on_link: OnLink, names: Names, ear: Ear) -> None:
    """Before the new one is told; the addresses stay."""
    await on_link.say(info(names, "192.0.2.9"), yielding=False)
    renamed = Names(f"Study {names.host}", names.host)
    await on_link.say(info(renamed, "192.0.2.9"), yielding=False)
    heard = await ear.until(names, ("PTR", renamed.instance, 4500))
    assert ("PTR", names.instance, 0) in heard
    assert ("A", "192.0.2.9", 0) not in heard


async def test_names_that_are_somebody_elses_now_are_not_taken_back(
    on_link: OnLink, names: Names, ear: Ear
) -> None:
    """Or phones would forget whoever has them; the box's own address is no part of that."""
    await on_link.say(info(names, "192.0.2.9"), yielding=False)
    others = Names(f"{names.instance}-2", f"{names.host}-2")
    await on_link.say(info(others, "192.0.2.9"), yielding=True)
    heard = await ear.until(names, ("PTR", others.instance, 4500))
    assert ("PTR", names.instance, 0) not in heard
    assert ("A", "192.0.2.9", 0) in heard


@pytest.mark.slow
async def test_asked_for_names_their_owner_is_heard(
    neighbour: Neighbour, on_link: OnLink, names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though it has said them less than a second ago, when answers wait: this is a probe."""
    monkeypatch.setattr(link_module, "PROBE_S", 0.3)
    await neighbour.announce(names.instance, server="other.local.", txt=b"\x0bid=99999999")
    since_s = await on_link.ask(names)
    mine = OwnRecords(names, "ab12cd34", 8377, (), frozenset())
    (rival,) = on_link.observed.rivals(mine, since_s)
    assert (rival.part, rival.addresses, rival.may_be_echo) == ("instance", ("192.0.2.9",), False)


async def test_whoever_speaks_by_the_boxs_names_is_noticed(
    neighbour: Neighbour, loopback: list[InterfaceAddress], names: Names
) -> None:
    """By each of the two; and others are not."""
    noticed = asyncio.Event()
    link = await OnLink.open(links_of(loopback)["lo"], noticed.set)
    try:
        await link.say(info(names, *link.link.announced), yielding=False)
        await neighbour.announce(f"x {names.host}", server=f"x-{names.host}.local.")
        await neighbour.until(lambda: neighbour.knows(f"x {names.host}"))
        assert not noticed.is_set()
        await neighbour.announce(f"y {names.host}", server=f"{names.host}.local.")
        async with asyncio.timeout(WAIT_S):
            await noticed.wait()
    finally:
        await link.close()


async def test_whoever_is_told_of_that_may_fail(
    neighbour: Neighbour, loopback: list[InterfaceAddress], names: Names
) -> None:
    """What was heard counts all the same, and so does what is heard next."""
    told: list[int] = []

    def fail() -> None:
        told.append(len(told))
        raise RuntimeError

    link = await OnLink.open(links_of(loopback)["lo"], fail)
    try:
        await link.say(info(names, *link.link.announced), yielding=False)
        await neighbour.announce(f"y {names.host}", server=f"{names.host}.local.")
        await neighbour.until(lambda: told)
        mine = OwnRecords(
            names, "ab12cd34", 8377, link.link.announced, frozenset(link.link.announced)
        )
        assert [rival.part for rival in link.observed.rivals(mine, 0.0)] == ["host"]
    finally:
        await link.close()
