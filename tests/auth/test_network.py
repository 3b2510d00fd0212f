"""Requests are for this box, from our own page, and from nearby; nothing else."""

from __future__ import annotations

from ipaddress import ip_address, ip_interface

import pytest

from inglenook.auth.network import (
    AddressScope,
    OwnAddress,
    OwnNames,
    host_allowed,
    origin_allowed,
    peer_allowed,
    peer_is_loopback,
)

OWN = OwnNames(
    addresses=frozenset(
        ip_address(text)
        for text in (
            "192.168.1.5",
            "fd00::5",
            "2001:db8:1::5",
            "fe80::1234%eth0",
            "100.101.102.103",
        )
    ),
    host_name="Kitchen-Pi",
    mdns_name="kitchen-1a2b.local",
    configured=("box.tailnet.ts.net", "Llm.Home.Example.", "10.9.8.7", "fd99::1"),
)


@pytest.mark.parametrize(
    "header",
    [
        "localhost",
        "localhost:8377",
        "LOCALHOST",
        "127.0.0.1",
        "127.0.0.1:8377",
        "127.8.8.8",
        "[::1]",
        "[::1]:8377",
        "192.168.1.5",
        "192.168.1.5:1",
        "192.168.1.5:",
        "[fd00::5]:8377",
        "[FD00:0:0:0:0:0:0:5]",
        "[2001:db8:1::5]",
        "[fe80::1234]",
        "[fe80::1234%eth0]:8377",
        "[fe80::1234%25eth0]:8377",
        "[::ffff:192.168.1.5]",
        "kitchen-pi",
        "KITCHEN-PI:8377",
        "kitchen-pi.local",
        "kitchen-pi.local.:8377",
        "kitchen-1a2b.local:8377",
        "kitchen-1a2b",
        "box.tailnet.ts.net",
        "llm.home.example:443",
        "10.9.8.7:8377",
        "[FD99:0::1]:8377",
    ],
)
def test_a_host_header_that_names_this_box_is_let_in(header: str) -> None:
    """By any of its addresses or names, on any port."""
    assert host_allowed(header, OWN)


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        " ",
        ".",
        ".local",
        "evil.example",
        "192.168.1.6",
        "192.168.1.5.evil.example",
        "192.168.001.005",
        "3232235781",
        "0xC0A80105",
        "192.168.1.5.nip.io",
        "127.0.0.1.nip.io",
        "0.0.0.0",
        "[fd00::6]",
        "[::]",
        "fd00::5",
        "[fd00::5",
        "[localhost]",
        "[192.168.1.5]:x",
        "localhost:80:80",
        "localhost:123456",
        "localhost:-1",
        "localhost:٣",
        "local host",
        "localhost\n",
        "localhost/",
        "user@localhost",
        "localhost,evil.example",
        "http://localhost",
        "sub.kitchen-pi.local",
        "kitchen-pi.evil.example",
        "kitchen-pi..local",
        "tailnet.ts.net",
        "other.tailnet.ts.net",
        "10.9.8.8",
        "küche.local",
        "\ud800",
    ],
)
def test_any_other_host_header_is_refused(header: str | None) -> None:
    """A page that had its own name resolve to our address gets nothing, and garbage is no name."""
    assert not host_allowed(header, OWN)


def test_a_box_without_names_is_reached_by_address_only() -> None:
    """Empty names match nothing."""
    nameless = OwnNames(frozenset({ip_address("10.0.0.1")}), host_name="", mdns_name="")

    assert nameless.known() == {"localhost"}
    assert host_allowed("10.0.0.1", nameless)
    assert not host_allowed(".", nameless)


