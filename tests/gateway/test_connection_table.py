"""Which connection goes when another comes: never one of a small group for one of a large."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inglenook.gateway.connection_table import (
    UNAUTHENTICATED_MAX,
    UNAUTHENTICATED_SHARE,
    ConnectionTable,
    peer_group,
)


@pytest.mark.parametrize(
    ("host", "group"),
    [
        ("192.168.1.7", "192.168.1.7"),
        ("::ffff:192.168.1.7", "192.168.1.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::9", "2001:db8:1:3::/64"),
        ("fd00::1", "fd00::/64"),
        ("fe80::1%eth0", "fe80::1%eth0"),
        ("fe80::1%wlan0", "fe80::1%wlan0"),
        ("fe80::2%eth0", "fe80::2%eth0"),
        ("::1", "::/64"),
        ("no address", "no address"),
    ],
)
def test_one_host_is_one_group(host: str, group: str) -> None:
    """Of an IPv6 network a host may have all addresses; link-local ones are told apart."""
    assert peer_group(host) == group


def test_nothing_is_dropped_while_there_is_room() -> None:
    """Even if one address holds it all."""
    table: ConnectionTable[int] = ConnectionTable(4, 1)

    assert [table.add(number, "one") for number in range(4)] == [None] * 4
    assert table.is_full


def test_an_address_with_many_makes_room_with_its_oldest() -> None:
    """Also for its own: a newcomer always gets in."""
    table: ConnectionTable[int] = ConnectionTable(4, 1)
    table.add(0, "few")
    for number in range(1, 4):
        table.add(number, "many")

    assert table.add(4, "other") == 1
    assert table.add(5, "many") == 2
    assert table.add(6, "many") == 3
    assert 0 in table


def test_where_every_address_has_few_the_oldest_of_all_goes() -> None:
    """An attacker with many addresses does not keep newcomers out."""
    table: ConnectionTable[int] = ConnectionTable(4, 1)

    assert [table.add(number, str(number)) for number in range(6)] == [None] * 4 + [0, 1]


@pytest.mark.parametrize("addresses", [1, 2, 8, 300])
@pytest.mark.parametrize("own", [True, False])
def test_a_phone_has_a_second_to_authenticate(addresses: int, own: bool) -> None:
    """While strangers come at 100 a second, from its own address or from others."""
    table: ConnectionTable[str] = ConnectionTable(UNAUTHENTICATED_MAX, UNAUTHENTICATED_SHARE)
    for number in range(1000):
        table.add(f"before {number}", str(number % addresses))

    table.add("phone", "0" if own else "phone")
    for number in range(100):
        assert table.add(f"after {number}", str(number % addresses)) != "phone"


def test_twenty_phones_behind_one_proxy_all_get_in_at_once() -> None:
    """After a restart each opens several connections, all from one address."""
    table: ConnectionTable[int] = ConnectionTable(UNAUTHENTICATED_MAX, UNAUTHENTICATED_SHARE)

    assert not any(table.add(number, "proxy") for number in range(20 * 6))


@given(
    steps=st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 30)), max_size=120),
    most=st.integers(1, 12),
    share=st.integers(1, 4),
)
def test_the_one_that_goes_is_the_one_the_rule_names(
    steps: list[tuple[str, int]], most: int, share: int
) -> None:
    """Whatever comes and goes; and there are never more than the bound."""
    table: ConnectionTable[int] = ConnectionTable(most, share)
    held: dict[int, str] = {}
    for number, (group, leaves) in enumerate(steps):
        table.remove(leaves)
        held.pop(leaves, None)
        counts = Counter(held.values())
        greedy = [key for key, of in held.items() if counts[of] > share]
        expected = (greedy or list(held))[0] if len(held) == most else None

        assert table.add(number, group) == expected

        held.pop(-1 if expected is None else expected, None)
        held[number] = group
        assert len(table) == len(held) <= most


def test_an_empty_table_has_nothing_to_drop() -> None:
    """Nor does one that was emptied."""
    table: ConnectionTable[int] = ConnectionTable(2, 1)
    table.add(1, "a")

    assert (table.pop_oldest(), table.pop_oldest()) == (1, None)
