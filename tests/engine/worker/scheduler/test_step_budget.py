"""The step budget: steps keep their bound on any board, and prefill keeps its speed."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inglenook.engine.worker.scheduler.step_budget import (
    ALONE_STEP_S,
    STRETCH,
    TILE_TOKENS,
    TILED_STEP_S,
    UNIT_TOKENS,
    StepBudget,
)

MOST = 512

#: Sixteen rows less the most that may decode, before another sixteen are granted.
_LEAST_TOKENS = 4
STEP_BUDGET_S = 0.2

#: Relative spread of equal steps, as on a busy box.
NOISE = 0.1


@dataclass(frozen=True)
class Board:
    """The true costs of a step, and their noise."""

    fixed_s: float
    decoding_s: float
    prefill_s: float
    noise: float = 0.0

    def step_s(self, decoding: int, prefill: int) -> float:
        return self.fixed_s + self.decoding_s * decoding + self.prefill_s * prefill

    def throttled(self, times: float) -> Board:
        return replace(
            self,
            fixed_s=self.fixed_s * times,
            decoding_s=self.decoding_s * times,
            prefill_s=self.prefill_s * times,
        )


class Run:
    """Steps on a board, planned and measured as the batcher does."""

    def __init__(self, board: Board, seed: int = 0) -> None:
        self.board = board
        self.budget = StepBudget(STEP_BUDGET_S)
        self._random = Random(seed)

    def step(self, decoding: int, prefill: int) -> float:
        chance = max(self._random.gauss(1, self.board.noise), 0.5)
        step_s = self.board.step_s(decoding, prefill) * chance
        self.budget.measured(decoding=decoding, prefill=prefill, step_s=step_s)
        return step_s

    def decode(self, steps: int, decoding: int = 1) -> None:
        for _ in range(steps):
            self.step(decoding, 0)

    def sizes(self, steps: int, decoding: int) -> list[int]:
        """Prompt tokens of each of the next steps."""
        sizes = []
        for _ in range(steps):
            sizes.append(self.budget.prefill_tokens(decoding=decoding, most=MOST))
            self.step(decoding, sizes[-1])
        return sizes

    def read(self, tokens: int, decoding: int) -> Iterator[float]:
        """Prefill a prompt; yields the duration of each step, in seconds."""
        while tokens > 0:
            part = min(self.budget.prefill_tokens(decoding=decoding, most=MOST), tokens)
            yield self.step(decoding, part)
            tokens -= part

    def predict_s(self, decoding: int, prefill: int) -> float:
        predicted_s = self.budget.predict_s(decoding=decoding, prefill=prefill)
        assert predicted_s is not None
        return predicted_s

    @property
    def prefill_s(self) -> float:
        """Estimated cost of a prompt token."""
        return (self.predict_s(1, 1000) - self.predict_s(1, 0)) / 1000


SHAPE = Board(0.030, 0.008, 0.0115)  # a 1.5B model on two x86 cores
PI_5 = Board(0.100, 0.020, 0.020)  # the same there
MINI_PC = Board(0.030, 0.002, 0.002)
OLD_PHONE = Board(0.500, 0.100, 0.100)
FAST = Board(0.001, 0.0001, 0.0001)


@pytest.mark.parametrize(
    ("board", "decoding", "tokens"),
    [
        (SHAPE, 1, 15),  # 7 x 38 ms = 38 ms + 11.5 ms x 19.8; with the decoding row 16
        (SHAPE, 8, 40),  # 7 x 94 ms = 94 ms + 11.5 ms x 49
        (MINI_PC, 1, 95),  # 7 x 32 ms = 32 ms + 2 ms x 96
        (PI_5, 1, 31),  # cancel would wait too long: 0.8 s = 120 ms + 20 ms x 34
        (PI_5, 8, 24),  # cancel would wait too long: 0.8 s = 260 ms + 20 ms x 27
        (OLD_PHONE, 8, 8),  # half of the time each: 1.3 s for 8 decoding rows, 1.3 s for 13 tokens
        (FAST, 2, 510),
    ],
)
def test_a_step_with_decoding_rows_keeps_its_bound(
    board: Board, decoding: int, tokens: int
) -> None:
    """The estimate converges to the right size and stays there."""
    run = Run(board)
    run.decode(20)
    run.decode(40, decoding)

    assert set(run.sizes(40, decoding)[-5:]) == {tokens}


@pytest.mark.parametrize(
    ("board", "tokens"),
    [
        (SHAPE, 64),  # 0.8 s = 30 ms + 11.5 ms x 67
        (
            Board(0.030, 0.008, 0.0135),
            64,
        ),  # 0.95 s = 30 ms + 13.5 ms x 68: attention's tile is full
        (Board(0.030, 0.008, 0.0150), 48),  # 0.99 s with a full tile
        (PI_5, 32),  # 0.8 s = 100 ms + 20 ms x 35
        (MINI_PC, 384),
        (OLD_PHONE, 16),  # there is time for three, but every prefill makes progress
        (FAST, 512),
    ],
)
def test_alone_a_step_stays_below_a_second(board: Board, tokens: int) -> None:
    """Large steps are cheaper, but cancel, throttle and shutdown wait for a step's end."""
    run = Run(board)
    run.decode(5)

    assert set(run.sizes(40, 0)[-5:]) == {tokens}


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("board", [SHAPE, PI_5])
def test_no_stream_stalls_and_prefill_hardly_takes_longer_for_that(board: Board, seed: int) -> None:
    """A stream's longest gap is below 8 usual ones; 1,000 tokens take at most 1.3 x as long."""
    run = Run(replace(board, noise=0.05), seed)
    alone_s = sum(run.read(1000, 0))
    run.decode(100)

    steps_s = list(run.read(1000, 1))

    assert max(steps_s) <= 8 * board.step_s(1, 0)
    assert sum(steps_s) <= 1.3 * alone_s


