from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import pytest

from inglenook.discovery.addresses import InterfaceAddress
from inglenook.discovery.advert import Advert, host_name, txt_record
from inglenook.discovery.announcer import Announcer
from inglenook.discovery.names import PreviousNames
from inglenook.discovery.settings import DiscoverySettings
from tests.parts.neighbour import Neighbour

Addresses = list[InterfaceAddress]

STOP_S = 2.0

#: Of the announcer under test, as nobody else's on loopback.
RUN_ID = "f0f0f0f0"


@contextlib.asynccontextmanager
async def announcing(
    advert: Advert, addresses: Addresses, settings: DiscoverySettings | None = None
) -> AsyncIterator[Announcer]:
    """Run an announcer up to its first state, and cancel it at the end."""
    announcer = Announcer(
        settings or DiscoverySettings(), advert, run_id=RUN_ID, addresses=addresses.copy
    )
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(announcer.run(), name="announce")
        await announcer.wait_first_state(timeout_s=30)
        yield announcer
        running.cancel()
        async with asyncio.timeout(STOP_S):
            await asyncio.wait([running])


def multicast_listener(address: str) -> socket.socket:
    """Listen to all that is said by mDNS on the network of ``address``."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    listener.setblocking(False)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listener.bind(("224.0.0.251", 5353))
    group = socket.inet_aton("224.0.0.251") + socket.inet_aton(address)
    listener.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group)
    return listener


def is_announcement(packet: bytes, name: str) -> bool:
    """Whether a packet is an answer (RFC 1035 section 4.1.1: the QR bit) that tells of ``name``."""
    return bool(packet[2] & 0x80) and name.encode() in packet


async def test_a_neighbour_learns_name_host_address_port_and_txt(
    neighbour: Neighbour, loopback: Addresses, advert: Advert
) -> None:
    """All a phone needs comes with one announcement."""
    async with announcing(advert, loopback) as announcer:
        info = await neighbour.until(lambda: neighbour.knows(advert.name))
        assert info.server == f"{host_name(advert.name, advert.server_id)}.local."
        assert info.parsed_addresses() == [loopback[0].address]
        assert info.port == 8377
        assert info.decoded_properties == txt_record(advert)
        assert announcer.state.kind == "ready"
        assert announcer.state.sentence == (
            f'announced as "{advert.name}" ({announcer.host_name}.local) on lo'
        )


async def test_a_stopped_box_says_goodbye(
    neighbour: Neighbour, loopback: Addresses, advert: Advert
) -> None:
    """Without a goodbye a phone lists a box for up to 75 minutes after it is gone."""
    async with announcing(advert, loopback):
        await neighbour.until(lambda: neighbour.knows(advert.name))
    await neighbour.until(lambda: neighbour.knows(advert.name) is None)


@pytest.mark.slow
async def test_taken_names_are_left_to_their_owner(
    neighbour: Neighbour, loopback: Addresses, advert: Advert, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two boxes of one name both stay reachable, by service name and by host name."""
    # Time for the owner to answer, on a machine that stands still meanwhile.
    monkeypatch.setattr("inglenook.discovery.link.PROBE_S", 0.7)
    taken = host_name(advert.name, advert.server_id)
    await neighbour.announce(advert.name, server=f"{taken}.local.")
    async with announcing(advert, loopback) as announcer:
        assert announcer.host_name == f"{taken}-2"
        info = await neighbour.until(lambda: neighbour.knows(f"{advert.name}-2"))
        assert info.server == f"{taken}-2.local."
        assert f'"{advert.name}-2"' in announcer.state.sentence


async def test_a_host_name_held_before_is_taken_again(
    neighbour: Neighbour, loopback: Addresses, advert: Advert
) -> None:
    """A phone that kept the address `kitchen-ab12-2.local` finds the same box there."""
    announcer = Announcer(
        DiscoverySettings(),
        advert,
        run_id=RUN_ID,
        last_names=PreviousNames(host=f"den-{advert.server_id}"),
        addresses=loopback.copy,
    )
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(announcer.run(), name="announce")
        info = await neighbour.until(lambda: neighbour.knows(advert.name))
        running.cancel()
    assert info.server == f"den-{advert.server_id}.local."


