"""Who gets how much of a step: those who write first, then newcomers, the short ones soonest."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inglenook.engine.worker.budget import CHUNK_TOKENS
from inglenook.engine.worker.plan import Share, plan_step, prompt_tokens

PENDING = st.dictionaries(st.integers(0, 31), st.integers(1, 2000), max_size=8)
CHUNKS = st.integers(1, 16)


@pytest.mark.parametrize(
    ("pending", "prefill_tokens", "shares"),
    [
        ({}, 512, []),
        ({0: 1, 1: 1}, 512, [(0, 1), (1, 1)]),
        ({0: 900}, 512, [(0, 512)]),
        ({0: 37}, 512, [(0, 37)]),  # to its prompt's end
        ({0: 900, 1: 1, 2: 1}, 64, [(1, 1), (2, 1), (0, 64)]),  # decoders first
        ({0: 900, 1: 900}, 256, [(0, 128), (1, 128)]),  # even parts
        ({0: 900, 1: 40}, 256, [(1, 40), (0, 192)]),  # the short one first; 216 is no multiple
        ({0: 900, 1: 800, 2: 700}, 128, [(2, 32), (1, 32), (0, 64)]),
        ({0: 900, 1: 70}, 32, [(1, 32)]),  # one chunk: the one with less to do
        ({0: 70, 1: 70}, 32, [(0, 32)]),  # as much to do: the one that came first
        ({0: 30, 1: 20}, 32, [(1, 20)]),  # 12 would be no chunk of the other's prompt
        ({0: 12, 1: 20}, 32, [(0, 12), (1, 20)]),
        ({0: 900, 1: 1}, 0, [(1, 1)]),
    ],
)
def test_a_step_is_shared_out(
    pending: dict[int, int], prefill_tokens: int, shares: list[tuple[int, int]]
) -> None:
    """In batch order."""
    assert plan_step(pending, prefill_tokens) == [Share(*share) for share in shares]


@given(PENDING, CHUNKS)
def test_every_writer_is_in_every_step_and_first(pending: dict[int, int], chunks: int) -> None:
    """Whatever newcomers bring along, nobody's stream stands still."""
    shares = plan_step(pending, chunks * CHUNK_TOKENS)

    writers = [sequence for sequence, tokens in pending.items() if tokens == 1]
    assert shares[: len(writers)] == [Share(writer, 1) for writer in writers]
    assert all(share.tokens > 1 for share in shares[len(writers) :])


@given(PENDING, CHUNKS)
def test_the_budget_is_kept_and_spent(pending: dict[int, int], chunks: int) -> None:
    """Never more than was granted; and less only if the rest is no whole chunk for anybody."""
    room = chunks * CHUNK_TOKENS
    shares = plan_step(pending, room)

    left = room - prompt_tokens(shares)
    given_tokens = {share.sequence: share.tokens for share in shares}
    wanting = [
        tokens - given_tokens.get(sequence, 0)
        for sequence, tokens in pending.items()
        if tokens > given_tokens.get(sequence, 0)
    ]
    assert left >= 0
    assert not wanting or left < CHUNK_TOKENS


@given(PENDING, CHUNKS)
def test_prompts_are_cut_at_whole_chunks_only(pending: dict[int, int], chunks: int) -> None:
    """A share is a multiple of a chunk, or all that is left of its prompt; once a sequence."""
    shares = plan_step(pending, chunks * CHUNK_TOKENS)

    assert len({share.sequence for share in shares}) == len(shares)
    for share in shares:
        assert share.tokens == pending[share.sequence] or share.tokens % CHUNK_TOKENS == 0


@given(PENDING, CHUNKS)
def test_who_has_less_to_read_never_gets_on_later(pending: dict[int, int], chunks: int) -> None:
    """A short question does not wait behind somebody's essay."""
    newcomers = [s.sequence for s in plan_step(pending, chunks * CHUNK_TOKENS) if s.tokens > 1]

    by_size = sorted((tokens, order) for order, tokens in enumerate(pending.values()) if tokens > 1)
    sequences = list(pending)
    assert newcomers == [sequences[order] for _tokens, order in by_size][: len(newcomers)]


@given(PENDING, CHUNKS)
def test_with_a_chunk_for_each_every_newcomer_gets_on_at_once(
    pending: dict[int, int], chunks: int
) -> None:
    """Nobody's prompt stands still while there is room."""
    newcomers = {sequence for sequence, tokens in pending.items() if tokens > 1}
    room = max(chunks, len(newcomers)) * CHUNK_TOKENS

    assert {s.sequence for s in plan_step(pending, room)} == set(pending)


@given(PENDING, CHUNKS)
def test_every_newcomer_gets_on_in_the_end(pending: dict[int, int], chunks: int) -> None:
    """Step after step, all prompts are read, and a step without progress does not exist."""
    left = {sequence: tokens for sequence, tokens in pending.items() if tokens > 1}
    total = sum(left.values())
    steps = 0
    while left:
        for share in plan_step(left, chunks * CHUNK_TOKENS):
            left[share.sequence] -= share.tokens
        left = {sequence: tokens for sequence, tokens in left.items() if tokens > 0}
        steps += 1
        assert steps <= total


def test_the_plan_does_not_touch_what_it_was_given() -> None:
    """It decides; others do."""
    pending = {3: 1, 1: 100}
    plan_step(pending, 64)
    assert pending == {3: 1, 1: 100}