@given(
    fixed_s=st.floats(0.0005, 1.0),
    decoding_share=st.floats(0.02, 1.0),
    prefill_share=st.floats(0.05, 1.0),
    decoding=st.integers(0, 8),
)
def test_on_any_board_the_largest_size_that_fits_is_found(
    fixed_s: float, decoding_share: float, prefill_share: float, decoding: int
) -> None:
    """The prefill fits, except the one unit that is always granted; two more units would not."""
    board = Board(fixed_s, fixed_s * decoding_share, fixed_s * prefill_share)
    run = Run(board)
    for streams in (1, 8) * 20:
        run.decode(1, streams)
    tokens = run.sizes(60, decoding)[-1]
    rows = decoding + tokens

    base_s = board.step_s(decoding, 0)
    bearable_s = min(STRETCH * base_s, max(ALONE_STEP_S, 2 * base_s))
    limit_s = max(STEP_BUDGET_S, bearable_s) if decoding else ALONE_STEP_S
    longest_s = TILED_STEP_S if rows == TILE_TOKENS and not decoding else limit_s
    assert tokens < 2 * UNIT_TOKENS or board.step_s(decoding, tokens) <= longest_s * 1.1
    assert rows > MOST - UNIT_TOKENS or (
        board.step_s(decoding, tokens + 2 * UNIT_TOKENS) > limit_s * 0.9
    )


@pytest.mark.parametrize("streams", [1, 2, 4, 8])
@pytest.mark.parametrize("board", [SHAPE, PI_5, MINI_PC, OLD_PHONE])
def test_after_an_evening_any_step_is_predicted(board: Board, streams: int) -> None:
    """After many streams and prompts each cost is known within the noise."""
    run = Run(replace(board, noise=NOISE))
    random = Random(1)
    for _ in range(300):
        run.step(random.randint(1, 8), random.choice((0, 0, 16, 32)))

    for prefill in (0, 16, 64):
        true_s = board.step_s(streams, prefill)
        assert run.predict_s(streams, prefill) == pytest.approx(true_s, rel=0.25)


@pytest.mark.parametrize("times", [20, 1000])
@pytest.mark.parametrize(("decoding", "prefill"), [(1, 0), (8, 0), (0, 64), (1, 16)])
def test_one_disturbed_step_spoils_nothing(times: int, decoding: int, prefill: int) -> None:
    """By a page fault or a suspended machine; the size of the disturbance does not matter."""
    run = Run(SHAPE)
    run.decode(50)
    for _ in range(50):
        run.step(decoding, prefill)
    before_s = run.predict_s(decoding, prefill)

    disturbed_s = before_s * times
    run.budget.measured(decoding=decoding, prefill=prefill, step_s=disturbed_s)

    assert before_s < run.predict_s(decoding, prefill) < 1.1 * before_s


@pytest.mark.parametrize(("times", "steps"), [(0.5, 10), (2, 10), (20, 25)])
@pytest.mark.parametrize(("decoding", "prefill"), [(1, 0), (8, 0), (0, 64), (1, 16)])
def test_a_lasting_change_is_followed_soon(
    times: float, steps: int, decoding: int, prefill: int
) -> None:
    """A throttled processor halves its clock; a box that swaps is twenty times as slow."""
    run = Run(SHAPE)
    run.decode(50)
    for _ in range(50):
        run.step(decoding, prefill)

    run.board = SHAPE.throttled(times)
    for _ in range(steps):
        run.step(decoding, prefill)

    true_s = run.board.step_s(decoding, prefill)
    assert run.predict_s(decoding, prefill) == pytest.approx(true_s, rel=0.2)


def test_a_slower_clock_makes_all_of_a_step_dearer() -> None:
    """Seen only in mixed steps, it raises each cost in proportion."""
    run = Run(SHAPE)
    run.decode(50)
    run.sizes(20, 1)

    run.board = SHAPE.throttled(2)
    run.sizes(20, 1)

    assert 0.7 * run.board.step_s(1, 0) < run.predict_s(1, 0) < run.board.step_s(1, 0)


