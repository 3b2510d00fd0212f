"""How much of its full power the processor may spend. Kind: rules.

A PI controller in velocity form on the logarithm of the effort. The logarithm makes one set of
gains fit all boards: a change of 1 % in power moves any of them by 1 % of what lies between its
idle temperature and its limit, be that a bare board at 2 W or a heat sink at 15 W.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from inglenook.governor.thermal.forecast import Forecast

#: Where the headroom is held: a little, and what the sensor's steps hide.
_TARGET_C, _TARGET_STEPS = 0.4, 1.3

#: Share of the effort by which 1 °C moves it, and how long the remaining error has to be there to
#: do so again; found on the boards of benchmarks/plant.py.
_GAIN_PER_C = 0.12
_RESET_S = 90.0

#: Above the target an error weighs so much more: there is little room above, and much below.
_ABOVE = 10.0

#: What is farther below than this does so too: the room has become cooler, or the work less.
_FAR_C, _FAR = 1.0, 3.0

#: Farther from the limit than this, nothing is taken away: it may be all there is to come.
_NEAR_C = 8.0

#: Bounds of the change a second.
_FALL_PER_S = 0.10
_RISE_PER_S = 0.03

#: Within seconds of full effort a die is this much hotter than the board around it (15 to 25 °C).
#: What is idle now may begin with as much effort as that allows.
_JUMP_C = 25.0

#: What is busy may add as much as this allows: a die that jumps by more than that overshoots by
#: less than the headroom that is held.
_ADD_C = 20.0

#: So much more headroom than is held is to spare when it has lasted, and until it is used up:
#: the room has become cooler. So much more while it still grows is to spare at once: the work of
#: others has ended. It is neither while the board still warms up.
_SPARE_C, _SPARE_S, _USED_UP_C = 0.5, 30.0, 0.2
_SPARE_AT_ONCE_C = 3.0
_WARMS_C_PER_S = -0.03

#: How long the die, and the reading that is smoothed, take to show what was changed; and how long
#: until the slope, which looks back further, is the board's own again.
_SHOWN_S, _FORGOTTEN_S = 10.0, 24.0

#: Below this an answer is no use to anybody.
LEAST = 0.02

#: Effort as it is spent moves by steps of this share, and not up so soon after it went down.
_STEP = 0.05
UP_AFTER_DOWN_S = 60.0

#: At the limit itself, the PI controller is too slow.
_CUT = 0.75
_CUT_EVERY_S = 15.0


@dataclass(frozen=True, slots=True)
class Effort:
    """Effort as a share of full power.

    Attributes:
        wanted: What the controller has arrived at.
        spent: What is in force, 0.02 to 1.
        lowered_s: When `spent` was last lowered, monotonic seconds.
        at_s: When the controller was last run; None before the first time.
        spare_s: Since when there has been headroom to spare; None while there is none.
        added_s: When some of that was last used up.
    """

    wanted: float = 1.0
    spent: float = 1.0
    lowered_s: float = -math.inf
    at_s: float | None = None
    spare_s: float | None = None
    added_s: float = -math.inf

    def is_catching_up(self, now: float) -> bool:
        """Whether it gets hotter because more was just allowed, which says nothing of the room."""
        return now - self.added_s < _FORGOTTEN_S


def next_effort(before: Effort, forecast: Forecast, now: float, *, busy: bool) -> Effort:
    """Run the controller once.

    Args:
        before: What it said last.
        forecast: Headroom and its slope.
        now: Monotonic seconds; called about once a second.
        busy: Whether answers are being written. A box at rest cools down whatever it is allowed
            to do, so that is no reason to allow it more.
    """
    error_c = forecast.headroom_c - _TARGET_C - _TARGET_STEPS * forecast.step_c
    at_once = min(1.0, max(LEAST, error_c / _JUMP_C))
    if before.at_s is None:
        return Effort(at_once, at_once, before.lowered_s, now)
    passed_s = min(now - before.at_s, 2.0)
    before = _with_spare(before, error_c, now, busy=busy)
    added = min(1.0, before.spent + error_c / _ADD_C)
    if added > before.spent * (1 + _STEP) and _is_to_spare(before, forecast, error_c, now):
        return replace(before, wanted=added, spent=added, at_s=now, added_s=now)
    rate = _rate(before, forecast, error_c, now)
    if rate > 0 and not busy:
        rate = 0.0
    wanted = max(before.wanted * math.exp(rate * passed_s), at_once)
    return _spend(replace(before, at_s=now), min(1.0, max(LEAST, wanted)), now)


def _rate(before: Effort, forecast: Forecast, error_c: float, now: float) -> float:
    """By which share effort is to change in a second: the PI controller."""
    slope = max(-0.5, min(0.5, forecast.slope_c_per_s))
    if error_c > 0 and before.is_catching_up(now):
        slope = max(0.0, slope)
    if now - before.lowered_s < _FORGOTTEN_S:
        slope = min(0.0, slope)
    if error_c < 0:
        error_c *= _ABOVE
    elif error_c > _FAR_C:
        error_c += _FAR * (error_c - _FAR_C)
    rate = max(-_FALL_PER_S, min(_RISE_PER_S, _GAIN_PER_C * (slope + error_c / _RESET_S)))
    if rate < 0 and forecast.headroom_c > _NEAR_C:
        return 0.0
    # What was just added has not shown yet.
    return min(rate, 0.0) if now - before.added_s < _SHOWN_S else rate


def _with_spare(before: Effort, error_c: float, now: float, *, busy: bool) -> Effort:
    """See whether there is headroom to spare; what a box at rest has, its next work takes."""
    if not busy:
        return replace(before, spare_s=None)
    if before.spare_s is None:
        return replace(before, spare_s=now) if error_c > _SPARE_C else before
    return replace(before, spare_s=None) if error_c < _USED_UP_C else before


def _is_to_spare(before: Effort, forecast: Forecast, error_c: float, now: float) -> bool:
    """Whether it may be used up now."""
    if before.spare_s is None or now - before.lowered_s < UP_AFTER_DOWN_S:
        return False
    if now - max(before.spare_s, before.added_s) < _SHOWN_S:
        return False
    slope = forecast.slope_c_per_s
    if slope < _WARMS_C_PER_S and not before.is_catching_up(now):
        return False
    return now - before.spare_s >= _SPARE_S or (error_c >= _SPARE_AT_ONCE_C and slope > 0)


def cut(before: Effort, now: float) -> Effort:
    """Take away a quarter at once, but not more often than it can be felt."""
    if now - before.lowered_s < _CUT_EVERY_S:
        return before
    return capped(replace(before, at_s=now), before.spent * _CUT, now)


def capped(before: Effort, most: float, now: float) -> Effort:
    """Bring it down to ``most`` if it is above."""
    if before.spent <= most:
        return replace(before, wanted=min(before.wanted, most))
    lowered = max(LEAST, most)
    return replace(before, wanted=lowered, spent=lowered, lowered_s=now)


def _spend(before: Effort, wanted: float, now: float) -> Effort:
    if wanted < before.spent * (1 - _STEP):
        return replace(before, wanted=wanted, spent=wanted, lowered_s=now)
    if now - before.lowered_s < UP_AFTER_DOWN_S:
        # It must not run away while it may not act.
        return replace(before, wanted=min(wanted, before.spent))
    if wanted > before.spent * (1 + _STEP) or (wanted == 1.0 > before.spent):
        return replace(before, wanted=wanted, spent=wanted)
    return replace(before, wanted=wanted)