@pytest.mark.slow
async def test_a_rename_is_told_and_whoever_hears_it_may_fail(
    neighbour: Neighbour, loopback: Addresses, advert: Advert, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that the name is kept at once; the box is announced all the same."""
    monkeypatch.setattr("inglenook.discovery.link.PROBE_S", 0.7)
    told: list[str] = []

    def renamed() -> None:
        told.append(announcer.name)
        raise RuntimeError

    await neighbour.announce(advert.name, server="other.local.")
    announcer = Announcer(
        DiscoverySettings(), advert, run_id=RUN_ID, addresses=loopback.copy, renamed=renamed
    )
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(announcer.run(), name="announce")
        await neighbour.until(lambda: neighbour.knows(f"{advert.name}-2"))
        running.cancel()
    assert told == [announcer.name] == [f"{advert.name}-2"]


@pytest.mark.slow
async def test_a_name_that_was_lost_later_is_another_one(
    neighbour: Neighbour, loopback: Addresses, advert: Advert, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two that did not hear each other at their start: RFC 6762 section 9."""
    monkeypatch.setattr("inglenook.discovery.link.PROBE_S", 0.7)
    async with announcing(advert, loopback) as announcer:
        # A later port is a later record, which wins.
        await neighbour.announce(advert.name, server="other.local.", port=8378)
        info = await neighbour.until(lambda: neighbour.knows(f"{advert.name}-2"))
        assert info.server == f"{announcer.host_name}.local."
        assert announcer.name == f"{advert.name}-2"


async def test_an_update_reaches_a_neighbour(
    neighbour: Neighbour,
    loopback: Addresses,
    advert: Advert,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A phone sees that it may pair now, and only the last of several quick changes is sent."""
    monkeypatch.setattr("inglenook.discovery.pacing.URGENT_S", 0.05)
    async with announcing(advert, loopback) as announcer:
        announcer.update(replace(advert, pairing_open=True, models=("first",)))
        announcer.update(replace(advert, pairing_open=True, models=("last",)))
        await neighbour.until(lambda: neighbour.txt(advert.name).get("pair") == "1")
        assert neighbour.txt(advert.name)["model"] == "last"


async def test_a_renamed_box_is_found_under_its_new_name_only(
    neighbour: Neighbour, loopback: Addresses, advert: Advert
) -> None:
    """The old name says goodbye; the host name stays, since phones may have kept it."""
    renamed = replace(advert, name=f"Study {advert.server_id}")
    async with announcing(advert, loopback) as announcer:
        host = announcer.host_name
        await neighbour.until(lambda: neighbour.knows(advert.name))
        announcer.update(renamed)
        info = await neighbour.until(lambda: neighbour.knows(renamed.name))
        assert info.server == f"{host}.local."
        await neighbour.until(lambda: neighbour.knows(advert.name) is None)


async def test_a_new_address_is_announced(
    neighbour: Neighbour,
    loopback: Addresses,
    new_address: Callable[[], InterfaceAddress],
    advert: Advert,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Noticed by polling here, as in a sandbox without netlink."""
    monkeypatch.setattr("inglenook.discovery.announcer_events.POLL_S", 0.05)
    second = new_address()
    async with announcing(advert, loopback):
        await neighbour.until(lambda: neighbour.knows(advert.name))
        loopback.append(second)
        await neighbour.until(
            lambda: (
                (info := neighbour.knows(advert.name)) and second.address in info.parsed_addresses()
            )
        )


async def test_a_box_that_slept_announces_itself_again(loopback: Addresses, advert: Advert) -> None:
    """Phones may have given it up meanwhile, though nothing changed on its side."""
    async with announcing(advert, loopback) as announcer:
        with multicast_listener(loopback[0].address) as listener:
            announcer.announce_again()
            async with asyncio.timeout(30):
                while not is_announcement(
                    await asyncio.get_running_loop().sock_recv(listener, 9000), advert.name
                ):
                    pass


async def test_a_box_that_slept_looks_before_it_speaks(
    neighbour: Neighbour,
    loopback: Addresses,
    new_address: Callable[[], InterfaceAddress],
    advert: Advert,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Boards often wake with another address, and the old one may be somebody else's by then."""
    monkeypatch.setattr("inglenook.discovery.announcer_events.POLL_S", 1000.0)
    async with announcing(advert, loopback) as announcer:
        await neighbour.until(lambda: neighbour.knows(advert.name))
        loopback[:] = [new_address()]
        announcer.announce_again()
        await neighbour.until(
            lambda: (
                (info := neighbour.knows(advert.name))
                and info.parsed_addresses() == [loopback[0].address]
            )
        )


async def test_without_a_network_it_waits_and_warns_once(
    neighbour: Neighbour,
    loopback: Addresses,
    advert: Advert,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The daemon goes on; the box is announced as soon as there is a network."""
    monkeypatch.setattr("inglenook.discovery.announcer.RETRY_S", 0.02)
    addresses: Addresses = []
    with caplog.at_level(logging.WARNING, logger="inglenook"):
        async with announcing(advert, addresses) as announcer:
            assert announcer.state.kind == "degraded"
            assert "plug in a cable" in announcer.state.sentence
            addresses += loopback
            await neighbour.until(lambda: neighbour.knows(advert.name))
    assert [record.levelname for record in caplog.records] == ["WARNING"]


async def test_an_address_that_is_gone_already_is_a_warning(advert: Advert) -> None:
    """Between listing and using an address the network may change: nothing is raised."""
    gone = [InterfaceAddress("eth9", 9, "203.0.113.1", 24, is_ipv6=False)]
    async with announcing(advert, gone) as announcer:
        assert announcer.state.kind == "degraded"


async def test_the_mac_address_stays_at_home_if_the_operator_says_so(
    neighbour: Neighbour, loopback: Addresses, advert: Advert
) -> None:
    """`discovery.mac: false` holds for updates too."""
    async with announcing(advert, loopback, DiscoverySettings(mac=False)):
        txt = await neighbour.until(lambda: neighbour.txt(advert.name))
        assert "mac" not in txt
        assert txt["id"] == advert.server_id


async def test_switched_off_it_ends_at_once(loopback: Addresses, advert: Advert) -> None:
    """Nothing is sent, and the state says how to switch it on."""
    announcer = Announcer(
        DiscoverySettings(enabled=False), advert, run_id=RUN_ID, addresses=loopback.copy
    )
    await announcer.run()
    assert announcer.state.kind == "off"
    assert "discovery.enabled" in announcer.state.sentence


async def test_waiting_for_the_first_state_ends_in_time(
    loopback: Addresses, advert: Advert
) -> None:
    """A daemon that starts does not hang on a network that is slow."""
    announcer = Announcer(DiscoverySettings(), advert, run_id=RUN_ID, addresses=loopback.copy)
    state = await announcer.wait_first_state(timeout_s=0.01)
    assert state.kind == "degraded"
    assert "not announced yet" in state.sentence