@pytest.mark.parametrize(
    ("origin", "host", "site", "allowed"),
    [
        # Programs, and browsers on the same origin that leave Origin out.
        (None, "192.168.1.5:8377", None, True),
        (None, "192.168.1.5:8377", "none", True),
        (None, "192.168.1.5:8377", "same-origin", True),
        (None, "192.168.1.5:8377", "cross-site", False),
        # Our own page.
        ("http://192.168.1.5:8377", "192.168.1.5:8377", None, True),
        ("https://192.168.1.5:8378", "192.168.1.5:8378", "same-origin", True),
        ("http://KITCHEN-PI.local:8377", "kitchen-pi.local:8377", None, True),
        ("http://kitchen-pi.local", "kitchen-pi.local", None, True),
        ("http://kitchen-pi.local", "kitchen-pi.local:80", None, True),
        ("https://kitchen-pi.local", "kitchen-pi.local:443", None, True),
        ("http://[fd00::5]:8377", "[fd00:0::5]:8377", None, True),
        # Anybody else's.
        ("http://evil.example", "192.168.1.5:8377", "cross-site", False),
        ("https://evil.example:8377", "192.168.1.5:8377", None, False),
        ("http://192.168.1.5:8377", "evil.example:8377", None, False),
        ("http://192.168.1.5:9999", "192.168.1.5:8377", "same-site", False),
        ("http://192.168.1.5", "192.168.1.5:8377", None, False),
        ("http://kitchen-pi.local", "kitchen-pi.local:443", None, False),
        ("null", "192.168.1.5:8377", None, False),
        ("", "192.168.1.5:8377", None, False),
        ("file://", "192.168.1.5:8377", None, False),
        ("http://", "192.168.1.5:8377", None, False),
        ("192.168.1.5:8377", "192.168.1.5:8377", None, False),
        ("http://192.168.1.5:8377/page", "192.168.1.5:8377", None, False),
        ("http://192.168.1.5:8377@evil.example", "192.168.1.5:8377", None, False),
        ("http://user@192.168.1.5:8377", "192.168.1.5:8377", None, False),
        ("http://[fd00::5", "[fd00::5]", None, False),
        ("gopher://192.168.1.5:8377", "192.168.1.5:8377", None, False),
        ("http://192.168.1.5:8377 http://evil.example", "192.168.1.5:8377", None, False),
        ("http://a", None, None, False),
        # Let in by the operator.
        ("https://chat.home.example", "192.168.1.5:8377", "cross-site", True),
        ("HTTPS://Chat.Home.Example:443", "192.168.1.5:8377", None, True),
        ("http://chat.home.example", "192.168.1.5:8377", None, False),
        ("https://chat.home.example:444", "192.168.1.5:8377", None, False),
        ("https://chat.home.example.evil.example", "192.168.1.5:8377", None, False),
        ("capacitor://localhost", "192.168.1.5:8377", None, True),
        ("capacitor://elsewhere", "192.168.1.5:8377", None, False),
    ],
)
def test_only_our_own_page_and_those_allowed_may_call(
    origin: str | None, host: str | None, site: str | None, allowed: bool
) -> None:
    """The same scheme, host and port, with the ports that go without saying."""
    extra = ("https://chat.home.example/", "capacitor://localhost", "not an origin")

    assert origin_allowed(origin, host, extra, site) is allowed


def own(link: AddressScope, *addresses: str) -> tuple[OwnAddress, ...]:
    return tuple(OwnAddress(ip_interface(text), link) for text in addresses)


LAN = own(AddressScope.LOCAL_NETWORK, "192.168.1.5/24", "2001:db8:1::5/64", "fe80::5/64")
# As Tailscale and Headscale make it: an address, and no network.
TAILNET = (*LAN, *own(AddressScope.TUNNEL, "100.101.102.103/32", "fd7a:115c:a1e0::5/128"))
NETBIRD = (*LAN, *own(AddressScope.TUNNEL, "100.99.7.5/16"))
PUBLIC = own(AddressScope.LOCAL_NETWORK, "198.51.100.5/24")
# A board that is a carrier's customer itself: by cable, and by a modem.
CARRIER_CABLE = own(AddressScope.LOCAL_NETWORK, "100.72.4.5/22")
CARRIER_MODEM = own(AddressScope.POINT_TO_POINT, "100.72.4.5/32", "198.51.100.5/24")
# VPN providers give one address, or the whole of a network of customers.
VPN = own(AddressScope.TUNNEL, "203.0.113.5/32", "198.51.100.5/24", "2001:db8:9::5/48", "0.0.0.0/0")
CONTAINERS = own(AddressScope.CONTAINERS, "172.17.0.1/16", "198.51.100.1/28", "2001:db8:7::1/64")
TOO_WIDE = own(AddressScope.LOCAL_NETWORK, "198.51.100.5/0", "2001:db8:1::5/3")


