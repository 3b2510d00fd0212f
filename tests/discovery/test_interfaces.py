from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import ifaddr
import pytest

from inglenook.discovery.addresses import InterfaceAddress
from inglenook.discovery.interfaces import (
    LinkKind,
    list_addresses,
    list_own_addresses,
    own_addresses,
    own_macs,
    usable_addresses,
    wired_mac,
    wired_macs,
)

PI_MAC = "dc:a6:32:01:02:03"
DONGLE_MAC = "00:e0:4c:68:01:02"
WIFI_MAC = "dc:a6:32:01:02:04"


@dataclass
class Stats:
    flags: str = "up,broadcast,running,multicast"


def adapter(name: str, *ips: ifaddr.IP, index: int | None = 2) -> ifaddr.Adapter:
    return ifaddr.Adapter(name, name, list(ips), index)


def ip(address: str, prefix_length: int = 24) -> ifaddr.IP:
    return ifaddr.IP((address, 0, 0) if ":" in address else address, prefix_length, "")


def test_addresses_of_both_families_are_listed() -> None:
    """As the library wants them: IPv6 without its zone, with the interface's number."""
    found = usable_addresses(
        [adapter("eth0", ip("192.168.1.20"), ip("fe80::1", 64))], {"eth0": Stats()}
    )
    assert found == [
        InterfaceAddress("eth0", 2, "192.168.1.20", 24, is_ipv6=False),
        InterfaceAddress("eth0", 2, "fe80::1", 64, is_ipv6=True),
    ]


def test_a_second_address_by_alias_belongs_to_its_interface() -> None:
    """The kernel lists eth0:1 beside eth0; there is one cable."""
    found = usable_addresses([adapter("eth0:1", ip("192.168.7.20"))], {"eth0": Stats()})
    assert [entry.interface for entry in found] == ["eth0"]


@pytest.mark.parametrize(
    "name",
    ["docker0", "veth12ab", "br-5f2c", "virbr0", "tun0", "tap0", "wg0", "tailscale0", "ztabc"],
)
def test_networks_without_phones_are_skipped(name: str) -> None:
    """Containers, virtual machines and tunnels."""
    assert usable_addresses([adapter(name, ip("10.0.0.1"))], {name: Stats()}) == []


@pytest.mark.parametrize(
    "flags",
    [
        "up,loopback,running",
        "broadcast,multicast",
        "up,broadcast,multicast",  # no cable
        "up,broadcast,running",
        "up,pointopoint,running,multicast",
    ],
)
def test_an_interface_that_is_down_or_cannot_do_multicast_is_skipped(flags: str) -> None:
    """Announcing an address there would send phones nowhere."""
    assert usable_addresses([adapter("eth0", ip("10.0.0.1"))], {"eth0": Stats(flags)}) == []


def test_an_interface_that_vanishes_while_being_listed_is_skipped() -> None:
    """Addresses and flags come from two questions to the kernel."""
    gone = [adapter("eth0", ip("10.0.0.1")), adapter("eth1", ip("10.0.0.2"), index=None)]
    assert usable_addresses(gone, {"eth1": Stats()}) == []


def test_this_machines_loopback_is_never_listed() -> None:
    """Against the real kernel: a phone cannot reach 127.0.0.1."""
    assert all(entry.interface != "lo" for entry in list_addresses())


def sysfs(root: Path, name: str, **files: str) -> None:
    """Make an interface as sysfs shows it."""
    folder = root / "sys" / "class" / "net" / name
    folder.mkdir(parents=True)
    for file, text in files.items():
        (folder / file).write_text(f"{text}\n")


@pytest.mark.parametrize(
    ("name", "flags", "files", "kind"),
    [
        ("eth0", "up,broadcast,running,multicast", {}, LinkKind.LOCAL_NETWORK),
        ("br-lan", "up,broadcast,running,multicast", {}, LinkKind.CONTAINERS),
        ("docker0", "up,broadcast,running,multicast", {}, LinkKind.CONTAINERS),
        ("lo", "up,loopback,running", {}, LinkKind.LOOPBACK),
        ("tailscale0", "up,pointopoint,running,noarp,multicast", {}, LinkKind.TUNNEL),
        ("wg0", "up,pointopoint,running,noarp", {}, LinkKind.TUNNEL),
        # Called as their owners like: a program's, and WireGuard's.
        ("home", "up,pointopoint,running", {"tun_flags": "0x1001"}, LinkKind.TUNNEL),
        (
            "wt0",
            "up,pointopoint,running",
            {"uevent": "DEVTYPE=wireguard\nINTERFACE=wt0"},
            LinkKind.TUNNEL,
        ),
        # As a rootless container's card is made.
        ("eth0", "up,broadcast,running,multicast", {"tun_flags": "0x1002"}, LinkKind.LOCAL_NETWORK),
        ("eth0", "up,broadcast,running", {"tun_flags": "?"}, LinkKind.LOCAL_NETWORK),
        ("ppp0", "up,pointopoint,running,multicast", {}, LinkKind.POINT_TO_POINT),
        ("wwan0", "up,pointopoint,running", {"uevent": "DEVTYPE=wwan"}, LinkKind.POINT_TO_POINT),
    ],
)
def test_every_address_is_listed_with_what_it_leads_to(
    tmp_path: Path, name: str, flags: str, files: dict[str, str], kind: LinkKind
) -> None:
    """Also those that are never announced."""
    sysfs(tmp_path, name, **files)
    adapters = [adapter(name, ip("100.64.1.2", 32), ip("fd7a::5", 128))]

    found = own_addresses(adapters, {name: Stats(flags)}, tmp_path)

    assert [(own.entry.address, own.entry.prefix_length) for own in found] == [
        ("100.64.1.2", 32),
        ("fd7a::5", 128),
    ]
    assert {own.kind for own in found} == {kind}


