"""How far the processor will be below its limit in a moment. Kind: rules."""

from __future__ import annotations

import math
from dataclasses import dataclass

#: Smoothing of the readings; a real board takes seconds to warm, a glitch does not last as long.
_SMOOTH_S = 3.0

#: A slope needs this long: with steps of 1 °C, less would be all steps.
_WINDOW_S = 16.0

#: How far ahead, and how much at most. A die jumps by 10 or 20 °C in the first seconds of a load
#: and then stops; a line drawn through that would see fire where there is none.
_AHEAD_S = 10.0
_AHEAD_MAX_C = 6.0

#: What one step of 1 °C looks like, passing through the window.
_NO_SLOPE_C_PER_S = 0.12

#: Steps of sensors: the coarsest there is, and one too small to matter.
_COARSE_C, _FINE_C = 1.0, 0.1

#: After a gap such as a suspend, what was before says nothing.
_STALE_S = 15.0


@dataclass(frozen=True, slots=True)
class Forecast:
    """Headroom: how far the hottest sensor is below the point where the board slows itself down.

    Attributes:
        headroom_c: Smoothed, as of `at_s`.
        slope_c_per_s: Its change; below zero while it gets hotter.
        step_c: Smallest step the sensor has been seen to make; 1 °C until it made a smaller one.
        read_c: Headroom as last read.
        at_s: When it was last fed, monotonic seconds.
        seen: The smoothed headrooms of the last ten seconds, each with its moment.
    """

    headroom_c: float
    slope_c_per_s: float
    step_c: float
    read_c: float
    at_s: float
    seen: tuple[tuple[float, float], ...]

    @property
    def predicted_c(self) -> float:
        """Headroom in ten seconds, if it goes on falling as it does; never more than now."""
        falling = max(0.0, -self.slope_c_per_s - _NO_SLOPE_C_PER_S)
        return self.headroom_c - min(_AHEAD_MAX_C, falling * _AHEAD_S)


def look(before: Forecast | None, headroom_c: float, now: float) -> Forecast:
    """Take in one reading."""
    if before is None or not 0 <= now - before.at_s <= _STALE_S:
        step_c = _COARSE_C if before is None else before.step_c
        return Forecast(headroom_c, 0.0, step_c, headroom_c, now, ((now, headroom_c),))
    newest = 1 - math.exp(-(now - before.at_s) / _SMOOTH_S)
    smooth_c = before.headroom_c + newest * (headroom_c - before.headroom_c)
    recent = [point for point in before.seen if point[0] >= now - _WINDOW_S]
    seen = (*recent, (now, smooth_c))
    moved_c = abs(headroom_c - before.read_c)
    step_c = min(before.step_c, moved_c) if moved_c >= _FINE_C else before.step_c
    return Forecast(smooth_c, _slope(seen), step_c, headroom_c, now, seen)


def _slope(points: tuple[tuple[float, float], ...]) -> float:
    """Fit a line by least squares; 0 until there is a whole window to fit it to."""
    if points[-1][0] - points[0][0] < 0.8 * _WINDOW_S:
        return 0.0
    middle_s = sum(at_s for at_s, _ in points) / len(points)
    spread = sum((at_s - middle_s) ** 2 for at_s, _ in points)
    return sum((at_s - middle_s) * value_c for at_s, value_c in points) / spread
