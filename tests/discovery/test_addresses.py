from __future__ import annotations

import pytest

from inglenook.discovery.addresses import (
    InterfaceAddress,
    announced_addresses,
    sending_interfaces,
)

LAN = InterfaceAddress("eth0", 2, "192.168.1.20", 24, is_ipv6=False)
SECOND = InterfaceAddress("eth0", 2, "192.168.7.20", 24, is_ipv6=False)
AUTO = InterfaceAddress("eth0", 2, "169.254.3.4", 16, is_ipv6=False)
ULA = InterfaceAddress("eth0", 2, "fd77::1", 64, is_ipv6=True)
GLOBAL = InterfaceAddress("eth0", 2, "2001:db8::1", 64, is_ipv6=True)
LINK = InterfaceAddress("eth0", 2, "fe80::1", 64, is_ipv6=True)
WIFI = InterfaceAddress("wlan0", 3, "192.168.1.21", 24, is_ipv6=False)
WIFI_LINK = InterfaceAddress("wlan0", 3, "fe80::1", 64, is_ipv6=True)


@pytest.mark.parametrize(
    ("addresses", "announced"),
    [
        ([ULA, LAN], ["192.168.1.20", "fd77::1"]),
        ([LAN, LINK], ["192.168.1.20", "fe80::1"]),
        ([LAN, LINK, ULA, GLOBAL], ["192.168.1.20", "fd77::1", "2001:db8::1"]),
        ([AUTO], ["169.254.3.4"]),
        ([AUTO, WIFI], ["192.168.1.21"]),
        ([], []),
    ],
)
def test_link_local_addresses_are_announced_only_for_want_of_better(
    addresses: list[InterfaceAddress], announced: list[str]
) -> None:
    """A phone's browser cannot open fe80:: addresses, so they must not come first or in vain."""
    assert announced_addresses(addresses) == announced


@pytest.mark.parametrize(
    ("addresses", "sending"),
    [
        ([LAN, SECOND, ULA, LINK], ["192.168.1.20", 2]),
        ([LAN, LINK, WIFI, WIFI_LINK], ["192.168.1.20", "192.168.1.21", 2, 3]),
        ([LINK], [2]),
        ([], []),
    ],
)
def test_each_interface_sends_once_a_family(
    addresses: list[InterfaceAddress], sending: list[str | int]
) -> None:
    """Two addresses on one cable are one multicast group, and one fe80:: may be on two cables."""
    assert sending_interfaces(addresses) == sending
