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


def rivals(hearsay: ObservedRecords, since_s: float = 0.0, mine: OwnRecords = MINE) -> list[Rival]:
    return list(hearsay.rivals(mine, since_s))


def test_what_a_box_hears_of_itself_is_no_rival() -> None:
    """By multicast; and from a reflector the addresses that it has on another link."""
    hearsay = ObservedRecords()
    hearsay.service(OURS, ID, 1)
    for address in MINE.own:
        hearsay.address("kitchen-ab12", address, 1)
    assert rivals(hearsay) == []
    assert hearsay.heard(MINE.names, 1)
    assert not hearsay.heard(MINE.names, 2)


def test_another_box_of_the_name_is_a_rival() -> None:
    """Its id tells that it is no echo."""
    hearsay = ObservedRecords()
    hearsay.service(ServiceRecord("kitchen", "kitchen-9999", 8377), "99999999", 1)
    hearsay.address("kitchen-9999", "10.0.0.9", 1)
    (rival,) = rivals(hearsay)
    assert (rival.part, rival.addresses, rival.may_be_echo) == ("instance", ("10.0.0.9",), False)


@pytest.mark.parametrize("server_id", [None, ""])
def test_whoever_does_not_say_its_id_is_a_rival(server_id: str | None) -> None:
    """Such as what `avahi-publish` announces."""
    hearsay = ObservedRecords()
    hearsay.service(ServiceRecord("kitchen", "laptop", 80), server_id, 1)
    assert [rival.may_be_echo for rival in rivals(hearsay)] == [False]


def test_what_avahi_says_of_a_box_that_sleeps_is_no_rival() -> None:
    """By the board's own host name, at an address of the box."""
    hearsay = ObservedRecords()
    hearsay.service(ServiceRecord("kitchen", "raspberrypi", 8377), ID, 1)
    hearsay.address("raspberrypi", "10.0.0.5", 1)
    assert rivals(hearsay) == []


def test_ones_own_id_at_another_address_is_a_twin_or_an_echo() -> None:
    """A copied card, or the box's life before: somebody has to ask."""
    hearsay = ObservedRecords()
    hearsay.service(ServiceRecord("kitchen", "kitchen-ab12-2", 8377), ID, 1)
    hearsay.address("kitchen-ab12-2", "10.0.0.9", 1)
    hearsay.service(OURS, ID, 1)
    hearsay.address("kitchen-ab12", "10.0.0.8", 1)
    assert [(r.part, r.addresses, r.ports, r.may_be_echo) for r in rivals(hearsay)] == [
        ("instance", ("10.0.0.9",), (8377,), True),
        ("host", ("10.0.0.8",), (8377,), True),
    ]


def test_a_host_name_that_no_box_uses_is_somebody_elses() -> None:
    """Nothing says that it was ever this box's."""
    hearsay = ObservedRecords()
    hearsay.address("kitchen-ab12", "10.0.0.8", 1)
    assert [(rival.part, rival.may_be_echo) for rival in rivals(hearsay)] == [("host", False)]


def test_a_host_name_of_a_box_with_another_id_is_somebody_elses() -> None:
    """Though it may be this box's as well."""
    hearsay = ObservedRecords()
    hearsay.service(OURS, ID, 1)
    hearsay.service(ServiceRecord("study", "kitchen-ab12", 8377), "99999999", 1)
    hearsay.address("kitchen-ab12", "10.0.0.8", 1)
    assert [rival.may_be_echo for rival in rivals(hearsay)] == [False]


def test_a_stranger_by_the_very_same_names_is_no_echo() -> None:
    """Its records are this box's but for the id, and it may have spoken first or last."""
    for ids in ((ID, "99999999"), ("99999999", ID)):
        hearsay = ObservedRecords()
        for server_id in ids:
            hearsay.service(OURS, server_id, 1)
        hearsay.address("kitchen-ab12", "10.0.0.8", 1)
        assert [(rival.part, rival.may_be_echo) for rival in rivals(hearsay)] == [("host", False)]


def test_only_what_was_said_since_counts() -> None:
    """Whoever has fallen silent holds nothing."""
    hearsay = ObservedRecords()
    hearsay.service(ServiceRecord("kitchen", "laptop", 80), None, 1)
    hearsay.address("kitchen-ab12", "10.0.0.8", 1)
    assert rivals(hearsay, since_s=2) == []
    assert len(rivals(hearsay, since_s=1)) == 2


def test_a_goodbye_is_taken_at_its_word() -> None:
    """It frees the name at once."""
    hearsay = ObservedRecords()
    hearsay.service(ServiceRecord("kitchen", "laptop", 80), None, 1)
    hearsay.address("kitchen-ab12", "10.0.0.8", 1)
    hearsay.forget_service(ServiceRecord("kitchen", "laptop", 80))
    hearsay.forget_address("kitchen-ab12", "10.0.0.8")
    assert rivals(hearsay) == []


def test_an_id_that_was_said_once_is_remembered() -> None:
    """An answer to a question for the address alone says no id."""
    hearsay = ObservedRecords()
    twin = ServiceRecord("kitchen", "kitchen-ab12-2", 8377)
    hearsay.service(twin, ID, 1)
    hearsay.service(twin, None, 2)
    hearsay.address("kitchen-ab12-2", "10.0.0.9", 2)
    assert [rival.may_be_echo for rival in rivals(hearsay, since_s=2)] == [True]


@pytest.mark.parametrize(
    ("theirs", "wins"),
    [("10.0.0.4", False), ("10.0.0.9", True), ("9.255.255.255", False), ("fd77::9", True)],
)
def test_the_later_address_wins_the_host_name(theirs: str, *, wins: bool) -> None:
    """RFC 6762 section 8.2: types first, then the bytes; so both sides come to the same."""
    hearsay = ObservedRecords()
    hearsay.address("kitchen-ab12", theirs, 1)
    assert [rival.wins for rival in rivals(hearsay)] == [wins]
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
    hearsay, back = ObservedRecords(), ObservedRecords()
    hearsay.service(theirs, "99999999", 1)
    back.service(OURS, ID, 1)
    assert [rival.wins for rival in rivals(hearsay)] == [wins]
    other = replace(
        MINE, names=Names("Kitchen", theirs.host), port=theirs.port, server_id="99999999"
    )
    assert [rival.wins for rival in rivals(back, mine=other)] == [not wins]


def test_strangers_cannot_fill_the_memory() -> None:
    """The oldest is forgotten; the names in question are asked for anew in any case."""
    hearsay = ObservedRecords()
    for number in range(1000):
        hearsay.service(ServiceRecord(f"box{number}", f"host{number}", 80), None, number)
        hearsay.address(f"host{number}", "10.0.0.9", number)
    assert len(hearsay._services) == len(hearsay._addresses) == 256
    hearsay.service(OURS, ID, 1000)
    assert hearsay.heard(MINE.names, 1000)
