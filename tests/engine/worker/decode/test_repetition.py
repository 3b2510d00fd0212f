"""Detection of endless repetition, and texts that are not detected."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inglenook.engine.worker.decode.repetition import RULE, RepetitionDetector
from inglenook.engine.worker.llama import Model

#: Far more than either condition needs.
_TOKENS_MAX = 4000


def ended_after(tokens: Iterable[int]) -> int | None:
    """Number of tokens after which an answer is ended; None if it is not."""
    detector = RepetitionDetector()
    for count, token in enumerate(itertools.islice(tokens, _TOKENS_MAX), 1):
        if detector.add(token):
            return count
    return None


def fresh(count: int, seed: int = 0) -> list[int]:
    """That many tokens, all different, also from those of another seed."""
    return [1000 * seed + 100_000 + place for place in range(count)]


@pytest.mark.parametrize(
    ("period", "expected"),
    [(1, 512), (2, 512), (7, 512), (100, 512), (128, 512), (129, 516), (200, 800), (500, 2000)],
)
@pytest.mark.parametrize("before", [0, 3, 50])
def test_a_run_that_comes_again_and_again_ends_the_answer(
    period: int, expected: int, before: int
) -> None:
    """After four rounds and 512 tokens, whichever is more, wherever it begins."""
    answer = [*fresh(before), *fresh(period, 1) * _TOKENS_MAX]

    assert ended_after(answer) == before + expected


@pytest.mark.parametrize("period", [1, 3, 40, 500])
def test_a_run_that_stops_in_time_ends_nothing(period: int) -> None:
    """One token below the bound, then another token: the count starts again."""
    rounds = [*fresh(period, 1) * 600][: max(RULE.exact_tokens, 4 * period) - 1]

    assert ended_after([*rounds, *fresh(60), *rounds]) is None


def _numbered(words: int) -> list[int]:
    """Items that differ in one token, their number."""
    return [token for number in range(300) for token in (500_000 + number, *fresh(words - 1, 1))]


@pytest.mark.parametrize("words", [32, 60, 200])
def test_items_that_differ_in_their_number_alone_end_the_answer(words: int) -> None:
    """Nearly nothing is new in 1,024 tokens, although no two items are equal."""
    ended = ended_after(_numbered(words))

    assert ended is not None
    assert ended <= RULE.near_tokens + 4 * words


def test_short_items_with_a_number_are_a_list() -> None:
    """One token in ten is new, as in a table or the days of a year."""
    assert ended_after(_numbered(10)) is None


def test_a_number_that_grows_by_a_digit_hides_nothing() -> None:
    """The copied place is then one token further back."""
    words = fresh(40, 1)
    answer = [
        token
        for number in range(1, 100)
        for token in (*(int(digit) for digit in str(number)), *words)
    ]

    assert ended_after(answer) is not None


def test_a_long_text_told_once_more_is_no_runaway() -> None:
    """A program with one line changed, or a corrected letter: a copy from a large distance."""
    text = fresh(900)
    corrected = [*text[:300], *fresh(5, 1), *text[300:]]

    assert ended_after([*text, *corrected, *text]) is None


@pytest.mark.slow
@given(
    st.integers(1, 300),
    st.lists(st.integers(0, 3), max_size=60),
    st.integers(0, 2**32 - 1),
)
def test_no_runaway_escapes(period: int, before: list[int], seed: int) -> None:
    """Any run of few different tokens is ended within one round of the bound."""
    rng = random.Random(seed)
    run = [rng.randrange(4) for _ in range(period)]
    ended = ended_after([*before, *run * _TOKENS_MAX])

    assert ended is not None
    assert ended <= len(before) + max(RULE.exact_tokens, RULE.rounds * period) + period


@given(st.integers(0, 2**32 - 1), st.integers(2, 50_000))
def test_chance_is_no_runaway(seed: int, vocabulary: int) -> None:
    """Random tokens, also from a vocabulary of two."""
    rng = random.Random(seed)

    assert ended_after(rng.randrange(vocabulary) for _ in range(1500)) is None


_LEGITIMATE: dict[str, Callable[[], str]] = {
    "a letter 200 times, one a line": lambda: "A\n" * 200,
    "a letter 200 times": lambda: "A " * 200,
    "a sentence 60 times": lambda: "I will not talk in class.\n" * 60,
    "laughter": lambda: "ha " * 300,
    "a rule of equals signs": lambda: ("=" * 79 + "\n") * 20,
    "a third in 300 digits": lambda: "0." + "3" * 300,
    "ten by ten zeros": lambda: "[\n" + "    [0, 0, 0, 0, 0, 0, 0, 0, 0, 0],\n" * 10 + "]",
    "equal items of JSON": lambda: "[" + '{"id": 0, "name": "", "on": false}, ' * 24 + "]",
    "counting": lambda: "".join(f"{number}\n" for number in range(1, 900)),
    "counting in a sentence": lambda: "".join(f"{n}. apples and pears\n" for n in range(1, 200)),
    "the days of a year": lambda: "".join(
        f"2026-{month:02}-{day:02},0,0\n" for month in range(1, 13) for day in range(1, 29)
    ),
    "a multiplication table": lambda: "".join(
        f"| {a} x {b} | {a * b} |\n" for a in range(1, 16) for b in range(1, 16)
    ),
    "a table of equal cells": lambda: "".join(
        f"| room {a}{b} | yes | yes | no | yes |\n" for a in "ABCDEFGH" for b in "KLMNOPQRS"
    ),
    "a song": lambda: "".join(
        f"This is verse {verse} of a song about number {verse * 37}.\n"
        + "Row, row, row your boat, gently down the stream.\n" * 4
        for verse in range(20)
    ),
    "a chess board": lambda: "".join(
        " ".join("♜♞♝♛♚♝♞♜" if row in (0, 7) else "........") + "\n" for row in range(8)
    ),
    "rows of a test": lambda: "".join(
        f'    assert parse("{n}") == {n * n}  # and so on\n' for n in range(100)
    ),
    "multiplication in Chinese": lambda: "".join(
        f"{a}乘以{b}等于{a * b}。" for a in range(1, 10) for b in range(1, 10)
    ),
}


@pytest.mark.parametrize("what", _LEGITIMATE)
def test_text_that_was_asked_for_is_left_alone(starter: Model, what: str) -> None:
    """Wanted texts that repeat themselves for a while or in part."""
    tokens = starter.tokenize(_LEGITIMATE[what]())

    assert len(tokens) >= 80
    assert ended_after(tokens) is None


_RUNAWAY: dict[str, Callable[[], str]] = {
    "one sign": lambda: "的" * 4000,
    "white space": lambda: "{" + " \n" * 4000,
    "a phrase": lambda: "La capitale de la France est Paris. " * 400,
    "a line of code": lambda: "    self.value = None\n" * 400,
    "a list of equal items": lambda: "".join(
        f"{number}. The importance of the importance of having enough time to think about it "
        f"before anything else in the world is done by anybody, anywhere.\n"
        for number in range(1, 200)
    ),
}


@pytest.mark.parametrize("what", _RUNAWAY)
def test_what_models_do_when_they_run_away_is_ended(starter: Model, what: str) -> None:
    """Within some 1,200 tokens: a minute or two on the slowest board, not the whole context."""
    ended = ended_after(starter.tokenize(_RUNAWAY[what]()))

    assert ended is not None
    assert ended < 1300


def test_what_was_written_before_counts() -> None:
    """A detector that gets the first half of a run at once ends the second half as early."""
    run = [*range(5)] * 200
    whole = RepetitionDetector()
    ended = next(count for count, token in enumerate(run, 1) if whole.add(token))
    later = RepetitionDetector()
    for token in run[:300]:
        assert not later.add(token)

    assert next(count for count, token in enumerate(run[300:], 301) if later.add(token)) == ended
