"""What is done to a conversation that a template would not take: nothing of it is lost."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inglenook.engine.events import Adjustment
from inglenook.engine.orders import ChatMessage
from inglenook.engine.worker.prompt.arrangement import ARRANGEMENTS, Arrangement, SystemAs, arranged

ROLES = {"s": "system", "u": "user", "a": "assistant"}

ONE = Arrangement(system=SystemAs.ONE)
USER = Arrangement(system=SystemAs.USER)
LEAVE_OUT = Arrangement(leave_out=True)
GREET = Arrangement(greet=True)
MERGE = Arrangement(merge=True)

FOLDED, JOINED, MERGED = Adjustment.SYSTEM_FOLDED, Adjustment.SYSTEM_JOINED, Adjustment.MERGED
LEFT_OUT, ADDED = Adjustment.EMPTY_LEFT_OUT, Adjustment.EMPTY_ADDED


def said(text: str) -> list[ChatMessage]:
    """A conversation, written as ``s:Be brief. u:Why? a: u:Why?``, with _ for a space in a text."""
    pairs = (each.partition(":") for each in text.split())
    return [ChatMessage(ROLES[role], content.replace("_", " ")) for role, _, content in pairs]


@pytest.mark.parametrize(
    ("arrangement", "before", "after", "adjustments"),
    [
        (USER, "s:S u:U", ["u:S\nU"], [FOLDED]),
        (USER, "s:S s:T u:U", ["u:S\nT\nU"], [FOLDED]),
        (USER, "s: u:U", ["u:U"], [FOLDED]),
        # The message before an answer is the user's, which is still empty.
        (USER, "s:S a:A u:U", ["u:S", "a:A", "u:U"], [FOLDED]),
        # The question is being typed.
        (USER, "s:S u:", ["u:S\n"], [FOLDED]),
        (USER, "u:U", ["u:U"], []),
        (ONE, "s:S u:U", ["s:S", "u:U"], []),
        (ONE, "s:S s:T u:U", ["s:S\nT", "u:U"], [JOINED]),
        (ONE, "u:U s:S u:V", ["u:U", "u:S\nV"], [FOLDED]),
        (
            ONE, "s:S s:T u:U s:R a:A u:V",
            ["s:S\nT", "u:U", "u:R", "a:A", "u:V"],
            [JOINED, FOLDED],
        ),
        (LEAVE_OUT, "u:U a: u:V", ["u:U", "u:V"], [LEFT_OUT]),
        (LEAVE_OUT, "u:U a:_ u:V", ["u:U", "u:V"], [LEFT_OUT]),
        (LEAVE_OUT, "u:U a:A u:", ["u:U", "a:A", "u:"], []),
        (GREET, "a:A u:U", ["u:", "a:A", "u:U"], [ADDED]),
        (
            GREET, "s:S a:A u:U",
            ["s:S", "u:", "a:A", "u:U"],
            [ADDED],
        ),
        (GREET, "u:U", ["u:U"], []),
        # No request ends like that, but no engine may end of it.
        (GREET, "s:S", ["s:S"], []),
        (ONE, "s:S s:T", ["s:S\nT"], [JOINED]),
        (USER, "u:U s:S", ["u:U", "u:S"], [FOLDED]),
        (MERGE, "u:U u:V", ["u:U\n\nV"], [MERGED]),
        (MERGE, "u:U u:V a:A a:B u:", ["u:U\n\nV", "a:A\n\nB", "u:"], [MERGED]),
        # The second is being typed: its words come behind the border.
        (MERGE, "u:U u:", ["u:U\n\n"], [MERGED]),
        (MERGE, "s:S s:T u:U", ["s:S", "s:T", "u:U"], []),
        (
            Arrangement(SystemAs.ONE, leave_out=True, greet=True, merge=True),
            "s:S a:A u:U a: s:T u:V",
            ["s:S", "u:", "a:A", "u:U\n\nT\nV"],
            [FOLDED, LEFT_OUT, ADDED, MERGED],
        ),
    ],
)  # fmt: skip
def test_an_arrangement(
    arrangement: Arrangement,
    before: str,
    after: list[str],
    adjustments: list[Adjustment],
) -> None:
    """The arranged conversation, and its adjustments."""
    result = arranged(said(before), arrangement)

    assert [f"{message.role[0]}:{message.content}" for message in result.messages] == after
    assert list(result.adjustments) == adjustments


@given(
    st.lists(st.tuples(st.sampled_from("sua"), st.booleans()), max_size=9),
    st.sampled_from(ARRANGEMENTS),
)
def test_every_word_is_there_in_its_order_however_it_is_arranged(
    shape: list[tuple[str, bool]], arrangement: Arrangement
) -> None:
    """And the last is still the user's; without adjustments nothing is changed."""
    words = [f"w{at}w" if filled else "" for at, (_role, filled) in enumerate(shape)]
    before = [
        *(ChatMessage(ROLES[role], word) for (role, _), word in zip(shape, words, strict=True)),
        ChatMessage("user", "last"),
    ]
    result = arranged(before, arrangement)
    text = "|".join(message.content for message in result.messages)

    assert [word for word in text.replace("|", "\n").split() if word] == [
        *filter(None, words), "last",
    ]  # fmt: skip
    assert result.messages[-1].role == "user"
    assert result.messages[-1].content.endswith("last")
    if not result.adjustments:
        assert list(result.messages) == before
    else:
        assert list(result.messages) != before


def test_what_changes_least_comes_first() -> None:
    """Each once; the first changes nothing."""
    weights = [arrangement.weight for arrangement in ARRANGEMENTS]
    assert weights == sorted(weights)
    assert ARRANGEMENTS[0] == Arrangement()
    assert len(set(ARRANGEMENTS)) == len(ARRANGEMENTS) == 24
