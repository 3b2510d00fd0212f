"""Drafts are verified where they pay, by the acceptance and the board's step times."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inglenook.engine.worker.scheduler.step_budget import StepBudget
from inglenook.engine.worker.speculation.draft import DRAFT_TOKENS_MAX, Draft, DraftPrice
from inglenook.engine.worker.speculation.ngram import PromptLookup

#: What a row more costs, of a step with one: where memory is the limit, and where four rows take
#: 2.2 times as long as one.
MEMORY_BOUND = 0.1
COMPUTE_BOUND = 0.4


def cost(row: float) -> Callable[[int], float]:
    """Step times of a board where each further row costs this share of the first."""
    return lambda rows: 0.05 * (1 + row * (rows - 1))


def lengths(row: float, drafts: list[tuple[int, float]], decoding: int) -> list[int]:
    return DraftPrice(cost(row)).lengths([Draft(*draft) for draft in drafts], decoding)


@pytest.mark.parametrize(
    ("row", "drafts", "decoding", "drafted"),
    [
        (MEMORY_BOUND, [], 1, []),
        (MEMORY_BOUND, [(7, 0.0)], 1, [0]),
        (MEMORY_BOUND, [(7, 0.2)], 1, [0]),  # 1.25 tokens for 1.3 times the time
        (MEMORY_BOUND, [(7, 0.5)], 1, [3]),  # 1.88 for 1.3
        (MEMORY_BOUND, [(7, 0.9)], 1, [7]),  # 5.7 for 1.7, where three are 3.4 for 1.3
        (MEMORY_BOUND, [(2, 0.9)], 1, [0]),  # rows come in fours
        (MEMORY_BOUND, [(7, 0.9)], 5, [7]),  # then the other way round
        (MEMORY_BOUND, [(7, 0.8)], 5, [3]),  # 6.95 for 1.7, where seven are 8.16 for 2.1
        (COMPUTE_BOUND, [(7, 0.5)], 1, [0]),
        (COMPUTE_BOUND, [(7, 0.6)], 1, [0]),  # 2.18 tokens for 2.2 times the time
        (COMPUTE_BOUND, [(7, 0.7)], 1, [3]),  # 2.53
        (COMPUTE_BOUND, [(7, 1.0)], 1, [7]),
        (COMPUTE_BOUND, [(7, 0.5)], 4, [0]),  # a row is 0.18 of this step, but here are four to 1
        (1.0, [(7, 1.0)], 1, [0]),  # nothing is gained by rows that are steps
        (MEMORY_BOUND, [(7, 0.9), (7, 0.1)], 2, [6, 0]),
        (MEMORY_BOUND, [(7, 0.7), (7, 0.7)], 2, [3, 3]),
    ],
)
def test_most_tokens_per_second(
    row: float, drafts: list[tuple[int, float]], decoding: int, drafted: list[int]
) -> None:
    """All rows of a step are considered together."""
    assert lengths(row, drafts, decoding) == drafted


@given(
    st.floats(0.0, 1.5),
    st.lists(st.tuples(st.integers(0, 7), st.floats(0.0, 1.0)), max_size=8),
    st.integers(0, 4),
)
def test_no_better_choice_is_left(row: float, drafts: list[tuple[int, float]], others: int) -> None:
    """The drafts' expected gain is at least 5 %, and no single draft would gain more."""
    decoding = len(drafts) + others
    drafted = lengths(row, drafts, decoding)

    def rate(tokens: list[int]) -> float:
        bring = (
            acceptance**length
            for (_most, acceptance), count in zip(drafts, tokens, strict=True)
            for length in range(1, count + 1)
        )
        return (decoding + sum(bring)) / cost(row)(decoding + sum(tokens))

    assert all(count <= most for count, (most, _) in zip(drafted, drafts, strict=True))
    if not drafts:
        return
    nothing = [0] * len(drafts)
    if drafted != nothing:
        assert (decoding + sum(drafted)) % 4 == 0
        assert rate(drafted) >= 1.05 * rate(nothing) * 0.999
    for index, (most, _acceptance) in enumerate(drafts):
        for count in range(most + 1):
            other = [count if i == index else 0 for i in range(len(drafts))]
            if (decoding + count) % 4 == 0:
                assert rate(other) <= max(rate(drafted), 1.05 * rate(nothing)) * 1.001


def test_before_a_step_was_measured_nothing_is_drafted() -> None:
    """The price is unknown."""
    price = DraftPrice(lambda rows: StepBudget(0.2).predict_s(decoding=rows, prefill=0))
    assert price.lengths([Draft(7, 1.0)], 1) == [0]


def test_a_price_is_doubted_ever_more_rarely() -> None:
    """Four drafts that would pay at half the price after 256 steps, after 512 more, 1024 more."""
    price = DraftPrice(cost(0.6))
    drafted = [step for step in range(2000) if price.lengths([Draft(7, 0.7)], 1) != [0]]

    first, second, third = 256, 256 + 4 + 512, 256 + 4 + 512 + 4 + 1024
    assert drafted == [begin + n for begin in (first, second, third) for n in range(4)]


