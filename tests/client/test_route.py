"""Where a token may go: to one TLS key, or not off this machine."""

from __future__ import annotations

import ssl

import psutil
import pytest

from inglenook.client.route import (
    Route,
    on_this_machine,
    parse_url,
    route_to_box,
    route_to_pair,
    route_to_server,
)
from inglenook.common.errors import StartupError
from inglenook.discovery.box import BoxHello

PIN = "x" * 43
PLAIN = BoxHello("0123abcd", "Kitchen")
TLS = BoxHello("0123abcd", "Kitchen", 8378, "y" * 43)
HERE, ELSEWHERE = "http://127.0.0.1:8377", "http://192.0.2.7:8377"


@pytest.mark.parametrize(
    ("typed", "url"),
    [
        ("kitchen:8377/", "http://kitchen:8377"),
        ("ws://kitchen:8377", "http://kitchen:8377"),
        ("WSS://kitchen", "https://kitchen"),
        (" https://[fe80::1%eth0]:8378 ", "https://[fe80::1%eth0]:8378"),
    ],
)
def test_addresses_are_taken_as_people_write_them(typed: str, url: str) -> None:
    """With and without a scheme."""
    assert parse_url(typed) == url


@pytest.mark.parametrize("typed", ["", "http://", "ftp://x", "http://[::1", "x:99999", "x:0"])
def test_what_is_no_address_is_a_sentence(typed: str) -> None:
    """Before anything is sent."""
    with pytest.raises(StartupError, match="is no address"):
        parse_url(typed)


def own_address() -> str:
    """An address of this machine, of whatever kind."""
    found = [
        a.address for list_ in psutil.net_if_addrs().values() for a in list_ if "." in a.address
    ]
    return found[-1]


@pytest.mark.parametrize(
    ("host", "here"),
    [
        ("127.0.0.1", True),
        ("127.8.9.10", True),
        ("localhost", True),
        ("[::1]", True),
        ("[::ffff:127.0.0.1]", True),
        (own_address(), True),
        ("192.0.2.7", False),
        ("[2001:db8::1]", False),
        ("127.0.0.1.example", False),
        ("localhost.example", False),
        # Whoever answers for a name says where it leads.
        ("kitchen.local", False),
        ("0.0.0.0.nip.io", False),
    ],
)
def test_this_machine_is_told_from_others(host: str, here: bool) -> None:
    """By numbers alone."""
    assert on_this_machine(f"http://{host}:8377") is here


@pytest.mark.parametrize("url", [HERE, ELSEWHERE, "http://[2001:db8::1]:8377", "http://x"])
def test_with_a_known_key_it_is_tls_everywhere(url: str) -> None:
    """Another program may have taken the port here, too."""
    route = route_to_box(url, TLS, PIN)

    assert route.url == f"https://{url.removeprefix('http://').removesuffix(':8377')}:8378"
    assert route.websocket_url == f"wss{route.url.removeprefix('https')}/ws"
    assert route.pin == PIN
    assert route.tls is not None


@pytest.mark.parametrize("url", [HERE, ELSEWHERE])
def test_a_box_known_by_its_key_cannot_do_without(url: str) -> None:
    """Whoever answers in its place would say that there is no TLS."""
    with pytest.raises(StartupError, match="inglenook chat --pair"):
        route_to_box(url, PLAIN, PIN)


@pytest.mark.parametrize(("box", "words"), [(TLS, "--fingerprint"), (PLAIN, "--insecure")])
def test_elsewhere_without_a_key_nothing_goes(box: BoxHello, words: str) -> None:
    """And what to do is said."""
    with pytest.raises(StartupError, match=words):
        route_to_box(ELSEWHERE, box, None)
    assert route_to_box(ELSEWHERE, box, None, insecure=True) == Route(ELSEWHERE)


def test_on_this_machine_a_box_without_a_key_is_reached_plainly() -> None:
    """So the first two commands stay two."""
    assert route_to_box(HERE, TLS, None) == Route(HERE)


def test_https_without_a_key_needs_a_certificate_that_is_trusted() -> None:
    """Unless the user does not care."""
    trusted = route_to_server("https://192.0.2.7", insecure=False)
    careless = route_to_server("https://192.0.2.7", insecure=True)

    assert trusted.tls is not None
    assert careless.tls is not None
    assert trusted.tls.verify_mode is ssl.CERT_REQUIRED
    assert trusted.tls.check_hostname
    assert careless.tls.verify_mode is ssl.CERT_NONE


def test_a_key_for_another_server_does_not_go_in_clear() -> None:
    """As with `inglenook bench`."""
    with pytest.raises(StartupError, match="--insecure"):
        route_to_server(ELSEWHERE, insecure=False)
    assert route_to_server(HERE, insecure=False) == Route(HERE)


def test_a_code_goes_to_the_key_the_box_shows_or_the_one_named() -> None:
    """Which is then its key for good."""
    assert route_to_pair(ELSEWHERE, TLS, None).pin == TLS.spki_sha256
    assert route_to_pair(ELSEWHERE, TLS, PIN).pin == PIN
    assert route_to_pair(HERE, PLAIN, None) == Route(HERE)


@pytest.mark.parametrize(("url", "pin"), [(ELSEWHERE, None), (ELSEWHERE, PIN), (HERE, PIN)])
def test_a_code_does_not_go_without_tls(url: str, pin: str | None) -> None:
    """Whoever reads along could use it first, and has the token in any case."""
    with pytest.raises(StartupError, match="no TLS port"):
        route_to_pair(url, PLAIN, pin)
