from __future__ import annotations

from dataclasses import replace

import pytest

from inglenook.discovery.addresses import (
    InterfaceAddress,
    links_of,
    sending_interfaces,
)

LAN = InterfaceAddress("eth0", 2, "192.168.1.20", 24, is_ipv6=False)
SECOND = InterfaceAddress("eth0", 2, "192.168.7.20", 24, is_ipv6=False)
AUTO = InterfaceAddress("eth0", 2, "169.254.3.4", 16, is_ipv6=False)
ULA = InterfaceAddress("eth0", 2, "fd77::1", 64, is_ipv6=True)
GLOBAL = InterfaceAddress("eth0", 2, "2001:db8::1", 64, is_ipv6=True)
LINK = InterfaceAddress("eth0", 2, "fe80::1", 64, is_ipv6=True)
WIFI = InterfaceAddress("wlan0", 3, "192.168.1.21", 24, is_ipv6=False)
WIFI_AUTO = InterfaceAddress("wlan0", 3, "169.254.5.6", 16, is_ipv6=False)
WIFI_ULA = InterfaceAddress("wlan0", 3, "fd77::2", 64, is_ipv6=True)
WIFI_LINK = InterfaceAddress("wlan0", 3, "fe80::1", 64, is_ipv6=True)


@pytest.mark.parametrize(
    ("addresses", "announced"),
    [
        ([ULA, LAN], {"eth0": ["192.168.1.20", "fd77::1"]}),
        ([LAN, LINK], {"eth0": ["192.168.1.20", "fe80::1"]}),
        ([LAN, LINK, ULA, GLOBAL], {"eth0": ["192.168.1.20", "fd77::1", "2001:db8::1"]}),
        ([AUTO], {"eth0": ["169.254.3.4"]}),
        ([AUTO, LAN], {"eth0": ["192.168.1.20"]}),
        ([], {}),
    ],
)
def test_link_local_addresses_are_announced_only_for_want_of_better(
    addresses: list[InterfaceAddress], announced: dict[str, list[str]]
) -> None:
    """A phone's browser cannot open fe80:: addresses, so they must not come first or in vain."""
    assert heard(addresses) == announced


@pytest.mark.parametrize(
    ("addresses", "announced"),
    [
        # A direct cable to a laptop, beside the Wi-Fi.
        ([AUTO, WIFI], {"eth0": ["169.254.3.4"], "wlan0": ["192.168.1.21"]}),
        ([SECOND, WIFI], {"eth0": ["192.168.7.20"], "wlan0": ["192.168.1.21"]}),
        # Two interfaces in one network: both say both, their own first.
        (
            [LAN, WIFI],
            {
                "eth0": ["192.168.1.20", "192.168.1.21"],
                "wlan0": ["192.168.1.21", "192.168.1.20"],
            },
        ),
        (
            [ULA, LINK, WIFI_ULA, WIFI_LINK],
            {"eth0": ["fd77::1", "fd77::2"], "wlan0": ["fd77::2", "fd77::1"]},
        ),
        # 169.254.0.0/16 is another network on every link.
        ([AUTO, WIFI_AUTO], {"eth0": ["169.254.3.4"], "wlan0": ["169.254.5.6"]}),
    ],
)
def test_each_link_hears_what_it_can_reach(
    addresses: list[InterfaceAddress], announced: dict[str, list[str]]
) -> None:
    """RFC 6762 section 6.2."""
    assert heard(addresses) == announced


def heard(addresses: list[InterfaceAddress]) -> dict[str, list[str]]:
    return {name: list(link.announced) for name, link in links_of(addresses).items()}


def test_a_link_that_was_down_meanwhile_is_another() -> None:
    """So that it is asked there again whose the names are."""
    before, after = links_of([LAN]), links_of([replace(LAN, carrier_ups=1)])
    assert before != after
    assert before["eth0"].announced == after["eth0"].announced


@pytest.mark.parametrize(
    ("addresses", "sending"),
    [
        ([LAN, SECOND, ULA, LINK], ["192.168.1.20", 2]),
        ([LAN, LINK, WIFI, WIFI_LINK], ["192.168.1.20", "192.168.1.21", 2, 3]),
        ([AUTO, LAN], ["192.168.1.20"]),
        ([LINK], [2]),
        ([], []),
    ],
)
def test_each_interface_sends_once_a_family(
    addresses: list[InterfaceAddress], sending: list[str | int]
) -> None:
    """Two addresses on one cable are one multicast group, and one fe80:: may be on two cables."""
    assert sending_interfaces(addresses) == sending
