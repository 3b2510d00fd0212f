from __future__ import annotations

import pytest

from inglenook.chat.thinking import Channel
from inglenook.serving.response import Response
from inglenook.serving.response_parts import Change, Ending, Outcome, Status, TextPiece
from inglenook.serving.response_store import CROWDED_GRACE_S, KEPT_BYTES_MAX, ResponseStore

TTL_S = 600.0
GRACE_S = 60.0


def response(response_id: str, device_id: str = "ada", *, now: float = 0.0) -> Response:
    """A response that waits."""
    return Response(response_id, device_id, "tiny", now)


def finished(response_id: str, *, now: float = 0.0, text: str = "x") -> Response:
    """A response that ended ``now``."""
    done = response(response_id)
    pieces = (TextPiece(1, Channel.ANSWER, 0, text),)
    ending = Ending(2, Status.COMPLETED, Outcome())
    done.apply(Change(response_id, True, pieces, (), ending), now)
    return done


def shelf_of(*responses: Response) -> ResponseStore:
    """A shelf with these on it."""
    shelf = ResponseStore(TTL_S, GRACE_S)
    for kept in responses:
        shelf.add(kept, None)
    return shelf


def test_a_response_is_found_by_its_owner_only() -> None:
    """An id that leaked is of no use to another device."""
    own = response("r1", "ada")
    shelf = shelf_of(own)

    assert shelf.find("ada", "r1") is own
    assert shelf.find("ben", "r1") is None
    assert shelf.find("ada", "r2") is None
    assert shelf.get("r1") is own


def test_a_key_finds_what_the_same_device_made_with_it() -> None:
    """Two devices may use the same key without hearing of each other."""
    shelf = ResponseStore(TTL_S, GRACE_S)
    first, second = response("r1", "ada"), response("r2", "ben")
    shelf.add(first, "k")
    shelf.add(second, "k")

    assert shelf.find_by_key("ada", "k") is first
    assert shelf.find_by_key("ben", "k") is second
    assert shelf.find_by_key("ada", "other") is None


def test_a_key_may_be_used_again_when_its_response_is_gone() -> None:
    """And dropping the old response then does not take the key from the new one."""
    shelf = ResponseStore(TTL_S, GRACE_S)
    old, new = response("r1"), response("r2")
    shelf.add(old, "k")
    shelf.drop(old)
    assert shelf.find_by_key("ada", "k") is None
    shelf.add(old, "k")
    shelf.add(new, "k")
    shelf.drop(old)

    assert shelf.find_by_key("ada", "k") is new
    assert len(shelf) == 1


@pytest.mark.parametrize(("age_s", "goes"), [(TTL_S - 1, False), (TTL_S + 1, True)])
def test_a_finished_response_goes_when_it_is_too_old(age_s: float, goes: bool) -> None:
    """What counts is when it ended."""
    done = finished("r1", now=100.0)

    assert shelf_of(done).outdated(100.0 + age_s) == ([done] if goes else [])


def test_an_unfinished_response_is_never_outdated() -> None:
    """However long it takes."""
    assert shelf_of(response("r1")).outdated(1e9) == []


def test_of_too_much_text_the_oldest_goes_first() -> None:
    """The newest stay, as far as the bytes reach."""
    third = "x" * (KEPT_BYTES_MAX // 3)
    responses = [finished(f"r{number}", now=number, text=third) for number in range(4)]

    outdated = shelf_of(*responses).outdated(10.0)
    assert [gone.response_id for gone in outdated] == ["r1", "r0"]


@pytest.mark.parametrize(
    ("unread_s", "crowded", "goes"),
    [
        (GRACE_S - 1, False, False),
        (GRACE_S + 1, False, True),
        (CROWDED_GRACE_S - 1, True, False),
        (CROWDED_GRACE_S + 1, True, True),
    ],
)
def test_an_answer_that_nobody_reads_is_given_up_sooner_while_others_wait(
    unread_s: float, crowded: bool, goes: bool
) -> None:
    """A minute alone, ten seconds in a crowd."""
    unread = response("r1", now=100.0)

    abandoned = shelf_of(unread).abandoned(100.0 + unread_s, crowded=crowded)
    assert abandoned == ([unread] if goes else [])


def test_a_crowd_never_makes_the_grace_longer() -> None:
    """For an owner who set less than ten seconds."""
    shelf = ResponseStore(TTL_S, unread_grace_s=2.0)
    unread = response("r1", now=0.0)
    shelf.add(unread, None)

    assert shelf.abandoned(3.0, crowded=True) == [unread]


def test_neither_a_read_nor_a_finished_answer_is_abandoned() -> None:
    """One has a reader; the other costs nothing to finish."""
    read, done = response("r1"), finished("r2")
    read.subscribe(lambda: None)

    assert shelf_of(read, done).abandoned(1e9, crowded=True) == []
