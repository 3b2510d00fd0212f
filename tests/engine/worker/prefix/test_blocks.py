"""A block's name says all that stands before it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inglenook.engine.worker.prefix.blocks import BLOCK_TOKENS, agreement, cut, pack
from tests.engine.worker.prefix.keeping import OTHER_ROOT, ROOT, blocks_of, prompt

TOKENS = st.lists(st.integers(0, 2), max_size=12)


@pytest.mark.parametrize(
    ("length", "runs"),
    [
        (0, []),
        (1, [(0, 1)]),
        (128, [(0, 128)]),
        (129, [(0, 128), (128, 129)]),
        (300, [(0, 128), (128, 256), (256, 300)]),
    ],
)
def test_a_prompt_is_cut_at_multiples_of_the_blocks_length(
    length: int, runs: list[tuple[int, int]]
) -> None:
    """And each block's parent is the one before it."""
    blocks = blocks_of(prompt(length))

    assert [(block.start, block.stop) for block in blocks] == runs
    assert [block.parent for block in blocks] == [ROOT, *(block.key for block in blocks)][:-1]


@pytest.mark.parametrize("length", [1, 128, 129, 256, 300])
def test_the_last_block_can_have_a_state(length: int) -> None:
    """It is another block than the same run without one, and those before it are the same."""
    *before, last = blocks_of(prompt(length), states=True)
    *inner, plain = blocks_of(prompt(length))

    assert before == inner
    assert (last.start, last.stop, last.parent) == (plain.start, plain.stop, plain.parent)
    assert (last.state, plain.state) == (True, False)
    assert last.key != plain.key
    assert blocks_of([], states=True) == []


def test_a_key_depends_on_every_token_before() -> None:
    """The same run after another beginning is another block."""
    one, other = prompt(300), prompt(300)
    other[0] += 1

    assert blocks_of(one)[2].run == blocks_of(other)[2].run
    assert {block.key for block in blocks_of(one)}.isdisjoint(
        block.key for block in blocks_of(other)
    )


def test_a_key_depends_on_the_model() -> None:
    """A state is of no use to another."""
    packed = pack(prompt(1))

    assert [b.key for b in cut(ROOT, packed, states=False)] != [
        b.key for b in cut(OTHER_ROOT, packed, states=False)
    ]


def test_keys_are_the_same_in_every_life() -> None:
    """They name files, which outlive us."""
    assert [block.key.hex() for block in blocks_of(prompt(BLOCK_TOKENS))] == [
        "9a7516440f93058facb36fb9eba6db5c"
    ]


@given(TOKENS, TOKENS)
def test_agreement_counts_common_leading_tokens(one: list[int], other: list[int]) -> None:
    """As a loop would."""
    common = 0
    while one[common : common + 1] == other[common : common + 1] != []:
        common += 1

    assert agreement(pack(one), pack(other)) == common


@given(st.integers(-(2**31), 2**31 - 1), st.integers(-(2**31), 2**31 - 1))
def test_tokens_agree_only_as_a_whole(one: int, other: int) -> None:
    """Three bytes in common are none."""
    assert agreement(pack([7, one]), pack([7, other])) == (2 if one == other else 1)
