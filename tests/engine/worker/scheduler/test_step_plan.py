"""Who gets how much of a step: those who write first, then newcomers, the short ones soonest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inglenook.engine.worker.scheduler.step_plan import (
    Candidate,
    ScheduledTokens,
    decoding_tokens,
    plan_step,
    prefill_tokens,
)


def writer(sequence: int, drafted: int = 0) -> Candidate:
    return Candidate(sequence, 1 + drafted, decoding=True, idle=False, steps_waited=100)


def newcomer(sequence: int, tokens: int, steps_waited: int = 1) -> Candidate:
    return Candidate(sequence, tokens, decoding=False, idle=False, steps_waited=steps_waited)


def read_ahead(sequence: int, tokens: int, steps_waited: int = 1) -> Candidate:
    return Candidate(sequence, tokens, decoding=False, idle=True, steps_waited=steps_waited)


@st.composite
def steps(draw: st.DrawFn) -> list[Candidate]:
    """Up to eight sequences of all kinds."""
    kinds = st.tuples(
        st.sampled_from(["writer", "newcomer", "ahead"]), st.integers(1, 2000), st.integers(0, 99)
    )
    wanting = []
    for sequence, (kind, tokens, waited) in enumerate(draw(st.lists(kinds, max_size=8))):
        if kind == "writer":
            wanting.append(writer(sequence, tokens % 8))
        else:
            wanting.append(Candidate(sequence, tokens, False, kind == "ahead", waited))
    return wanting


ROOM = st.integers(4, 512)


@pytest.mark.parametrize(
    ("wanting", "room", "shares"),
    [
        ([], 512, []),
        ([writer(0), writer(1)], 512, [(0, 1), (1, 1)]),
        ([writer(0, drafted=3), writer(1)], 0, [(0, 4), (1, 1)]),
        ([newcomer(0, 900)], 512, [(0, 512)]),
        ([newcomer(0, 37)], 512, [(0, 37)]),  # to its prompt's end
        ([newcomer(0, 900), writer(1), writer(2)], 62, [(1, 1), (2, 1), (0, 62)]),  # writers first
        ([newcomer(0, 900), newcomer(1, 800)], 256, [(1, 256)]),  # not both a little
        ([newcomer(0, 900), newcomer(1, 40)], 256, [(1, 40), (0, 216)]),
        (
            [newcomer(0, 900, steps_waited=8), newcomer(1, 40, steps_waited=4)],
            256,
            [(0, 256)],
        ),  # once in four
        (
            [newcomer(0, 900, steps_waited=9), newcomer(1, 40, steps_waited=4)],
            256,
            [(1, 40), (0, 216)],
        ),
        ([newcomer(0, 70), newcomer(1, 70)], 32, [(0, 32)]),  # alike: the one that came first
        ([newcomer(0, 900), newcomer(1, 1)], 15, [(1, 1), (0, 15)]),  # as cheap as decoding
        ([newcomer(0, 900), writer(1)], 0, [(1, 1)]),
        ([read_ahead(0, 900)], 64, [(0, 64)]),
        ([read_ahead(0, 1)], 64, [(0, 1)]),
        ([read_ahead(0, 1), read_ahead(1, 900)], 64, [(0, 1), (1, 63)]),
        ([read_ahead(0, 1), writer(1)], 64, [(1, 1)]),  # one token ahead is no answer
        ([read_ahead(0, 900), newcomer(1, 10)], 64, [(1, 10)]),  # and what is left is left
    ],
)
def test_a_step_is_shared_out(
    wanting: list[Candidate], room: int, shares: list[tuple[int, int]]
) -> None:
    """In batch order."""
    planned = plan_step(wanting, room)

    assert [(share.sequence, share.tokens) for share in planned] == shares


@given(steps(), ROOM)
def test_every_writer_is_in_every_step_and_first(wanting: list[Candidate], room: int) -> None:
    """Whatever newcomers bring along, nobody's stream stands still, and no draft is cut."""
    shares = plan_step(wanting, room)

    first = [w for w in wanting if w.decoding or (w.tokens == 1 and not w.idle)]
    assert shares[: len(first)] == [
        ScheduledTokens(w.sequence, w.tokens, decoding=True) for w in first
    ]
    assert not any(share.decoding for share in shares[len(first) :])
    assert decoding_tokens(wanting) == sum(share.tokens for share in shares[: len(first)])


