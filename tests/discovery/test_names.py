from __future__ import annotations

from dataclasses import replace

import pytest

from inglenook.discovery.advert import Advert
from inglenook.discovery.names import (
    NO_PREVIOUS_NAMES,
    Names,
    Part,
    PreviousNames,
    base_names,
    first_names,
    next_names,
    shown_name,
)

BASE = Names("Kitchen", "kitchen-ab12")
ADVERT = Advert("Kitchen", "ab12cd34", "0.1.0", 8377)


def test_the_first_life_begins_with_what_follows_from_the_boxs_name() -> None:
    """The owner's name, and a host name with the digits of the id."""
    assert first_names(ADVERT, NO_PREVIOUS_NAMES) == base_names(ADVERT) == BASE


def test_later_lives_begin_with_what_was_held() -> None:
    """Each of the two for itself."""
    assert first_names(ADVERT, PreviousNames("Kitchen-2")) == Names("Kitchen-2", "kitchen-ab12")
    assert first_names(ADVERT, PreviousNames(host="kitchen-ab12-2")) == Names(
        "Kitchen", "kitchen-ab12-2"
    )


@pytest.mark.parametrize(
    ("lost", "then"),
    [
        ({"instance"}, Names("Kitchen-2", "kitchen-ab12")),
        ({"host"}, Names("Kitchen", "kitchen-ab12-2")),
        ({"instance", "host"}, Names("Kitchen-2", "kitchen-ab12-2")),
    ],
)
def test_what_is_lost_gets_the_next_number(lost: set[Part], then: Names) -> None:
    """And what is not lost stays."""
    assert next_names(BASE, BASE, lost, [BASE]) == then


def test_no_name_is_tried_twice() -> None:
    """A box that loses its number tries its plain name, and then those that it has not tried."""
    tried = [Names("Kitchen-3", "kitchen-ab12")]
    for expected in ("Kitchen", "Kitchen-2", "Kitchen-4"):
        tried.append(next_names(tried[-1], BASE, {"instance"}, tried))
        assert tried[-1].instance == expected


@pytest.mark.parametrize(
    ("owners", "held", "shown"),
    [
        ("Kitchen", "Kitchen", "Kitchen"),
        ("Kitchen", "Kitchen-2", "Kitchen-2"),
        ("Box v2.0", "Box v2\u20240", "Box v2.0"),
        ("Box v2.0", "Box v2\u20240-2", "Box v2.0-2"),
        ("a" * 80, "a" * 60, "a" * 80),
    ],
)
def test_people_read_the_name_that_the_network_says(owners: str, held: str, shown: str) -> None:
    """Whole and with its full stops, and with the number if there is one."""
    assert shown_name(replace(ADVERT, name=owners), Names(held, "x")) == shown