def test_a_draft_that_could_never_pay_is_never_made() -> None:
    """Not even at half the price."""
    price = DraftPrice(cost(MEMORY_BOUND))
    assert not any(any(price.lengths([Draft(7, 0.1)], 1)) for _ in range(1000))


def test_a_price_learned_in_a_bad_moment_is_corrected() -> None:
    """One stream, on a box that was busy with other things whenever it drafted."""
    budget = StepBudget(0.2)
    price = DraftPrice(lambda rows: budget.predict_s(decoding=rows, prefill=0))
    for _ in range(20):
        budget.measured(decoding=1, prefill=0, step_s=0.05)
        budget.measured(decoding=4, prefill=0, step_s=0.20)
    drafted = []
    for _ in range(2000):
        (count,) = price.lengths([Draft(3, 0.9)], 1)
        budget.measured(decoding=1 + count, prefill=0, step_s=cost(MEMORY_BOUND)(1 + count))
        drafted.append(count)

    assert not any(drafted[:256])
    assert all(drafted[-100:])


def speed_up(texts: list[list[int]], row: float, prompt_tokens: int = 0) -> float:
    """Generate all texts at once with drafts; return the relative speed to that without."""
    budget = StepBudget(0.2)
    price = DraftPrice(lambda rows: budget.predict_s(decoding=rows, prefill=0))
    step_s = cost(row)
    budget.measured(decoding=len(texts), prefill=0, step_s=step_s(len(texts)))
    written = [text[:prompt_tokens] for text in texts]
    lookups = [PromptLookup(tokens, prompt_tokens) for tokens in written]
    spent_s = plain_s = 0.0
    while all(len(tokens) < len(text) for text, tokens in zip(texts, written, strict=True)):
        before = sum(map(len, written))
        proposals = [lookup.propose(DRAFT_TOKENS_MAX) for lookup in lookups]
        drafts = [
            Draft(len(proposal), lookup.acceptance)
            for proposal, lookup in zip(proposals, lookups, strict=True)
        ]
        counts = price.lengths(drafts, len(texts))
        for text, tokens, proposal, count in zip(texts, written, proposals, counts, strict=True):
            for token in (*proposal[:count], None):
                tokens.append(text[len(tokens)] if len(tokens) < len(text) else -1)
                if token != tokens[-1]:
                    break
        rows = len(texts) + sum(counts)
        budget.measured(decoding=rows, prefill=0, step_s=step_s(rows))
        spent_s += step_s(rows)
        plain_s += step_s(len(texts)) * (sum(map(len, written)) - before) / len(texts)
    return plain_s / spent_s


def quoting(seed: int, tokens: int = 600) -> list[int]:
    """A text of which half is repeated, in runs of twenty tokens."""
    random = Random(seed)
    text = [random.randrange(5000) for _ in range(100)]
    while len(text) < tokens:
        at = random.randrange(len(text) - 20)
        text += text[at : at + 20] + [random.randrange(5000) for _ in range(20)]
    return text


@pytest.mark.parametrize("streams", [1, 2, 4])
@pytest.mark.parametrize(("row", "least"), [(MEMORY_BOUND, 1.15), (COMPUTE_BOUND, 1.0)])
def test_a_text_that_quotes_is_written_sooner(row: float, least: float, streams: int) -> None:
    """On a board where rows are expensive, it is at least not slower."""
    gains = [
        speed_up([quoting(seed * 10 + stream) for stream in range(streams)], row)
        for seed in range(4)
    ]
    assert min(gains) >= least


@pytest.mark.parametrize(("row", "least"), [(MEMORY_BOUND, 2.5), (COMPUTE_BOUND, 1.6)])
def test_a_text_that_is_copied_is_written_much_sooner(row: float, least: float) -> None:
    """For example code with one line changed."""
    random = Random(1)
    code = [random.randrange(5000) for _ in range(400)]

    assert speed_up([[*code, *code[:200], 7, *code[201:]]], row, prompt_tokens=400) >= least


@settings(max_examples=20)
@given(
    st.integers(0, 2**32),
    st.sampled_from([16, 64, 5000]),
    st.sampled_from([MEMORY_BOUND, 0.25, COMPUTE_BOUND, 0.9]),
    st.integers(1, 4),
)
def test_a_text_of_chance_is_written_as_fast_as_without(
    seed: int, vocabulary: int, row: float, streams: int
) -> None:
    """Within 1 %, in spite of accidental repetitions."""
    random = Random(seed)
    texts = [[random.randrange(vocabulary) for _ in range(400)] for _ in range(streams)]

    assert speed_up(texts, row) >= 0.99
