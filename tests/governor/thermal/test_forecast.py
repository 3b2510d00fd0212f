"""The headroom in ten seconds: quick to see a rise, hard to fool by steps and jumps."""

from __future__ import annotations

import pytest

from inglenook.governor.thermal.forecast import Forecast, look


def fed(headrooms_c: list[float], start_s: float = 100.0) -> Forecast:
    """A forecast after one reading a second."""
    forecast = None
    for second, headroom_c in enumerate(headrooms_c):
        forecast = look(forecast, headroom_c, start_s + second)
    assert forecast is not None
    return forecast


def test_a_steady_board_is_predicted_to_stay() -> None:
    """Headroom, slope and prediction of a constant are the constant."""
    forecast = fed([20.0] * 30)

    assert forecast.headroom_c == pytest.approx(20.0)
    assert forecast.slope_c_per_s == pytest.approx(0.0)
    assert forecast.predicted_c == pytest.approx(20.0)


def test_a_rise_is_seen_before_it_arrives() -> None:
    """0.4 °C a second, which is a bare board at work, takes nearly 3 °C off."""
    forecast = fed([40.0 - 0.4 * second for second in range(60)])

    assert forecast.slope_c_per_s == pytest.approx(-0.4, abs=0.01)
    assert forecast.headroom_c - forecast.predicted_c == pytest.approx(2.8, abs=0.1)


def test_cooling_is_not_trusted_ahead_of_time() -> None:
    """Prediction only ever takes away."""
    forecast = fed([10.0 + 0.4 * second for second in range(60)])

    assert forecast.predicted_c == forecast.headroom_c


def test_a_jump_of_the_die_is_not_drawn_on() -> None:
    """The first seconds of a load end by themselves: no more than 6 °C is expected of them."""
    forecast = fed([30.0] * 20 + [30.0 - 3.0 * second for second in range(12)])

    assert forecast.headroom_c - forecast.predicted_c == pytest.approx(6.0)


def test_one_step_of_a_coarse_sensor_is_no_slope() -> None:
    """1 °C, once, is what the RK3588 shows whatever happens."""
    for after in range(1, 20):
        forecast = fed([5.0] * 20 + [4.0] * after)
        assert forecast.predicted_c > 3.8


def test_one_wild_reading_moves_it_by_a_third() -> None:
    """Smoothing takes three seconds to believe."""
    forecast = fed([20.0] * 20 + [0.0])

    assert 10.0 < forecast.headroom_c < 15.0


def test_after_a_sleep_it_begins_anew() -> None:
    """What was before a suspend says nothing about now."""
    hot = fed([2.0] * 20)
    awake = look(hot, 30.0, 100.0 + 20 + 3600)

    assert awake.headroom_c == awake.predicted_c == 30.0


@pytest.mark.parametrize(
    ("headrooms_c", "step_c"),
    [
        ([10.0], 1.0),  # not known yet
        ([10.0, 9.0, 10.0, 8.0], 1.0),
        ([10.0, 9.45, 10.0, 8.9], 0.55),  # a Raspberry Pi
        ([10.0, 5.0], 1.0),  # a jump is no step
        ([10.0, 9.999], 1.0),  # nor is dust
    ],
)
def test_it_learns_the_steps_of_its_sensor(headrooms_c: list[float], step_c: float) -> None:
    """The smallest seen, and 1 °C at the most."""
    assert fed(headrooms_c).step_c == pytest.approx(step_c)
