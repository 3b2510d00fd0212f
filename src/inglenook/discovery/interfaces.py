"""The box's network interfaces and addresses, from the kernel. Kind: hands.

All functions block for a moment: call them in a thread.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

import ifaddr
import psutil

from inglenook.common.network_cards import MAC, InterfaceStats, flags_of, interface_name
from inglenook.discovery.addresses import InterfaceAddress

# Interfaces of containers, virtual machines and tunnels, where there are no phones.
_VIRTUAL = ("docker", "podman", "veth", "br-", "virbr", "vnet", "lxc", "lxd", "cni")
_TUNNELS = ("tun", "tap", "wg", "tailscale", "zt")
_NEEDED_FLAGS = {"up", "running", "multicast"}
_ETHERNET = "1"  # ARPHRD_ETHER of linux/if_arp.h
_NO_MAC = "00:00:00:00:00:00"
_IFF_TUN = 0x1  # linux/if_tun.h: packets without Ethernet's head; a TAP has it, and is like a card


class LinkKind(StrEnum):
    """Kind of network behind an interface."""

    LOCAL_NETWORK = "local network"
    CONTAINERS = "containers"
    TUNNEL = "tunnel"
    POINT_TO_POINT = "point to point"
    LOOPBACK = "loopback"


@dataclass(frozen=True, slots=True)
class LocalAddress:
    """An address of the box, and the kind of its network."""

    entry: InterfaceAddress
    kind: LinkKind


def list_addresses() -> list[InterfaceAddress]:
    """Return the addresses to announce: those reachable from the local network, sorted.

    Raises:
        OSError: If the kernel cannot list them.
    """
    found = usable_addresses(ifaddr.get_adapters(), psutil.net_if_stats())
    ups = {entry.interface: _carrier_ups(entry.interface) for entry in found}
    return [replace(entry, carrier_ups=ups[entry.interface]) for entry in found]


def list_own_addresses(root: Path = Path("/")) -> list[LocalAddress]:
    """Return all addresses of this box on interfaces that are up and connected, sorted.

    Args:
        root: Folder of ``sys``; another in tests.

    Raises:
        OSError: If the kernel cannot list them.
    """
    return own_addresses(ifaddr.get_adapters(), psutil.net_if_stats(), root)


def usable_addresses(
    adapters: Iterable[ifaddr.Adapter], stats: Mapping[str, InterfaceStats]
) -> list[InterfaceAddress]:
    """Return the addresses of interfaces that are up, do multicast, and lead to phones."""
    usable: list[InterfaceAddress] = []
    for entry in _entries(adapters):
        name = entry.interface
        if name not in stats or name.startswith(_VIRTUAL + _TUNNELS):
            continue
        flags = flags_of(stats[name])
        if not flags >= _NEEDED_FLAGS or flags & {"loopback", "pointopoint"}:
            continue
        if not ipaddress.ip_address(entry.address).is_loopback:
            usable.append(entry)
    return sorted(usable)


def own_addresses(
    adapters: Iterable[ifaddr.Adapter], stats: Mapping[str, InterfaceStats], root: Path
) -> list[LocalAddress]:
    """Return all addresses of connected interfaces, each with the kind of its network."""
    kinds = {
        name: _kind(name, flags_of(stat), root / "sys/class/net" / name)
        for name, stat in stats.items()
        if {"up", "running"} <= flags_of(stat)
    }
    found = sorted(entry for entry in _entries(adapters) if entry.interface in kinds)
    return [LocalAddress(entry, kinds[entry.interface]) for entry in found]


def _entries(adapters: Iterable[ifaddr.Adapter]) -> Iterator[InterfaceAddress]:
    for adapter in adapters:
        name = interface_name(adapter.name)
        if adapter.index is None:
            continue
        for entry in adapter.ips:
            address = entry.ip if isinstance(entry.ip, str) else entry.ip[0]
            yield InterfaceAddress(
                name, adapter.index, address, entry.network_prefix, entry.is_IPv6
            )


def _kind(name: str, flags: frozenset[str], sysfs: Path) -> LinkKind:
    if "loopback" in flags:
        return LinkKind.LOOPBACK
    if name.startswith(_TUNNELS) or _is_tunnel(sysfs):
        return LinkKind.TUNNEL
    if "pointopoint" in flags:
        return LinkKind.POINT_TO_POINT
    return LinkKind.CONTAINERS if name.startswith(_VIRTUAL) else LinkKind.LOCAL_NETWORK


def _is_tunnel(sysfs: Path) -> bool:
    """Return whether it is a tunnel of a program or WireGuard, by any name; a modem's is none."""
    try:
        flags = int(_read(sysfs / "tun_flags") or "0", 16)
    except ValueError:
        flags = 0
    return bool(flags & _IFF_TUN) or "DEVTYPE=wireguard" in _read(sysfs / "uevent").split()


def _carrier_ups(interface: str) -> int:
    counted = _read(Path("/sys/class/net") / interface / "carrier_up_count")
    return int(counted) if counted.isdecimal() else 0


def wired_macs(root: Path = Path("/")) -> tuple[str, ...]:
    """Return the MAC addresses that may wake this box: of its wired cards, those up first.

    Args:
        root: Folder of ``sys``; another in tests.

    Returns:
        Lowercase with colons, each once.
    """
    cards = [
        card
        for card in _ethernet(root)
        # Only hardware has a `device`; only radios have a `phy80211` or `wireless`.
        if (card / "device").exists()
        and not ((card / "phy80211").exists() or (card / "wireless").exists())
    ]
    # The cards of a bond show one address.
    return tuple(dict.fromkeys(_read(card / "address").lower() for card in cards))


def wired_mac(root: Path = Path("/")) -> str | None:
    """Return the first of `wired_macs`, or None."""
    return next(iter(wired_macs(root)), None)


def own_macs(root: Path = Path("/")) -> tuple[str, ...]:
    """Return all MAC addresses of this box, also on Wi-Fi and in a container.

    Args:
        root: Folder of ``sys``; another in tests.

    Returns:
        Lowercase with colons, each once.
    """
    return tuple(dict.fromkeys(_read(card / "address").lower() for card in _ethernet(root)))


def _ethernet(root: Path) -> list[Path]:
    """Return the interfaces with Ethernet addresses, including Wi-Fi; those up first."""
    found: list[tuple[bool, Path]] = []
    for card in (root / "sys/class/net").glob("*"):
        mac = _read(card / "address").lower()
        if _read(card / "type") == _ETHERNET and MAC.fullmatch(mac) and mac != _NO_MAC:
            found.append((_read(card / "operstate") != "up", card))
    return [card for _down, card in sorted(found)]


def _read(path: Path) -> str:
    """Read one small file of sysfs; empty if it is missing or the driver refuses."""
    try:
        return path.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""
