"""Step cost on this board, and how many prompt tokens fit into one step. Kind: rules."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from math import copysign, sqrt
from typing import Final, TypeAlias

#: Contents of a step: 1 for its fixed part, decoding rows, prompt tokens.
_Counts: TypeAlias = tuple[int, int, int]

_PAIRS: Final = tuple(product(range(3), repeat=2))

#: Steps with prefill have a multiple of this number of rows. On a 1.5B model in Q4_0, on two x86
#: cores, 8 rows take 139 ms, 12 take 189, 16 take 204, and 20 take 262: a partly filled kernel tile
#: costs nearly as much as a full one. Sixteen are also cheap enough for every step: six times the
#: time of decoding alone there.
#:
#: A prompt that is cut elsewhere can get a different answer: llama.cpp uses other kernels, which
#: round sums differently, for more rows, as attention over f16 does from 64 on.
UNIT_TOKENS: Final = 16

#: Least prompt tokens of a step with prefill.
_LEAST_TOKENS: Final = 4

#: Longest step without decoding rows: no stream stalls, but cancel, throttle and shutdown wait.
ALONE_STEP_S: Final = 0.8

#: From this number of rows on, llama.cpp's flash attention loads keys and values once for all of
#: them (GGML_FA_TILE_Q in its ggml-cpu/common.h), not once for each. After 1,000 tokens, 64 rows
#: take hardly longer than 48, so a step without decoding rows may be a little longer to have 64.
TILE_TOKENS: Final = 64
TILED_STEP_S: Final = 0.95

#: A step with prefill may take this many times as long as one that only decodes. Of S such times
#: one is for decoding and S - 1 are for prefill, which takes S / (S - 1) times as long as on a box
#: that stops all decoding for it. Seven gives 1.17, where the bound is 1.3, and keeps the gap
#: between two tokens below eight usual ones.
STRETCH: Final = 7

#: Prompt tokens of the first step with prefill, when their cost is not known yet, with decoding
#: rows and without. A slow board takes some three seconds for 128, once.
_FIRST_TOKENS: Final = 32
_FIRST_ALONE_TOKENS: Final = 128

#: Initial relative costs of fixed part, decoding row and prompt token, from boards limited by
#: memory or by the processor. The first measured step gives the scale.
_FIRST_COSTS: Final = (2.0, 1.0, 1.0)

#: Relative standard deviation of the time of equal steps.
_NOISE: Final = 0.1

#: Equal steps are averaged over this time, in seconds, before the filter learns from them, unless
#: a prediction is asked for: for steps of a few milliseconds, learning is much of Python's work.
_TOGETHER_S: Final = 0.03

#: Relative variance, per step, of the processor clock, which all costs share. Together with the
#: noise, the newest step has a weight of a fifth: throttling is followed within some ten steps.
_CLOCK: Final = 5e-4

#: The same for each cost alone, because contexts grow longer.
_OWN: Final = 2e-5

#: Bound of the relative variance of a cost that has not occurred for long (a fifth, squared): the
#: first step that has it again has a large weight.
_UNSEEN: Final = 0.04

#: Surprises are clipped to three standard deviations, as the step was probably disturbed. If the
#: next step is beyond the bound too, the change is real, and the bound doubles.
_BELIEVED: Final = 3.0


class StepBudget:
    """Learns the cost of a step, and tells how many prompt tokens the next one may have."""

    def __init__(self, step_budget_s: float) -> None:
        """Set the longest step with decoding rows, in seconds; it may be changed at any time.

        Where decoding alone takes long, `STRETCH` allows more.
        """
        self.step_budget_s = step_budget_s
        self._costs = _Costs()
        self._prefill_known = False
        # Equal steps that the filter has not learned from yet.
        self._counts: _Counts = (0, 0, 0)
        self._steps = 0
        self._steps_s = 0.0

    def measured(self, *, decoding: int, prefill: int, step_s: float) -> None:
        """Learn from one finished step.

        Args:
            decoding: Its decoding rows, drafted ones included.
            prefill: Its prompt tokens.
            step_s: Its duration.
        """
        counts = (1, decoding, prefill)
        if counts != self._counts or self._steps_s > _TOGETHER_S:
            self._learn()
            self._counts = counts
        self._steps += 1
        self._steps_s += step_s
        self._prefill_known |= prefill > 0

    def predict_s(self, *, decoding: int, prefill: int) -> float | None:
        """Predicted duration of a step; None before the first was measured."""
        self._learn()
        if not self._costs.known:
            return None
        return self._costs.predict_s((1, decoding, prefill))

    def prefill_tokens(self, *, decoding: int, most: int, idle: bool = False) -> int:
        """Tell how many prompt tokens the next step may have.

        Args:
            decoding: Decoding rows, which are in the batch already.
            most: Rows left in the batch.
            idle: All prefill is speculative. A request that arrives waits for the step's end, so
                the step is as short as one with decoding rows.

        Returns:
            With the decoding rows a multiple of `UNIT_TOKENS`, if there is room for that. The first
            multiple is granted even if it takes too long, so that every prefill makes progress.
        """
        self._learn()
        want = min(self._fitting(decoding, most, idle=idle), most)
        want -= (decoding + want) % UNIT_TOKENS
        if want < TILE_TOKENS <= most and not (decoding or idle) and self._tile_fits():
            want = TILE_TOKENS
        least = -decoding % UNIT_TOKENS
        if least < _LEAST_TOKENS:
            least += UNIT_TOKENS
        return min(max(want, least), most)

    def _learn(self) -> None:
        """Update the filter with the mean of the collected steps."""
        if self._steps:
            self._costs.learn(self._counts, self._steps_s / self._steps)
            self._steps, self._steps_s = 0, 0.0

    def _fitting(self, decoding: int, most: int, *, idle: bool) -> int:
        if not self._prefill_known:
            return _FIRST_TOKENS if decoding or idle else _FIRST_ALONE_TOKENS
        base_s = self._costs.predict_s((1, decoding, 0))
        longest_s = self.step_budget_s if idle else self._longest_s(decoding, base_s)
        room_s = max(longest_s - base_s, 0.0)
        token_s = self._costs.predict_s((0, 0, 1))
        return most if token_s * most <= room_s else int(room_s / token_s)

    def _tile_fits(self) -> bool:
        return self._costs.known and self._costs.predict_s((1, 0, TILE_TOKENS)) <= TILED_STEP_S

    def _longest_s(self, decoding: int, base_s: float) -> float:
        if not decoding:
            return ALONE_STEP_S
        # With many decoding sequences on a slow board, cancel and throttle would wait for seconds;
        # there decoding and prefill get half of the time each.
        bearable_s = max(ALONE_STEP_S, 2 * base_s)
        return max(self.step_budget_s, min(STRETCH * base_s, bearable_s))


class _Costs:
    """Costs of a step's fixed part, a decoding row and a prompt token, with their covariance.

    A Kalman filter: the error of a prediction is distributed over the costs by their variance, and
    at equal relative variance by their size, as when the clock changed. A step never changes the
    cost of a part that it does not have; only that part's variance grows.
    """

    def __init__(self) -> None:
        self.known = False
        self._costs_s = list(_FIRST_COSTS)
        self._covariance: list[list[float]] = []
        self._believed = _BELIEVED

    def predict_s(self, counts: _Counts) -> float:
        """Predicted duration of a step with these counts."""
        return _dot(self._costs_s, counts)

    def learn(self, counts: _Counts, step_s: float) -> None:
        """Take one step into account."""
        if not self.known:
            self._begin(counts, step_s)
        expected_s = self.predict_s(counts)
        # Covariance of each cost with the step's duration.
        shared = [_dot(row, counts) for row in self._covariance]
        variance = _dot(shared, counts) + (_NOISE * expected_s) ** 2
        surprise_s = self._clip(step_s - expected_s, sqrt(variance))
        gains = [own / variance if n else 0.0 for own, n in zip(shared, counts, strict=True)]
        for i, gain in enumerate(gains):
            # A cost of zero could never grow again, because its variance is relative.
            self._costs_s[i] = max(self._costs_s[i] + gain * surprise_s, self._costs_s[i] / 10)
        for i, j in _PAIRS:
            self._covariance[i][j] += (
                gains[i] * gains[j] * variance - gains[i] * shared[j] - shared[i] * gains[j]
            )
        self._doubt(counts)

    def _begin(self, counts: _Counts, step_s: float) -> None:
        scale = step_s / self.predict_s(counts)
        self._costs_s = [cost_s * scale for cost_s in self._costs_s]
        self._covariance = [[0.0] * 3 for _ in range(3)]
        for i, cost_s in enumerate(self._costs_s):
            self._covariance[i][i] = cost_s**2
        self.known = True

    def _doubt(self, counts: _Counts) -> None:
        """Add each cost's process noise; no variance exceeds its initial value."""
        costs_s, covariance = self._costs_s, self._covariance
        for i, j in _PAIRS:
            if counts[i] and counts[j]:
                covariance[i][j] += _CLOCK * costs_s[i] * costs_s[j]
        for i, cost_s in enumerate(costs_s):
            if counts[i]:
                covariance[i][i] += _OWN * cost_s**2
            elif covariance[i][i] < _UNSEEN * cost_s**2:
                covariance[i][i] += _CLOCK * cost_s**2
            if covariance[i][i] > cost_s**2:
                shrink = cost_s / sqrt(covariance[i][i])
                for j in range(3):
                    covariance[i][j] *= shrink
                    covariance[j][i] *= shrink

    def _clip(self, surprise_s: float, deviation_s: float) -> float:
        """Clip a surprise to the current bound."""
        limit_s = self._believed * deviation_s
        if abs(surprise_s) <= limit_s:
            self._believed = _BELIEVED
            return surprise_s
        self._believed *= 2
        return copysign(limit_s, surprise_s)


def _dot(one: Sequence[float], other: Sequence[float]) -> float:
    return one[0] * other[0] + one[1] * other[1] + one[2] * other[2]