def test_what_steps_do_not_tell_about_stays_as_it_was() -> None:
    """An hour of decoding, partly throttled, does not change the cost of prefill."""
    run = Run(replace(SHAPE, noise=NOISE))
    run.decode(20)
    run.sizes(20, 1)
    before_s = run.prefill_s

    for times in (1, 2, 1, 3, 1):
        run.board = SHAPE.throttled(times)
        run.decode(2000)

    assert run.prefill_s == pytest.approx(before_s, rel=1e-9)
    assert run.predict_s(1, 0) == pytest.approx(SHAPE.step_s(1, 0), rel=0.01)


def test_after_long_without_prompts_the_first_step_tells_most() -> None:
    """After throttling while decoding, the next prefill's first step corrects the estimate."""
    run = Run(SHAPE)
    run.decode(20)
    run.sizes(20, 1)
    run.board = SHAPE.throttled(2)
    run.decode(500)

    (size,) = run.sizes(1, 1)

    assert size > 20
    assert run.sizes(1, 1)[0] <= 19
    assert run.prefill_s == pytest.approx(run.board.prefill_s, rel=0.25)


@given(
    st.lists(
        st.tuples(st.integers(0, 64), st.integers(0, MOST), st.floats(1e-6, 1e4)), max_size=50
    ),
    st.integers(0, 64),
    st.integers(0, MOST),
)
def test_whatever_was_measured_the_answer_makes_sense(
    steps: list[tuple[int, int, float]], decoding: int, most: int
) -> None:
    """No cost is negative, every prefill makes progress, and rows are a multiple of sixteen."""
    budget = StepBudget(STEP_BUDGET_S)
    for rows, prefill, step_s in steps:
        budget.measured(decoding=rows, prefill=prefill, step_s=step_s)

    tokens = budget.prefill_tokens(decoding=decoding, most=most)
    assert min(_LEAST_TOKENS, most) <= tokens <= most
    assert (decoding + tokens) % UNIT_TOKENS == 0 or most < tokens + UNIT_TOKENS
    if steps:
        predictions = [
            budget.predict_s(decoding=rows, prefill=prefill)
            for rows, prefill in ((0, 0), (1, 0), (1, 1), (2, 2))
        ]
        costs_s = [prediction for prediction in predictions if prediction is not None]
        assert len(costs_s) == 4
        assert all(math.isfinite(cost_s) for cost_s in costs_s)
        assert costs_s == sorted(costs_s)


def test_nothing_is_known_at_first() -> None:
    """The first step with prefill is a guess: small beside a stream, moderate without."""
    run = Run(SHAPE)
    assert run.budget.predict_s(decoding=1, prefill=0) is None
    for _ in range(2):
        assert run.budget.prefill_tokens(decoding=1, most=MOST) == 31
        assert run.budget.prefill_tokens(decoding=0, most=MOST) == 128
        run.decode(5)


@pytest.mark.parametrize(
    ("decoding", "most", "tokens"),
    [(0, 512, 512), (3, 509, 509), (0, 41, 32), (1, 40, 31), (0, 4, 4), (0, 3, 3), (2, 0, 0)],
)
def test_the_batch_has_a_limit_of_its_own(decoding: int, most: int, tokens: int) -> None:
    """Decoding rows count, and the rows are a multiple of sixteen up to it."""
    run = Run(FAST)
    run.decode(5)
    run.sizes(5, 0)

    assert run.budget.prefill_tokens(decoding=decoding, most=most) == tokens


def test_the_budget_can_be_changed_while_it_runs() -> None:
    """The governor makes steps shorter, as far as decoding itself is short."""
    run = Run(MINI_PC)
    run.decode(5)
    assert run.sizes(40, 1)[-1] == 95

    run.budget.step_budget_s = 0.5
    assert run.sizes(5, 1)[-1] == 223

    run.budget.step_budget_s = 0.02
    assert run.sizes(5, 1)[-1] in (79, 95)  # 7 x 32 ms, whatever is asked for


def test_a_board_that_stands_still_for_a_minute_does_not_stop_prefill() -> None:
    """While it swaps, each step has one unit."""
    run = Run(SHAPE.throttled(2000))
    run.decode(5)
    assert run.sizes(1, 1) == [31]
    assert run.sizes(5, 1)[-1] == 15
    assert run.sizes(5, 0)[-1] == 16


def test_speculative_prefill_has_short_steps() -> None:
    """A request that arrives waits for the end of the step."""
    budget = StepBudget(0.2)
    for _ in range(20):
        budget.measured(decoding=1, prefill=0, step_s=0.04)
        budget.measured(decoding=0, prefill=100, step_s=1.03)

    alone = budget.prefill_tokens(decoding=0, most=512)
    idle = budget.prefill_tokens(decoding=0, most=512, idle=True)

    assert 0 < idle <= 20 < alone
