"""Addresses of cards as people write them, and names and flags as the kernel has them."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from inglenook.common.network_cards import MAC, flags_of, interface_name, parse_mac

ADDRESS = bytes.fromhex("dca632010203")


@pytest.mark.parametrize("text", ["dc:a6:32:01:02:03", "DC-A6-32-01-02-03", "dC:a6:32-01:02:03"])
def test_an_address_is_read_as_people_write_it(text: str) -> None:
    """With colons or hyphens, in any case."""
    assert parse_mac(text) == ADDRESS


@pytest.mark.parametrize(
    "text",
    ["", "Kitchen", "dca632010203", "dc:a6:32:01:02", "dc:a6:32:01:02:03:04", "dc:a6:32:01:02:0g",
     " dc:a6:32:01:02:03", "dc:a6:32:01:02:03\n", "\N{ARABIC-INDIC DIGIT ONE}1:a6:32:01:02:03"],
)  # fmt: skip
def test_what_is_no_address_is_a_sentence(text: str) -> None:
    """Which shows how one is written."""
    with pytest.raises(ValueError, match="not a MAC address; write for example aa:bb"):
        parse_mac(text)


def test_our_own_form_is_one_that_people_may_write() -> None:
    """Of letters only the small ones."""
    assert MAC.fullmatch("dc:a6:32:01:02:03")
    assert parse_mac("dc:a6:32:01:02:03") == ADDRESS
    for other in ("DC:A6:32:01:02:03", "dc-a6-32-01-02-03", "dc:a6:32:01:02"):
        assert not MAC.fullmatch(other)


def test_an_alias_is_its_interface() -> None:
    """Its flags are the interface's."""
    assert [interface_name(name) for name in ("eth0", "eth0:1", "")] == ["eth0", "eth0", ""]


def test_an_interface_that_is_not_known_has_no_flags() -> None:
    """It went away between two questions to the kernel."""
    assert flags_of(SimpleNamespace(flags="up,running,multicast")) >= {"up", "running"}
    assert flags_of(None) == frozenset()
