"""How long the wait will be is learned from how long answers took."""

from __future__ import annotations

import pytest

from inglenook.serving.service_time import ServiceTime


def test_before_the_first_answer_it_is_a_guess() -> None:
    """But never nothing."""
    assert ServiceTime().eta_s(1, 4) > 0


def test_it_comes_near_to_what_answers_take_and_forgets_the_rest() -> None:
    """In tokens as in seconds."""
    pace = ServiceTime()
    for _ in range(40):
        pace.learn(2.0, 500)

    assert pace.answer_s == pytest.approx(2.0, rel=0.01)
    assert pace.answer_tokens == pytest.approx(500, rel=0.01)


def test_two_places_halve_the_wait_and_the_second_waits_twice_as_long() -> None:
    """Answers end one after the other."""
    pace = ServiceTime()

    assert pace.eta_s(2, 1) == 2 * pace.eta_s(1, 1) == 4 * pace.eta_s(1, 2)


def test_a_box_that_pauses_makes_no_promise_but_a_number() -> None:
    """As if there were one place: phones count on one."""
    assert ServiceTime().eta_s(3, 0) == ServiceTime().eta_s(3, 1)
