"""A call goes out on every network; phones have the box call the machines its owner named."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass

import ifaddr
import pytest

from inglenook.common.errors import Code, Problem, StartupError
from inglenook.power import waker
from inglenook.power.magic import magic_packet
from inglenook.power.settings import WakeSettings, WakeTarget
from inglenook.power.waker import WakeInterface, WakeTargets, list_links, send_magic, usable_links

MAC = bytes.fromhex("dca632010203")
PASSWORD = bytes.fromhex("001122334455")
LOOPBACK = WakeInterface("lo", 1, (("127.0.0.1", "127.255.255.255"),), has_ipv6=False)
# TEST-NET-1 of RFC 5737: nobody's.
GONE = WakeInterface("eth9", 9, (("192.0.2.99", "192.0.2.255"),), has_ipv6=False)

WITHIN_S = 10.0


@dataclass
class Stats:
    flags: str = "up,broadcast,running,multicast"


def adapter(name: str, *ips: ifaddr.IP, index: int | None = 2) -> ifaddr.Adapter:
    return ifaddr.Adapter(name, name, list(ips), index)


def ip(address: str, prefix_length: int = 24) -> ifaddr.IP:
    return ifaddr.IP((address, 0, 0) if ":" in address else address, prefix_length, "")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three times at once, not within a second."""
    monkeypatch.setattr(waker, "_BETWEEN_S", 0.01)


@pytest.fixture
async def ears() -> AsyncIterator[list[socket.socket]]:
    """Two sockets that hear broadcasts."""
    socks = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
    for sock in socks:
        sock.setblocking(False)
        sock.bind(("", 0))
    yield socks
    for sock in socks:
        sock.close()


def ports_of(ears: list[socket.socket]) -> list[int]:
    return [ear.getsockname()[1] for ear in ears]


async def heard(ear: socket.socket, count: int) -> set[bytes]:
    """Wait for so many packets, and be sure there are no more."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(WITHIN_S):
        packets = {await loop.sock_recv(ear, 2000) for _ in range(count)}
    with pytest.raises(BlockingIOError):
        ear.recv(2000)
    return packets


async def test_a_call_goes_to_both_ports_three_times(ears: list[socket.socket]) -> None:
    """To the network's broadcast address and to that for all of them."""
    reached = await send_magic(MAC, PASSWORD, links=lambda: [LOOPBACK], ports=ports_of(ears))

    assert reached == 1
    for ear in ears:
        assert await heard(ear, 2 * 3) == {magic_packet(MAC, PASSWORD)}


async def test_it_takes_less_than_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """But not much less: what drops one packet may drop those right behind it."""
    monkeypatch.undo()
    began_s = asyncio.get_running_loop().time()
    await send_magic(MAC, links=lambda: [LOOPBACK], ports=[9])

    assert asyncio.get_running_loop().time() - began_s > 0.5
    assert waker._BETWEEN_S * (waker._TIMES - 1) < 1.0


async def test_an_address_that_has_gone_costs_only_itself(ears: list[socket.socket]) -> None:
    """Between looking and sending a cable may be pulled."""
    links = [
        GONE,
        LOOPBACK,
        WakeInterface("lo", 1, (("127.0.0.2", "127.255.255.255"),), has_ipv6=False),
    ]
    reached = await send_magic(MAC, links=lambda: links, ports=ports_of(ears))

    assert reached == 1
    assert await heard(ears[0], 2 * 2 * 3) == {magic_packet(MAC)}


@pytest.mark.parametrize(
    ("links", "words"),
    [([], "no network interface with an address is up"), ([GONE], "no network takes it")],
)
async def test_without_a_network_it_is_a_sentence(links: list[WakeInterface], words: str) -> None:
    """A call that nobody can hear is not called one."""
    with pytest.raises(StartupError, match=words):
        await send_magic(MAC, links=lambda: links)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (OSError(errno.EPERM, os.strerror(errno.EPERM)), "Operation not permitted"),
        (TimeoutError(), "the kernel does not list its networks"),
    ],
)
async def test_a_kernel_that_does_not_tell_is_a_sentence(fault: OSError, words: str) -> None:
    """As in a sandbox without netlink."""

    def refuse() -> list[WakeInterface]:
        raise fault

    with pytest.raises(StartupError, match=f"no magic packet can be sent: {words}"):
        await send_magic(MAC, links=refuse)


