from __future__ import annotations

from dataclasses import replace

import pytest

from inglenook.discovery.names import Names
from inglenook.discovery.rivals import ObservedRecords, OwnRecords, Rival, ServiceRecord

ID = "ab12cd34"
MINE = OwnRecords(
    Names("Kitchen", "kitchen-ab12"),
    ID,
    8377,
    ("10.0.0.5", "fd77::5"),
    frozenset({"10.0.0.5", "fd77::5", "10.9.0.5"}),
)
OURS = ServiceRecord("kitchen", "kitchen-ab12", 8377)


def rivals(observed: ObservedRecords, since_s: float = 0.0, mine: OwnRecords = MINE) -> list[Rival]:
    return list(observed.rivals(mine, since_s))


def test_what_a_box_hears_of_itself_is_no_rival() -> None:
    """By multicast; and from a reflector the addresses that it has on another link."""
    observed = ObservedRecords()
    observed.service(OURS, ID, 1)
    for address in MINE.own:
        observed.address("kitchen-ab12", address, 1)
    assert rivals(observed) == []
    assert observed.heard(MINE.names, 1)
    assert not observed.heard(MINE.names, 2)


def test_another_box_of_the_name_is_a_rival() -> None:
    """Its id tells that it is no echo."""
    observed = ObservedRecords()
    observed.service(ServiceRecord("kitchen", "kitchen-9999", 8377), "99999999", 1)
    observed.address("kitchen-9999", "10.0.0.9", 1)
    (rival,) = rivals(observed)
    assert (rival.part, rival.addresses, rival.may_be_echo) == ("instance", ("10.0.0.9",), False)


@pytest.mark.parametrize("server_id", [None, ""])
def test_whoever_does_not_say_its_id_is_a_rival(server_id: str | None) -> None:
    """Such as what `avahi-publish` announces."""
    observed = ObservedRecords()
    observed.service(ServiceRecord("kitchen", "laptop", 80), server_id, 1)
    assert [rival.may_be_echo for rival in rivals(observed)] == [False]


def test_what_avahi_says_of_a_box_that_sleeps_is_no_rival() -> None:
    """By the board's own host name, at an address of the box."""
    observed = ObservedRecords()
    observed.service(ServiceRecord("kitchen", "raspberrypi", 8377), ID, 1)
    observed.address("raspberrypi", "10.0.0.5", 1)
    assert rivals(observed) == []


def test_ones_own_id_at_another_address_is_a_twin_or_an_echo() -> None:
    """A copied card, or the box's life before: somebody has to ask."""
    observed = ObservedRecords()
    observed.service(ServiceRecord("kitchen", "kitchen-ab12-2", 8377), ID, 1)
    observed.address("kitchen-ab12-2", "10.0.0.9", 1)
    observed.service(OURS, ID, 1)
    observed.address("kitchen-ab12", "10.0.0.8", 1)
    assert [(r.part, r.addresses, r.ports, r.may_be_echo) for r in rivals(observed)] == [
        ("instance", ("10.0.0.9",), (8377,), True),
        ("host", ("10.0.0.8",), (8377,), True),
    ]


def test_a_host_name_that_no_box_uses_is_somebody_elses() -> None:
    """Nothing says that it was ever this box's."""
    observed = ObservedRecords()
    observed.address("kitchen-ab12", "10.0.0.8", 1)
    assert [(rival.part, rival.may_be_echo) for rival in rivals(observed)] == [("host", False)]


def test_a_host_name_of_a_box_with_another_id_is_somebody_elses() -> None:
    """Though it may be this box's as well."""
    observed = ObservedRecords()
    observed.service(OURS, ID, 1)
    observed.service(ServiceRecord("study", "kitchen-ab12", 8377), "99999999", 1)
    observed.address("kitchen-ab12", "10.0.0.8", 1)
    assert [rival.may_be_echo for rival in rivals(observed)] == [False]


