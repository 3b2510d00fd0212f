"""A step stays as short as was asked for, whatever the board's speed turns out to be."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inglenook.engine.worker.budget import ALONE_STEP_S, CHUNK_TOKENS, StepBudget

MOST = 512
STEP_BUDGET_S = 0.2


@dataclass
class Board:
    """What a step costs: reading the weights once, and then each token."""

    fixed_s: float
    token_s: float

    def prefill_steps(self, budget: StepBudget, steps: int, *, decoding: bool) -> list[int]:
        """Run steps as the batcher does; return how many prompt tokens each had."""
        sizes = []
        for _ in range(steps):
            tokens = budget.prefill_tokens(decoding=decoding, most=MOST)
            cost_s = self.fixed_s + self.token_s * (tokens + (1 if decoding else 0))
            budget.measured(tokens, cost_s)
            sizes.append(tokens)
        return sizes

    def decode_steps(self, budget: StepBudget, steps: int) -> None:
        for _ in range(steps):
            budget.measured(0, self.fixed_s + self.token_s)


PI_5 = Board(fixed_s=0.1, token_s=0.02)  # a 1.5B model
MINI_PC = Board(fixed_s=0.03, token_s=0.002)


@pytest.mark.parametrize(
    ("board", "tokens"),
    [
        (MINI_PC, 64),  # 0.2 s = 30 ms + 2 ms x 83 tokens, and 64 are whole chunks of that
        (PI_5, 32),  # there is time for four tokens only, but newcomers must get on
        (Board(0.001, 0.0001), MOST),
    ],
)
def test_while_somebody_reads_along_a_step_keeps_to_the_budget(board: Board, tokens: int) -> None:
    """After a few steps the right size is found and kept."""
    budget = StepBudget(STEP_BUDGET_S)
    board.decode_steps(budget, 5)

    assert board.prefill_steps(budget, 20, decoding=True)[-5:] == [tokens] * 5


@pytest.mark.parametrize(
    ("board", "tokens"),
    [
        (MINI_PC, 384),  # 0.8 s = 30 ms + 2 ms x 385 tokens
        (PI_5, 32),  # 0.8 s = 100 ms + 20 ms x 35 tokens
        (Board(0.001, 0.0001), MOST),
        (Board(1.0, 0.1), 32),
    ],
)
def test_alone_a_step_stays_below_a_second(board: Board, tokens: int) -> None:
    """Larger chunks are cheaper, but cancel and shutdown wait for a step's end."""
    budget = StepBudget(STEP_BUDGET_S)
    board.decode_steps(budget, 5)

    assert board.prefill_steps(budget, 20, decoding=False)[-5:] == [tokens] * 5


@given(
    fixed_s=st.floats(0.0005, 1.0),
    tokens_per_fixed=st.floats(1, 200),
    decoding=st.booleans(),
)
def test_on_any_board_the_largest_size_that_fits_is_found(
    fixed_s: float, tokens_per_fixed: float, decoding: bool
) -> None:
    """What is taken fits, but for the one chunk that is always granted; two more would not."""
    token_s = fixed_s / tokens_per_fixed
    board = Board(fixed_s, token_s)
    budget = StepBudget(STEP_BUDGET_S)
    board.decode_steps(budget, 20)

    tokens = board.prefill_steps(budget, 80, decoding=decoding)[-1]

    limit_s = STEP_BUDGET_S if decoding else ALONE_STEP_S
    assert tokens == CHUNK_TOKENS or fixed_s + token_s * tokens <= limit_s * 1.01
    assert tokens == MOST or fixed_s + token_s * (tokens + 2 * CHUNK_TOKENS) > limit_s


def test_a_box_that_never_only_decoded_still_finds_its_size() -> None:
    """The fixed part is then spread over the tokens: at most one chunk is lost by it."""
    assert MINI_PC.prefill_steps(StepBudget(STEP_BUDGET_S), 40, decoding=False)[-1] in (352, 384)


def test_a_board_that_slows_down_gets_smaller_chunks_soon() -> None:
    """A throttled processor halves its clock; ten steps later the chunks have shrunk with it."""
    budget = StepBudget(STEP_BUDGET_S)
    before = MINI_PC.prefill_steps(budget, 40, decoding=False)[-1]

    slow = Board(MINI_PC.fixed_s * 3, MINI_PC.token_s * 3)
    after = slow.prefill_steps(budget, 10, decoding=False)[-1]

    assert after <= before // 2


def test_nothing_is_known_at_first() -> None:
    """The first step is a guess: small with a reader, moderate without."""
    budget = StepBudget(STEP_BUDGET_S)
    assert budget.prefill_tokens(decoding=True, most=MOST) == CHUNK_TOKENS
    assert budget.prefill_tokens(decoding=False, most=MOST) == 4 * CHUNK_TOKENS


@pytest.mark.parametrize(
    ("most", "tokens"),
    [(512, 512), (509, 480), (256, 256), (40, 32), (32, 32), (31, 0), (0, 0)],
)
def test_the_batch_has_a_limit_of_its_own(most: int, tokens: int) -> None:
    """Whole chunks below it; decoders have taken their places already."""
    budget = StepBudget(STEP_BUDGET_S)
    budget.measured(512, 0.001)

    assert budget.prefill_tokens(decoding=False, most=most) == tokens


def test_a_step_slower_than_all_before_leaves_a_chunk() -> None:
    """Swapping for a minute must not stop newcomers for good."""
    budget = StepBudget(STEP_BUDGET_S)
    budget.measured(0, 60.0)
    budget.measured(32, 60.0)
    assert budget.prefill_tokens(decoding=True, most=MOST) == CHUNK_TOKENS
