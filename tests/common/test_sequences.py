"""How many sequences a pool is made for."""

from __future__ import annotations

import pytest

from inglenook.common.sequences import pool_sequences


@pytest.mark.parametrize(
    ("answers", "running_states", "sequences"),
    [
        (8, False, 17),
        (1, False, 6),
        (64, False, 129),
        (200, False, 256),
        (8, True, 9),
        (1, True, 2),
    ],
)
def test_a_pool_has_more_sequences_than_answers(
    answers: int, *, running_states: bool, sequences: int
) -> None:
    """Some for what is kept and one for moving blocks; where each costs memory, one more."""
    assert pool_sequences(answers, running_states=running_states) == sequences