def test_every_interface_is_known_by_its_broadcast_addresses() -> None:
    """One of two networks on one cable has both; IPv6 needs the interface's number only."""
    links = usable_links(
        [
            adapter("eth0", ip("192.168.1.20"), ip("fe80::1", 64), ip("fd00::1", 64)),
            adapter("eth0:1", ip("10.1.2.3", 20)),
            adapter("wlan0", ip("fe80::2", 64), index=3),
        ],
        {"eth0": Stats(), "wlan0": Stats()},
    )

    assert links == [
        WakeInterface("eth0", 2, (("192.168.1.20", "192.168.1.255"),), has_ipv6=True),
        WakeInterface("eth0", 2, (("10.1.2.3", "10.1.15.255"),), has_ipv6=False),
        WakeInterface("wlan0", 3, (), has_ipv6=True),
    ]


@pytest.mark.parametrize(
    ("address", "flags"),
    [
        ("127.0.0.1", "up,loopback,running"),
        ("192.168.1.20", "broadcast,multicast"),
        ("192.168.1.20", "up,broadcast,multicast"),  # no cable
        ("10.8.0.2", "up,pointopoint,running,noarp,multicast"),
        ("fe80::1", "up,broadcast,running"),
    ],
)
def test_an_interface_on_which_nobody_sleeps_is_skipped(address: str, flags: str) -> None:
    """Or none at all that could be reached there."""
    assert usable_links([adapter("net0", ip(address))], {"net0": Stats(flags)}) == []


@pytest.mark.parametrize("prefix_length", [31, 32])
def test_a_network_of_two_has_no_broadcast_address(prefix_length: int) -> None:
    """RFC 3021: both belong to machines."""
    links = usable_links([adapter("net0", ip("10.0.0.0", prefix_length))], {"net0": Stats()})

    assert links == []


def test_an_interface_that_vanishes_while_being_listed_is_skipped() -> None:
    """Addresses and flags come from two questions to the kernel."""
    gone = [adapter("eth0", ip("10.0.0.1")), adapter("eth1", ip("10.0.0.2"), index=None)]

    assert usable_links(gone, {"eth1": Stats()}) == []


def test_this_machines_loopback_is_never_listed() -> None:
    """Against the real kernel."""
    assert all(link.interface != "lo" for link in list_links())


class Network:
    """Remembers who was called."""

    def __init__(self) -> None:
        self.called: list[tuple[bytes, bytes | None]] = []

    async def send(self, mac: bytes, secure_on: bytes | None) -> int:
        self.called.append((mac, secure_on))
        return 2


@pytest.fixture
def network() -> Network:
    return Network()


@pytest.fixture
def targets(network: Network) -> WakeTargets:
    settings = WakeSettings(
        targets=(
            WakeTarget("Office", "dc:a6:32:01:02:03", "00:11:22:33:44:55"),
            WakeTarget("Große Küche", "00:e0:4c:68:01:02"),
        )
    )
    return WakeTargets(settings, network.send)


@pytest.mark.parametrize("name", ["Office", "office", "OFFICE"])
async def test_a_machine_is_called_by_its_name(
    targets: WakeTargets, network: Network, name: str
) -> None:
    """In any case, with its password; on how many interfaces is told."""
    assert await targets.wake(name) == 2
    assert network.called == [(MAC, PASSWORD)]


async def test_a_name_nobody_has_is_not_found(targets: WakeTargets, network: Network) -> None:
    """Nor is an address a name: phones wake only whom the owner named."""
    for name in ("Attic", "", "dc:a6:32:01:02:03"):
        with pytest.raises(LookupError):
            await targets.wake(name)
    assert network.called == []


async def test_a_machine_is_called_once_in_a_while(
    targets: WakeTargets, network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who asks again too soon hears when; another machine is not kept waiting."""
    monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: 1000.0)
    await targets.wake("Office")
    with pytest.raises(Problem) as caught:
        await targets.wake("OFFICE")
    await targets.wake("grosse küche")

    assert caught.value.code is Code.RATE_LIMITED
    assert caught.value.retry_after_s == 10.0
    assert [password for _mac, password in network.called] == [PASSWORD, None]

    monkeypatch.setattr(waker, "_AGAIN_S", 0.0)
    assert await targets.wake("Office") == 2