@pytest.mark.parametrize(
    ("peer", "addresses", "allowed"),
    [
        ("127.0.0.1", (), True),
        ("127.1.2.3", (), True),
        ("::1", (), True),
        ("10.1.2.3", (), True),
        ("172.16.0.1", (), True),
        ("172.31.255.255", (), True),
        ("192.168.99.99", LAN, True),
        ("169.254.7.7", (), True),
        ("fe80::1", (), True),
        ("fe80::1%eth0", (), True),
        ("fd12:3456::1", (), True),
        ("::ffff:192.168.1.77", (), True),
        ("::ffff:127.0.0.1", (), True),
        # Phones with global IPv6 addresses, next to us and elsewhere.
        ("2001:db8:1::77", LAN, True),
        ("2001:db8:2::77", LAN, False),
        ("2001:db8:1::77", (), False),
        # A network of ours that happens to be public.
        ("198.51.100.7", PUBLIC, True),
        ("::ffff:198.51.100.7", PUBLIC, True),
        ("198.51.101.7", PUBLIC, False),
        # A carrier's customers are neighbours only on a tailnet.
        ("100.64.0.1", LAN, False),
        ("100.64.0.1", TAILNET, True),
        ("100.127.255.254", TAILNET, True),
        ("::ffff:100.64.1.9", TAILNET, True),
        ("100.128.0.1", TAILNET, False),
        ("fd7a:115c:a1e0::9", TAILNET, True),
        ("::ffff:100.64.0.1", LAN, False),
        ("100.99.255.9", NETBIRD, True),
        ("100.98.7.5", NETBIRD, False),
        ("100.72.7.255", CARRIER_CABLE, True),
        ("100.72.8.1", CARRIER_CABLE, False),
        ("100.72.4.9", CARRIER_MODEM, False),
        # A tunnel or a modem with a public address does not open the box to who else is there.
        ("198.51.100.7", CARRIER_MODEM, False),
        ("203.0.113.7", VPN, False),
        ("203.0.113.5", VPN, False),
        ("198.51.100.7", VPN, False),
        ("2001:db8:9::7", VPN, False),
        ("8.8.8.8", VPN, False),
        ("100.64.0.1", VPN, False),
        # What runs on this machine, whatever addresses it was given.
        ("172.17.0.9", CONTAINERS, True),
        ("198.51.100.9", CONTAINERS, True),
        ("198.51.100.17", CONTAINERS, False),
        ("2001:db8:7::9", CONTAINERS, True),
        # Somebody handed out half of the world as our network.
        ("8.8.8.8", TOO_WIDE, False),
        ("2001:db8:1::77", TOO_WIDE, False),
        ("192.168.1.1", TOO_WIDE, True),
        # The rest of the world, and what only looks private.
        ("8.8.8.8", LAN, False),
        ("172.32.0.1", LAN, False),
        ("172.15.255.255", LAN, False),
        ("192.169.0.1", LAN, False),
        ("198.18.0.1", LAN, False),
        ("192.0.2.1", LAN, False),
        ("0.0.0.0", LAN, False),
        ("::", LAN, False),
        ("224.0.0.251", LAN, False),
        ("::ffff:8.8.8.8", LAN, False),
        ("64:ff9b::c0a8:101", LAN, False),
        ("2002:c0a8:101::1", LAN, False),
        (None, LAN, False),
        ("", LAN, False),
        ("localhost", LAN, False),
        ("192.168.1", LAN, False),
    ],
)
def test_only_neighbours_may_connect(
    peer: str | None, addresses: tuple[OwnAddress, ...], allowed: bool
) -> None:
    """Near is this box, a private address, or a network one of our interfaces is in."""
    assert peer_allowed(peer, addresses) is allowed


def test_devices_come_by_the_local_network_and_by_tunnels() -> None:
    """What is shown to people and stands in the certificate; no container's, no modem's."""
    shown = [link for link in AddressScope if own(link, "192.0.2.1/24")[0].is_for_devices]

    assert shown == [AddressScope.LOCAL_NETWORK, AddressScope.TUNNEL]


@pytest.mark.parametrize(
    ("peer", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.8.9.10", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("192.168.1.77", False),
        ("::ffff:192.168.1.77", False),
        ("fe80::1%eth0", False),
        ("localhost", False),
        ("", False),
        (None, False),
    ],
)
def test_this_machine_is_known_by_its_address(peer: str | None, loopback: bool) -> None:
    """Also where one socket hears both kinds of address; a name proves nothing."""
    assert peer_is_loopback(peer) is loopback