@pytest.mark.parametrize("flags", ["broadcast,running", "up,broadcast,multicast"])
def test_an_interface_that_is_down_has_no_addresses(tmp_path: Path, flags: str) -> None:
    """Nobody comes in by it."""
    assert own_addresses([adapter("eth0", ip("10.0.0.1"))], {"eth0": Stats(flags)}, tmp_path) == []


def test_this_machines_own_addresses_hold_all_that_are_announced() -> None:
    """Against the real kernel; and its loopback besides."""
    own = list_own_addresses()

    assert ("127.0.0.1", LinkKind.LOOPBACK) in [(o.entry.address, o.kind) for o in own]
    assert {o.entry for o in own} >= set(list_addresses())


def card(root: Path, name: str, **files: str | None) -> None:
    """Make a network card as sysfs shows it; None makes a folder."""
    facts: dict[str, str | None] = {"address": PI_MAC, "type": "1", "operstate": "up"}
    for key, value in (facts | files).items():
        path = root / "sys/class/net" / name / key
        path.parent.mkdir(parents=True, exist_ok=True)
        if value is None:
            path.mkdir()
        else:
            path.write_text(value + "\n")


def test_every_wired_card_may_wake_the_box(tmp_path: Path) -> None:
    """The one with a cable comes first, as that is where a magic packet goes; a bond's once."""
    card(tmp_path, "eth0", device=None, operstate="down")
    card(tmp_path, "eth1", device=None, address=DONGLE_MAC.upper())
    card(tmp_path, "eth2", device=None, address=DONGLE_MAC)
    card(tmp_path, "wlan0", device=None, address=WIFI_MAC, phy80211=None)
    assert wired_macs(tmp_path) == (DONGLE_MAC, PI_MAC)
    assert wired_mac(tmp_path) == DONGLE_MAC


def test_a_wired_card_without_a_cable_is_better_than_none(tmp_path: Path) -> None:
    """Somebody may plug it in later."""
    card(tmp_path, "eth0", device=None, operstate="down")
    assert wired_macs(tmp_path) == (PI_MAC,)


def test_a_box_that_is_awake_is_called_by_any_address_it_has(tmp_path: Path) -> None:
    """Of Wi-Fi, or of a container's end; but not by those that are none."""
    card(tmp_path, "eth0", operstate="down")
    card(tmp_path, "wlan0", device=None, address=WIFI_MAC, phy80211=None)
    card(tmp_path, "ppp0", address=DONGLE_MAC, type="512")
    card(tmp_path, "lo", address="00:00:00:00:00:00", type="772")
    card(tmp_path, "dummy0", address="00:00:00:00:00:00")
    assert own_macs(tmp_path) == (WIFI_MAC, PI_MAC)


@pytest.mark.parametrize(
    "files",
    [
        {},  # a bridge, a bond or a container's end: no hardware
        {"device": None, "wireless": None},
        {"device": None, "phy80211": None},
        {"device": None, "type": "512"},  # ppp
        {"device": None, "address": "00:00:00:00:00:00"},
        {"device": None, "address": ""},
    ],
)
def test_what_no_magic_packet_can_wake_is_passed_over(
    tmp_path: Path, files: dict[str, str | None]
) -> None:
    """Only a wired card of real hardware listens while the box sleeps."""
    card(tmp_path, "net0", **files)
    assert wired_macs(tmp_path) == ()


def test_a_box_without_network_cards_has_no_mac(tmp_path: Path) -> None:
    """Not even a folder to look into."""
    assert wired_macs(tmp_path) == ()
    assert wired_mac(tmp_path) is None
    assert own_macs(tmp_path) == ()
