"""Who answers decides which of the announcements are boxes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from inglenook.discovery.box import Box, BoxHello
from inglenook.discovery.found_box import Answers, FoundBox, boxes_found, twins

KITCHEN = Box(
    name="Kitchen",
    host_name="kitchen-ab12.local",
    server_id="ab12cd34",
    addresses=("10.0.0.1",),
    port=8377,
    version=None,
    models=(),
    status="ready",
    pairing_open=False,
    tls=False,
    fingerprint=None,
    mac=None,
)
SECOND = replace(KITCHEN, name="Kitchen-2", host_name="kitchen-ab12-2.local")
HELLO = BoxHello("ab12cd34", "Kitchen", run_id="00000001")
OTHER_RUN = replace(HELLO, run_id="00000002")

FIRST_URL, SECOND_URL = "http://10.0.0.1:8377", "http://10.0.0.2:8377"


def at(box: Box, *addresses: str) -> Box:
    return replace(box, addresses=addresses)


@pytest.mark.parametrize(
    ("answers", "urls"),
    [
        ({FIRST_URL: HELLO, SECOND_URL: HELLO}, (FIRST_URL, SECOND_URL)),
        ({FIRST_URL: None, SECOND_URL: HELLO}, (SECOND_URL,)),
        # Somebody else has the address by now.
        ({FIRST_URL: BoxHello("99887766", "Attic"), SECOND_URL: HELLO}, (SECOND_URL,)),
        ({FIRST_URL: None, SECOND_URL: None}, (FIRST_URL, SECOND_URL)),
        ({}, (FIRST_URL, SECOND_URL)),
    ],
)
def test_a_box_is_reached_where_it_answers(answers: Answers, urls: tuple[str, ...]) -> None:
    """At the best of its addresses first; at all that are told of if it answers at none."""
    box = at(KITCHEN, "10.0.0.1", "10.0.0.2")
    hello = HELLO if HELLO in answers.values() else None

    assert boxes_found([box], answers) == [FoundBox(box, urls, hello)]


@pytest.mark.parametrize("run_id", [None, "00000001"])
def test_a_box_under_two_names_is_one_box(run_id: str | None) -> None:
    """It was renamed a moment ago, or Avahi told of it while it slept; the name it has counts."""
    hello = replace(HELLO, name="Kitchen-2", run_id=run_id)
    renamed = replace(SECOND, host_name=KITCHEN.host_name)

    assert boxes_found([KITCHEN, renamed], {FIRST_URL: hello}) == [
        FoundBox(renamed, (FIRST_URL,), hello)
    ]


def test_one_that_was_is_not_listed_beside_the_one_that_is() -> None:
    """A router told of it again: under its last name, at its last address."""
    was, is_now = at(KITCHEN, "10.0.0.1"), at(SECOND, "10.0.0.2")

    assert boxes_found([was, is_now], {FIRST_URL: None, SECOND_URL: HELLO}) == [
        FoundBox(is_now, (SECOND_URL,), HELLO)
    ]


def test_of_one_that_does_not_answer_there_is_one_entry() -> None:
    """Under however many names a router tells of it."""
    names = [replace(KITCHEN, name=f"Kitchen-{number}") for number in (3, 2)]

    assert boxes_found([*names, KITCHEN], {FIRST_URL: None}) == [FoundBox(KITCHEN, (FIRST_URL,))]


@pytest.mark.parametrize(
    "other",
    [
        at(SECOND, "10.0.0.2"),
        # They started at one moment, and both hold the name: each has the other's address, too.
        replace(SECOND, host_name=KITCHEN.host_name, addresses=("10.0.0.1", "10.0.0.2")),
    ],
)
def test_a_box_and_its_copy_are_two(other: Box) -> None:
    """Each process has an id of its own; all else is the same, the key as well."""
    first = at(KITCHEN, *other.addresses) if len(other.addresses) > 1 else KITCHEN
    found = boxes_found([first, other], {FIRST_URL: HELLO, SECOND_URL: OTHER_RUN})

    assert found == [
        FoundBox(first, (FIRST_URL,), HELLO),
        FoundBox(other, (SECOND_URL,), OTHER_RUN),
    ]
    assert twins(found) == [found]


def test_copies_of_an_older_version_are_told_apart_by_their_host_names() -> None:
    """It does not say which process answers."""
    old = replace(HELLO, run_id=None)
    other = at(SECOND, "10.0.0.2")
    found = boxes_found([KITCHEN, other], {FIRST_URL: old, SECOND_URL: old})

    assert [each.box for each in found] == [KITCHEN, other]


def test_boxes_with_ids_of_their_own_are_no_twins() -> None:
    """Nor is one that answers beside one that does not."""
    attic = replace(KITCHEN, name="Attic", server_id="99887766", addresses=("10.0.0.2",))
    found = boxes_found(
        [KITCHEN, attic], {FIRST_URL: HELLO, SECOND_URL: BoxHello("99887766", "Attic")}
    )

    assert [each.box.name for each in found] == ["Attic", "Kitchen"]
    assert twins(found) == []
    assert twins(boxes_found([KITCHEN, at(SECOND, "10.0.0.2")], {SECOND_URL: HELLO})) == []


def test_one_that_does_not_say_who_it_is_is_whoever_answers() -> None:
    """An id is not needed to be listed."""
    box = replace(KITCHEN, server_id=None)

    assert boxes_found([box], {FIRST_URL: HELLO}) == [FoundBox(box, (FIRST_URL,), HELLO)]
    assert boxes_found([box], {}) == [FoundBox(box, (FIRST_URL,))]


def test_a_box_with_a_tls_port_alone_is_reached_there() -> None:
    """That is then the port it announces."""
    url = "https://10.0.0.1:8377"

    assert boxes_found([KITCHEN], {FIRST_URL: None, url: HELLO}) == [
        FoundBox(KITCHEN, (url,), HELLO)
    ]


def test_who_did_not_answer_is_nobodys_twin() -> None:
    """It may be the same machine, as it was announced before."""
    silent = FoundBox(SECOND, (SECOND_URL,))

    assert twins([FoundBox(KITCHEN, (FIRST_URL,), HELLO), silent]) == []
