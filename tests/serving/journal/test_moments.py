from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest

from inglenook.serving.journal.moments import Moment, age_s, read_moment

HOUR_S, YEAR_S = 3600.0, 3.2e7

#: A board whose clock began years back, and was set right in the middle.
WRONG = Moment(wall_s=1.0e9, boottime_s=100.0, boot_id="A")
RIGHT = Moment(wall_s=1.8e9, boottime_s=120.0, boot_id="A")

#: The same board after a reboot.
REBOOTED = Moment(wall_s=1.8e9 + 30, boottime_s=5.0, boot_id="B")


@pytest.mark.parametrize(
    ("then", "last", "now", "expected_s"),
    [
        pytest.param(WRONG, WRONG, RIGHT, 20.0, id="the clock jumped ahead"),
        pytest.param(RIGHT, RIGHT, RIGHT.before(-9), 9.0, id="nothing happened"),
        pytest.param(
            Moment(RIGHT.wall_s, 50.0, "A"), RIGHT, Moment(WRONG.wall_s, 130.0, "A"), 80.0,
            id="the clock jumped back",
        ),
        pytest.param(RIGHT, RIGHT, REBOOTED, 30.0, id="rebooted"),
        pytest.param(WRONG, RIGHT, REBOOTED, 20.0 + 30.0, id="jumped, then rebooted"),
        pytest.param(WRONG, WRONG, REBOOTED, 0.0, id="rebooted, then jumped by years"),
        pytest.param(
            RIGHT, RIGHT, Moment(WRONG.wall_s, 5.0, "B"), 0.0, id="rebooted with a wrong clock"
        ),
        pytest.param(
            RIGHT, RIGHT, Moment(RIGHT.wall_s + 5 * HOUR_S, 5.0, "B"), 5 * HOUR_S,
            id="off for hours",
        ),
        pytest.param(
            Moment(1.8e9), Moment(1.8e9), Moment(1.8e9 + 40, 9.0, "B"), 40.0,
            id="no boot",
        ),
        pytest.param(Moment(1.8e9), Moment(1.8e9), Moment(1.8e9 + 40), 40.0, id="no boots at all"),
        pytest.param(
            Moment(1.8e9), Moment(1.8e9), Moment(1.8e9 + YEAR_S, 9.0, "B"), 0.0, id="no sense"
        ),
        pytest.param(RIGHT, WRONG, WRONG, 0.0, id="never negative"),
    ],
)  # fmt: skip
def test_ages_outlast_clocks_that_jump(
    then: Moment, last: Moment, now: Moment, expected_s: float
) -> None:
    """What no clock can have measured counts as no time at all."""
    assert age_s(then, last, now) == expected_s


def test_the_moment_is_now_on_both_clocks() -> None:
    """And of this boot."""
    before_s = time.clock_gettime(time.CLOCK_BOOTTIME)
    moment = read_moment()
    assert before_s <= moment.boottime_s <= time.clock_gettime(time.CLOCK_BOOTTIME)
    assert abs(moment.wall_s - datetime.now(UTC).timestamp()) < 60.0
    assert len(moment.boot_id) == 36
    assert read_moment().boot_id == moment.boot_id
