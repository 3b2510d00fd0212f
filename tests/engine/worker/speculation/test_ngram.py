"""Prompt lookup: guesses from earlier n-grams, at the same cost for each token."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inglenook.engine.worker.speculation.ngram import PromptLookup

TEXTS = st.lists(st.integers(0, 3), max_size=60)


@pytest.mark.parametrize(
    ("tokens", "most", "proposal"),
    [
        ([], 4, []),
        ([7], 4, []),
        ([1, 2, 3, 4, 5], 4, []),  # nothing was there before
        ([1, 2, 3, 9, 8, 7, 6, 1, 2, 3], 4, [9, 8, 7, 6]),
        ([1, 2, 3, 9, 8, 7, 6, 1, 2, 3], 2, [9, 8]),
        ([1, 2, 3, 9, 8, 7, 6, 1, 2, 3], 0, []),
        ([1, 2, 3, 9, 5, 5, 2, 3], 3, [9, 5, 5]),  # two tokens are enough
        ([1, 2, 8, 5, 2], 3, []),  # one is not
        ([1, 2, 3, 4, 9, 2, 3, 5, 1, 2, 3], 1, [4]),  # three before two
        ([2, 3, 4, 9, 2, 3, 5, 9, 2, 3], 1, [5]),  # the last time, not the first
        ([1, 2, 3, 1, 2, 3], 7, [1, 2, 3, 1, 2, 3, 1]),  # a round of three goes on
        ([4, 4, 4], 3, [4, 4, 4]),
        ([1, 2, 9, 1, 2], 5, [9, 1, 2, 9, 1]),
    ],
)
def test_what_followed_before_is_proposed(
    tokens: list[int], most: int, proposal: list[int]
) -> None:
    """As many tokens as wanted, or none."""
    assert PromptLookup(tokens, 0).propose(most) == proposal


def searched(tokens: list[int]) -> int | None:
    """Position after the last occurrence of the last tokens, by searching."""
    for length in (3, 2):
        for position in range(len(tokens) - 1, length - 1, -1):
            if tokens[position - length : position] == tokens[len(tokens) - length :]:
                return position
    return None


@given(TEXTS)
def test_the_table_finds_what_a_search_would(tokens: list[int]) -> None:
    """The latest occurrence of the last trigram, else of the last bigram."""
    at = searched(tokens)
    proposal = PromptLookup(tokens, 0).propose(1)

    assert proposal == ([] if at is None else [tokens[at]])


@given(TEXTS, st.lists(st.integers(1, 5), max_size=60), st.integers(0, 60))
def test_when_it_looks_makes_no_difference(
    tokens: list[int], looks: list[int], answer_start: int
) -> None:
    """The result does not depend on how often the growing list is read."""
    at_once = PromptLookup(tokens, answer_start)
    growing: list[int] = []
    followed = PromptLookup(growing, answer_start)
    for look in looks:
        growing += tokens[len(growing) : len(growing) + look]
        followed.propose(3)
    growing += tokens[len(growing) :]

    assert followed.propose(5) == at_once.propose(5)
    assert followed.acceptance == at_once.acceptance


def test_proposing_changes_nothing() -> None:
    """Neither the sequence, nor the next proposal."""
    tokens = [1, 2, 3, 1, 2, 3]
    lookup = PromptLookup(tokens, 0)

    assert lookup.propose(9) == lookup.propose(9)
    assert tokens == [1, 2, 3, 1, 2, 3]


def acceptance(tokens: list[int], answer_start: int = 0) -> float:
    return PromptLookup(tokens, answer_start).acceptance


def test_a_text_that_repeats_itself_is_believed_more_and_more() -> None:
    """Half after some six right guesses, and never above 15/16."""
    by_length = [acceptance([1, 2, 3, 4, 5] * 10, answer_start) for answer_start in range(50)]

    assert by_length == sorted(by_length, reverse=True)
    assert by_length[44] == pytest.approx(0.52, abs=0.01)
    assert 0.93 < by_length[10] < 15 / 16


def test_a_text_that_does_not_is_not_believed() -> None:
    """A bigram often repeats by chance; the token after it does not."""
    random = Random(1)
    assert acceptance([random.randrange(16) for _ in range(1000)]) < 0.25


def test_where_nothing_is_guessed_nothing_is_judged() -> None:
    """A long new passage does not lower the acceptance of a quotation."""
    quotation = [1, 2, 3, 4, 5] * 10
    assert acceptance([*quotation, *range(100, 400)]) == acceptance([*quotation, 100])


def test_how_a_prompt_repeats_itself_is_not_the_answers_merit() -> None:
    """Acceptance is measured from the answer's first token on; the prompt still gives guesses."""
    prompt = [1, 2, 3, 4, 5] * 10
    lookup = PromptLookup(prompt, len(prompt))

    assert lookup.acceptance == 0
    assert lookup.propose(3) == [1, 2, 3]
    prompt.append(1)
    assert lookup.acceptance > 0