@given(steps(), ROOM)
def test_the_budget_is_kept_and_spent(wanting: list[Candidate], room: int) -> None:
    """Never more than was granted, and less only if nobody has any use for the rest."""
    shares = plan_step(wanting, room)

    wanted = sum(w.tokens for w in wanting if not w.comes_first and not w.idle)
    if not wanted and not decoding_tokens(wanting):
        wanted = sum(w.tokens for w in wanting)
    assert prefill_tokens(shares) == min(room, wanted)
    assert len({share.sequence for share in shares}) == len(shares)
    assert all(0 < share.tokens <= wanting[share.sequence].tokens for share in shares)


@given(steps(), ROOM)
def test_reading_ahead_takes_nothing_from_anybody(wanting: list[Candidate], room: int) -> None:
    """With anybody else there, a step is as if nothing were read ahead."""
    others = [w for w in wanting if not w.idle]
    if others:
        assert plan_step(wanting, room) == plan_step(others, room)


def steps_to_read(wanting: Sequence[Candidate], room: int, last: int) -> int:
    """How long one newcomer takes while in every step another comes, to fill it with less."""
    left = list(wanting)
    step = 0
    while any(w.sequence == last for w in left):
        step += 1
        assert step <= 10_000, "held back for ever"
        if len(left) < 8:
            left.append(newcomer(1000 + step, room, steps_waited=0))
        left = [replace(w, steps_waited=w.steps_waited + 1) for w in left]
        shared = {share.sequence: share.tokens for share in plan_step(left, room)}
        left = [
            replace(w, tokens=rest)
            for w in left
            if (rest := w.tokens - shared.get(w.sequence, 0)) > 0
        ]
    return step


@settings(max_examples=50)
@given(
    st.lists(st.tuples(st.integers(2, 300), st.integers(0, 20)), min_size=1, max_size=4),
    st.integers(8, 64),
)
def test_nobody_is_held_back_for_ever(there: list[tuple[int, int]], room: int) -> None:
    """Four steps at most for each room full of its own and of what was there before it."""
    wanting = [newcomer(sequence, *prompt) for sequence, prompt in enumerate(there)]
    youngest = min(wanting, key=lambda w: w.steps_waited)

    bound = sum(4 * -(-w.tokens // room) for w in wanting)
    assert steps_to_read(wanting, room, youngest.sequence) <= bound


def test_without_its_turn_a_long_prompt_would_wait_for_ever() -> None:
    """The bound is needed: the stream of short ones fills every step that is not the oldest's."""
    there = [newcomer(0, 64, steps_waited=0)]

    assert 56 < steps_to_read(there, 4, 0) <= 64
    assert [s.sequence for s in plan_step([newcomer(0, 64, 1), newcomer(1, 4, 1)], 4)] == [1]


def test_a_short_prompt_does_not_wait_for_a_long_one() -> None:
    """Between the long one's turns there are three steps for others."""
    long_one = newcomer(0, 2000, steps_waited=4)
    short_one = newcomer(1, 30, steps_waited=0)

    turns = []
    for _ in range(4):
        shares = plan_step([long_one, short_one], 32)
        turns.append([(share.sequence, share.tokens) for share in shares])
        long_one = newcomer(0, 2000, steps_waited=long_one.steps_waited + 1)
    assert turns == [[(0, 32)]] + [[(1, 30), (0, 2)]] * 3


def test_prefill_is_what_is_not_decoding() -> None:
    """A draft of four tokens costs what decoding costs, a prompt's end of one what prompts do."""
    shares = [
        ScheduledTokens(0, 4, decoding=True),
        ScheduledTokens(1, 1, decoding=False),
        ScheduledTokens(2, 30, decoding=False),
    ]
    assert prefill_tokens(shares) == 31