def test_a_stranger_by_the_very_same_names_is_no_echo() -> None:
    """Its records are this box's but for the id, and it may have spoken first or last."""
    for ids in ((ID, "99999999"), ("99999999", ID)):
        observed = ObservedRecords()
        for server_id in ids:
            observed.service(OURS, server_id, 1)
        observed.address("kitchen-ab12", "10.0.0.8", 1)
        assert [(rival.part, rival.may_be_echo) for rival in rivals(observed)] == [("host", False)]


def test_only_what_was_said_since_counts() -> None:
    """Whoever has fallen silent holds nothing."""
    observed = ObservedRecords()
    observed.service(ServiceRecord("kitchen", "laptop", 80), None, 1)
    observed.address("kitchen-ab12", "10.0.0.8", 1)
    assert rivals(observed, since_s=2) == []
    assert len(rivals(observed, since_s=1)) == 2


def test_a_goodbye_is_taken_at_its_word() -> None:
    """It frees the name at once."""
    observed = ObservedRecords()
    observed.service(ServiceRecord("kitchen", "laptop", 80), None, 1)
    observed.address("kitchen-ab12", "10.0.0.8", 1)
    observed.forget_service(ServiceRecord("kitchen", "laptop", 80))
    observed.forget_address("kitchen-ab12", "10.0.0.8")
    assert rivals(observed) == []


def test_an_id_that_was_said_once_is_remembered() -> None:
    """An answer to a question for the address alone says no id."""
    observed = ObservedRecords()
    twin = ServiceRecord("kitchen", "kitchen-ab12-2", 8377)
    observed.service(twin, ID, 1)
    observed.service(twin, None, 2)
    observed.address("kitchen-ab12-2", "10.0.0.9", 2)
    assert [rival.may_be_echo for rival in rivals(observed, since_s=2)] == [True]


@pytest.mark.parametrize(
    ("theirs", "wins"),
    [("10.0.0.4", False), ("10.0.0.9", True), ("9.255.255.255", False), ("fd77::9", True)],
)
def test_the_later_address_wins_the_host_name(theirs: str, *, wins: bool) -> None:
    """RFC 6762 section 8.2: types first, then the bytes; so both sides come to the same."""
    observed = ObservedRecords()
    observed.address("kitchen-ab12", theirs, 1)
    assert [rival.wins for rival in rivals(observed)] == [wins]
    back = ObservedRecords()
    for address in MINE.announced:
        back.address("kitchen-ab12", address, 1)
    other = replace(MINE, announced=(theirs,), own=frozenset({theirs}))
    assert [rival.wins for rival in rivals(back, mine=other)] == [not wins]


@pytest.mark.parametrize(
    ("theirs", "wins"),
    [
        (ServiceRecord("kitchen", "kitchen-9999", 8377), False),
        (ServiceRecord("kitchen", "kitchen-ffff", 8377), True),
        (ServiceRecord("kitchen", "zz", 8377), False),  # a label's length comes before its letters
        (ServiceRecord("kitchen", "a", 8378), True),  # and the port before the host
    ],
)
def test_the_later_record_wins_the_service_name(theirs: ServiceRecord, *, wins: bool) -> None:
    """RFC 6762 section 8.2, and the same from the other side."""
    observed, back = ObservedRecords(), ObservedRecords()
    observed.service(theirs, "99999999", 1)
    back.service(OURS, ID, 1)
    assert [rival.wins for rival in rivals(observed)] == [wins]
    other = replace(
        MINE, names=Names("Kitchen", theirs.host), port=theirs.port, server_id="99999999"
    )
    assert [rival.wins for rival in rivals(back, mine=other)] == [not wins]


def test_strangers_cannot_fill_the_memory() -> None:
    """The oldest is forgotten; the names in question are asked for anew in any case."""
    observed = ObservedRecords()
    for number in range(1000):
        observed.service(ServiceRecord(f"box{number}", f"host{number}", 80), None, number)
        observed.address(f"host{number}", "10.0.0.9", number)
    assert len(observed._services) == len(observed._addresses) == 256
    observed.service(OURS, ID, 1000)
    assert observed.heard(MINE.names, 1000)
