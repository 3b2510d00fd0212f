"""The index finds the longest stored beginning of a prompt, as comparing with every one would."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from inglenook.engine.worker.prefix.blocks import BLOCK_TOKENS, cut, pack
from inglenook.engine.worker.prefix.index import Index
from tests.engine.worker.prefix.keeping import ROOT, blocks_of, prompt


@st.composite
def families(draw: st.DrawFn) -> list[list[int]]:
    """Prompts that begin as one before did, up to anywhere, and then go their own way."""
    prompts: list[list[int]] = [[]]
    for seed in range(1, draw(st.integers(2, 6))):
        parent = draw(st.sampled_from(prompts))
        kept = draw(st.integers(0, len(parent)))
        added = draw(st.integers(0, BLOCK_TOKENS + 2))
        prompts.append(parent[:kept] + [seed] * added)
    return prompts[1:]


def index_of(prompts: list[list[int]], *, states: bool = False) -> Index:
    index = Index(ROOT, states=states)
    for tokens in prompts:
        add(index, tokens)
    return index


def add(index: Index, tokens: list[int]) -> None:
    """Store what is missing, as the store does."""
    for start, stop in index.missing(tokens):
        block = index.block(tokens, start, stop)
        assert block is not None
        for shorter in index.add(block):
            index.remove(shorter.key)


def states_in(index: Index) -> set[bytes]:
    """Keys of all blocks that have a state."""
    return {key for key, block in index._blocks.items() if block.state}


def common(one: list[int], other: list[int]) -> int:
    return next(
        (place for place, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]),
        min(len(one), len(other)),
    )


@given(families())
def test_a_match_is_the_longest_beginning_anyone_stored(prompts: list[list[int]]) -> None:
    """Blocks or not: as if every prompt were compared."""
    asked, *stored = prompts
    index = index_of(stored)

    path, matched = index.match(asked)

    assert matched == max((common(asked, tokens) for tokens in stored), default=0)
    assert [block.start for block in path] == list(range(0, matched, BLOCK_TOKENS))
    held = b"".join(block.run for block in path)
    assert held[: 4 * matched] == b"".join(block.run for block in blocks_of(asked[:matched]))


@given(families())
def test_where_states_cannot_be_cut_one_goes_on_from_a_state_only(
    prompts: list[list[int]],
) -> None:
    """The longest stored prompt that the one asked for begins with, by all that leads there."""
    asked, *stored = prompts
    index = index_of(stored, states=True)

    path, matched = index.match(asked)

    begun = {len(tokens) for tokens in stored if common(asked, tokens) == len(tokens)} - {0}
    assert matched == max(begun, default=0)
    assert path == blocks_of(asked[:matched], states=True)
    assert [block.stop for block in index.states(asked)] == sorted(begun, reverse=True)


@given(families(), st.data())
def test_nothing_is_left_that_leads_to_no_state(
    prompts: list[list[int]], data: st.DataObject
) -> None:
    """After any removal exactly the blocks before remaining states remain."""
    index = index_of(prompts, states=True)
    while states_in(index):
        key = data.draw(st.sampled_from(sorted(states_in(index))))
        removed = index.remove(key)

        assert removed[0].key == key
        assert all(block.key not in index for block in removed)
        leading = {b.key for state in states_in(index) for b in index.path(state)}
        assert len(index) == len(leading)
        assert all(key in index for key in leading)
    assert len(index) == 0


@given(families())
def test_nothing_is_missing_of_what_was_stored(prompts: list[list[int]]) -> None:
    """And of anything else, all from the first block on that is not there."""
    asked, *stored = prompts
    index = index_of(stored)
    missing = index.missing(asked)
    stops = [block.stop for block in blocks_of(asked)]

    assert all(index.missing(tokens) == [] for tokens in stored)
    _path, matched = index.match(asked)
    assert [stop for _start, stop in missing] == [stop for stop in stops if stop > matched]


@given(families(), st.data())
def test_what_is_below_a_removed_block_goes_with_it(
    prompts: list[list[int]], data: st.DataObject
) -> None:
    """Nothing out of reach is left, and nothing else is touched."""
    index = index_of(prompts)
    keys = {block.key for tokens in prompts for block in blocks_of(tokens)} & set(all_keys(index))
    if not keys:
        return
    gone = data.draw(st.sampled_from(sorted(keys)))
    below = {key for key in keys if gone in {block.key for block in index.path(key)}}

    removed = index.remove(gone)

    assert {block.key for block in removed} == below
    assert set(all_keys(index)) == keys - below
    assert len(index) == len(keys - below)


def all_keys(index: Index) -> list[bytes]:
    return [key for key in index._blocks if key in index]


def test_a_block_without_the_one_before_it_has_no_place() -> None:
    """It could never be put into a pool."""
    tokens = prompt(300)
    index = index_of([tokens[:100]])

    assert index.block(tokens, 128, 256) is None
    assert index.block(tokens, 0, 128) is not None


def test_a_tail_gives_way_to_a_longer_one() -> None:
    """As a conversation grows each token is stored once."""
    index = index_of([prompt(150)])
    longer = index.block(prompt(200), 128, 200)
    assert longer is not None

    assert [block.stop for block in index.add(longer)] == [150]


def test_a_tail_that_a_longer_one_begins_with_is_not_missing() -> None:
    """It can be had by cutting that."""
    index = index_of([prompt(200)])

    assert index.missing(prompt(150)) == []
    assert index.match(prompt(150)) == (blocks_of(prompt(200)), 150)


def test_a_shorter_state_stays_beside_a_longer_one() -> None:
    """It cannot be had from that."""
    index = index_of([prompt(100), prompt(200)], states=True)

    assert len(index) == 3
    assert index.missing(prompt(150)) == [(128, 150)]
    assert index.missing(prompt(128)) == [(0, 128)]
    assert index.missing(prompt(200)) == index.missing(prompt(100)) == []


def test_of_equal_matches_the_shortest_block_is_taken() -> None:
    """There is less of it to read from a disk."""
    fork = prompt(50)
    index = index_of([fork + [1] * 70, fork + [2] * 10, fork + [3] * 40])

    assert index.match(fork) == (blocks_of(fork + [2] * 10), 50)


def test_the_blocks_after_one_are_known() -> None:
    """An end is a block without any."""
    index = index_of([prompt(128) + [1] * 10, prompt(128) + [2] * 10])
    first, _tail = blocks_of(prompt(128) + [1] * 10)

    children = list(index.children(first.key))
    assert [block.parent for block in children] == [first.key] * 2
    assert [list(index.children(block.key)) for block in children] == [[], []]


def test_an_empty_prompt_has_no_beginning() -> None:
    """It is not in the way of those that have."""
    index = index_of([prompt(200)])

    assert index.match([]) == ([], 0)
    assert index.missing([]) == []
    assert index.path(b"no such key") == []
    assert index.remove(b"no such key") == []


def test_a_very_long_way_to_one_state_goes_with_it() -> None:
    """A prompt of 150,000 tokens has more blocks than Python lets functions call one another."""
    blocks = list(cut(ROOT, pack(prompt(1200 * BLOCK_TOKENS)), states=True))
    index = Index(ROOT, states=True)
    for block in blocks:
        index.add(block)

    assert index.remove(blocks[-1].key) == blocks[::-1]
    assert len(index) == 0
