"""The plan of a step: decoding sequences first, then prefills, short prompts before long ones."""

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


def decoding(sequence: int, drafted: int = 0) -> Candidate:
    return Candidate(sequence, 1 + drafted, decoding=True, idle=False, steps_waited=100)


def prefill(sequence: int, tokens: int, steps_waited: int = 1) -> Candidate:
    return Candidate(sequence, tokens, decoding=False, idle=False, steps_waited=steps_waited)


def speculative(sequence: int, tokens: int, steps_waited: int = 1) -> Candidate:
    return Candidate(sequence, tokens, decoding=False, idle=True, steps_waited=steps_waited)


@st.composite
def steps(draw: st.DrawFn) -> list[Candidate]:
    """Up to eight sequences of all kinds."""
    kinds = st.tuples(
        st.sampled_from(["decoding", "prefill", "speculative"]),
        st.integers(1, 2000),
        st.integers(0, 99),
    )
    candidates = []
    for sequence, (kind, tokens, waited) in enumerate(draw(st.lists(kinds, max_size=8))):
        if kind == "decoding":
            candidates.append(decoding(sequence, tokens % 8))
        else:
            candidates.append(Candidate(sequence, tokens, False, kind == "speculative", waited))
    return candidates


ROOM = st.integers(4, 512)


@pytest.mark.parametrize(
    ("candidates", "room", "shares"),
    [
        ([], 512, []),
        ([decoding(0), decoding(1)], 512, [(0, 1), (1, 1)]),
        ([decoding(0, drafted=3), decoding(1)], 0, [(0, 4), (1, 1)]),
        ([prefill(0, 900)], 512, [(0, 512)]),
        ([prefill(0, 37)], 512, [(0, 37)]),  # to its prompt's end
        (
            [prefill(0, 900), decoding(1), decoding(2)],
            62,
            [(1, 1), (2, 1), (0, 62)],
        ),  # decoding first
        ([prefill(0, 900), prefill(1, 800)], 256, [(1, 256)]),  # not both a little
        ([prefill(0, 900), prefill(1, 40)], 256, [(1, 40), (0, 216)]),
        (
            [prefill(0, 900, steps_waited=8), prefill(1, 40, steps_waited=4)],
            256,
            [(0, 256)],
        ),  # once in four
        (
            [prefill(0, 900, steps_waited=9), prefill(1, 40, steps_waited=4)],
            256,
            [(1, 40), (0, 216)],
        ),
        ([prefill(0, 70), prefill(1, 70)], 32, [(0, 32)]),  # equal: the older one
        ([prefill(0, 900), prefill(1, 1)], 15, [(1, 1), (0, 15)]),  # as cheap as decoding
        ([prefill(0, 900), decoding(1)], 0, [(1, 1)]),
        ([speculative(0, 900)], 64, [(0, 64)]),
        ([speculative(0, 1)], 64, [(0, 1)]),
        ([speculative(0, 1), speculative(1, 900)], 64, [(0, 1), (1, 63)]),
        ([speculative(0, 1), decoding(1)], 64, [(1, 1)]),  # it is not decoding
        ([speculative(0, 900), prefill(1, 10)], 64, [(1, 10)]),  # the rest of the room stays unused
    ],
)
def test_a_step_is_divided(
    candidates: list[Candidate], room: int, shares: list[tuple[int, int]]
) -> None:
    """In batch order."""
    planned = plan_step(candidates, room)

    assert [(share.sequence, share.tokens) for share in planned] == shares


@given(steps(), ROOM)
def test_decoding_sequences_are_first_in_every_step(candidates: list[Candidate], room: int) -> None:
    """Whatever is prefilled, no stream stalls, and no draft is cut."""
    shares = plan_step(candidates, room)

    first = [w for w in candidates if w.decoding or (w.tokens == 1 and not w.idle)]
    assert shares[: len(first)] == [
        ScheduledTokens(w.sequence, w.tokens, decoding=True) for w in first
    ]
    assert not any(share.decoding for share in shares[len(first) :])
    assert decoding_tokens(candidates) == sum(share.tokens for share in shares[: len(first)])


@given(steps(), ROOM)
def test_the_budget_is_kept_and_spent(candidates: list[Candidate], room: int) -> None:
    """Never more tokens than the budget, and fewer only if no sequence has more pending."""
    shares = plan_step(candidates, room)

    wanted = sum(w.tokens for w in candidates if not w.comes_first and not w.idle)
    if not wanted and not decoding_tokens(candidates):
        wanted = sum(w.tokens for w in candidates)
    assert prefill_tokens(shares) == min(room, wanted)
    assert len({share.sequence for share in shares}) == len(shares)
    assert all(0 < share.tokens <= candidates[share.sequence].tokens for share in shares)


@given(steps(), ROOM)
def test_speculative_prefill_takes_no_tokens_from_others(
    candidates: list[Candidate], room: int
) -> None:
    """Beside any other sequence it has no share."""
    others = [w for w in candidates if not w.idle]
    if others:
        assert plan_step(candidates, room) == plan_step(others, room)


def steps_to_prefill(candidates: Sequence[Candidate], room: int, last: int) -> int:
    """Steps for one prefill while in each step a shorter prompt arrives that fills it."""
    left = list(candidates)
    step = 0
    while any(w.sequence == last for w in left):
        step += 1
        assert step <= 10_000, "it starves"
        if len(left) < 8:
            left.append(prefill(1000 + step, room, steps_waited=0))
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
def test_no_prefill_starves(there: list[tuple[int, int]], room: int) -> None:
    """At most four steps for each full step of its own tokens and of older prompts'."""
    candidates = [prefill(sequence, *prompt) for sequence, prompt in enumerate(there)]
    youngest = min(candidates, key=lambda w: w.steps_waited)

    bound = sum(4 * -(-w.tokens // room) for w in candidates)
    assert steps_to_prefill(candidates, room, youngest.sequence) <= bound


def test_without_its_turn_a_long_prompt_would_wait_for_ever() -> None:
    """The bound is needed: short prompts fill every step except the oldest one's."""
    there = [prefill(0, 64, steps_waited=0)]

    assert 56 < steps_to_prefill(there, 4, 0) <= 64
    assert [s.sequence for s in plan_step([prefill(0, 64, 1), prefill(1, 4, 1)], 4)] == [1]


def test_a_short_prompt_does_not_wait_for_a_long_one() -> None:
    """Between two turns of the long one there are three steps for others."""
    long_one = prefill(0, 2000, steps_waited=4)
    short_one = prefill(1, 30, steps_waited=0)

    turns = []
    for _ in range(4):
        shares = plan_step([long_one, short_one], 32)
        turns.append([(share.sequence, share.tokens) for share in shares])
        long_one = prefill(0, 2000, steps_waited=long_one.steps_waited + 1)
    assert turns == [[(0, 32)]] + [[(1, 30), (0, 2)]] * 3


def test_drafts_do_not_count_as_prefill() -> None:
    """A draft of four tokens is decoding, a last prompt token is prefill."""
    shares = [
        ScheduledTokens(0, 4, decoding=True),
        ScheduledTokens(1, 1, decoding=False),
        ScheduledTokens(2, 30, decoding=False),
    ]
    assert prefill_tokens(shares) == 31
