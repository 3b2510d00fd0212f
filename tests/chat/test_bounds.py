"""Which bounds are too near each other, and which schemas speak of one value."""

from __future__ import annotations

import pytest

from inglenook.chat.bounds import Bound, Meetings, near

ABOVE_ONE = Bound("exclusiveMinimum", 1)


@pytest.mark.parametrize(
    ("other", "wrong"),
    [
        (Bound("maximum", 1.5), True),
        (Bound("minimum", 0.25), True),
        (Bound("exclusiveMaximum", 1.999), True),
        (Bound("maximum", 2.5), False),
        (Bound("maximum", 2), False),
        (Bound("exclusiveMaximum", 10**400), False),
    ],
)
def test_a_whole_number_is_not_excluded_next_to_a_fraction(other: Bound, wrong: bool) -> None:
    """Less than one away, on either side."""
    assert near([ABOVE_ONE, other]) == ({ABOVE_ONE} if wrong else set())


def test_the_same_members_of_what_meets_meet() -> None:
    """And of them the members, whatever was known first; other members do not."""
    meetings = Meetings()
    meetings.put(1, ("member", "a"), 11)
    meetings.put(11, ("member", "b"), 111)
    meetings.put(2, ("member", "a"), 22)
    meetings.put(2, ("member", "c"), 23)
    meetings.join(2, 1)
    meetings.put(22, ("member", "b"), 222)

    assert meetings.of(11) == meetings.of(22)
    assert meetings.of(111) == meetings.of(222)
    assert meetings.of(23) != meetings.of(22)
    assert meetings.of(1) != meetings.of(11)


def test_what_is_for_any_member_meets_each() -> None:
    """Those that were there before, and those that come; items are no members."""
    meetings = Meetings()
    meetings.put(1, ("member", "a"), 11)
    meetings.put(1, ("item", "0"), 12)
    meetings.put(2, ("member", None), 21)
    meetings.join(1, 2)
    meetings.put(2, ("member", "b"), 13)

    assert meetings.of(11) == meetings.of(21) == meetings.of(13)
    assert meetings.of(12) != meetings.of(21)
