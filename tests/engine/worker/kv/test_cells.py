"""The ledger's count of cells is that of a pool which names every cell."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from inglenook.engine.worker.kv.cells import CellAccounting

NUMBERS = range(4)
TOKENS = st.integers(1, 9)

MOVES = st.one_of(
    st.tuples(st.just("grow"), st.sampled_from(NUMBERS), TOKENS),
    st.tuples(st.just("cut"), st.sampled_from(NUMBERS), st.integers(0, 20)),
    st.tuples(st.just("share"), st.sampled_from(NUMBERS), st.sampled_from(NUMBERS), TOKENS),
)


@given(st.lists(MOVES, max_size=40))
def test_it_counts_as_a_pool_that_names_every_cell(moves: list[tuple[str | int, ...]]) -> None:
    """Whatever grows, is cut or shares its beginning, used cells and lengths agree."""
    accounting = CellAccounting()
    pool: dict[int, list[int]] = {number: [] for number in NUMBERS}
    cells = iter(range(10_000))
    for move in moves:
        match move:
            case ("grow", int(number), int(tokens)):
                accounting.grow(number, tokens)
                pool[number] += [next(cells) for _ in range(tokens)]
            case ("cut", int(number), int(stop)):
                accounting.cut(number, stop)
                del pool[number][stop:]
            case ("share", int(source), int(number), int(stop)) if (
                pool[source] and not pool[number]
            ):
                accounting.share(source, number, stop)
                pool[number] = pool[source][:stop]
        named = {cell for row in pool.values() for cell in row}
        assert accounting.used_cells == len(named)
        for number, row in pool.items():
            others = {cell for other, cells_ in pool.items() if other != number for cell in cells_}
            assert accounting.length(number) == len(row)
            assert accounting.exclusive_cells(number) == len(set(row) - others)


def test_four_that_share_a_beginning_count_it_once() -> None:
    """As four phones with one system prompt do."""
    accounting = CellAccounting()
    accounting.grow(0, 500)
    for number in (1, 2, 3):
        accounting.share(0, number, 500)
        accounting.grow(number, 10)

    assert accounting.used_cells == 530
    accounting.cut(0, 0)
    assert accounting.used_cells == 530
