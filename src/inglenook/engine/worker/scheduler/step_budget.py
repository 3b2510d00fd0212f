"""What a step costs on this board, and how many prompt tokens fit into one. Kind: rules."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from math import copysign, sqrt
from typing import Final, TypeAlias

#: What a step has: one fixed part, decoding rows, prompt tokens.
_Counts: TypeAlias = tuple[int, int, int]

_PAIRS: Final = tuple(product(range(3), repeat=2))

#: Steps that read a prompt have a multiple of so many rows. On a 1.5B model in Q4_0, on two x86
#: cores, 8 rows take 139 ms, 12 take 189, 16 no more than 204, and 20 then 262: what does not fill
#: the kernels' tiles costs nearly what would. Sixteen are also cheap enough to be in every step:
#: six times what decoding alone takes there.
#:
#: A prompt cut otherwise can get an answer in other words: sums are rounded otherwise where
#: llama.cpp takes another kernel for more rows, as attention over f16 does from 64 on.
UNIT_TOKENS: Final = 16

#: A newcomer never gets less of a step than this.
_LEAST_TOKENS: Final = 4

#: Without a reader nobody feels a long step, but cancel, throttle and shutdown wait for its end.
ALONE_STEP_S: Final = 0.8

#: From so many rows on, llama.cpp's flash attention reads keys and values once for all of them
#: (GGML_FA_TILE_Q in its ggml-cpu/common.h), and not once for each. With 1,000 tokens read, 64 rows
#: take hardly longer than 48 there, so a step alone may be a little longer for that.
TILE_TOKENS: Final = 64
TILED_STEP_S: Final = 0.95

#: A step that reads a prompt may take so many times as long as one that only decodes. Of S such
#: times one is the readers' and S - 1 are the newcomer's, who waits S / (S - 1) times as long as
#: on a box that lets everybody else freeze. Seven is 1.17, where 1.3 is to be kept, and is below
#: eight of the readers' usual gaps.
STRETCH: Final = 7

#: The first prompt's first step, before it is known what a prompt token costs, with a reader and
#: alone. A slow board does 128 tokens in some three seconds, once.
_FIRST_TOKENS: Final = 32
_FIRST_ALONE_TOKENS: Final = 128

#: A guess at what fixed part, decoding row and prompt token cost in relation, from boards whose
#: memory or whose processor is the limit. The first step measured gives the scale.
_FIRST_COSTS: Final = (2.0, 1.0, 1.0)

#: Steps of one kind differ by some 10 % for no reason.
_NOISE: Final = 0.1

#: So long, in seconds, are steps of one kind put together, and their mean learned from, as long as
#: nobody asks: where a step takes some milliseconds, learning is a good part of what Python does.
_TOGETHER_S: Final = 0.03

#: By how much the clock, and with it all that a step has, may have changed since the last; as a
#: relative variance. With the noise, the newest step counts for a fifth: throttling is followed
#: within some ten steps.
_CLOCK: Final = 5e-4

#: The same for each cost by itself, as contexts grow longer.
_OWN: Final = 2e-5

#: What has not been seen for long may be wrong by a fifth: the first step that tells counts much.
_UNSEEN: Final = 0.04

#: A step further off than three standard deviations was disturbed: it counts as if it were just
#: that far off. If the next one is off too, the change is real, and twice as much counts.
_BELIEVED: Final = 3.0


class StepBudget:
    """Learns what a step costs, and says how many prompt tokens the next one may take."""

    def __init__(self, step_budget_s: float) -> None:
        """Take how long a step may last while somebody reads along, in seconds.

        It may be changed at any time. Where already decoding takes long, `STRETCH` allows more.
        """
        self.step_budget_s = step_budget_s
        self._costs = _Costs()
        self._prefill_known = False
        # Steps of one kind that are yet to be learned from.
        self._counts: _Counts = (0, 0, 0)
        self._steps = 0
        self._steps_s = 0.0

    def measured(self, *, decoding: int, prefill: int, step_s: float) -> None:
        """Learn from one finished step.

        Args:
            decoding: Its rows of sequences that are writing, drafted ones included.
            prefill: Its prompt tokens.
            step_s: How long it took.
        """
        counts = (1, decoding, prefill)
        if counts != self._counts or self._steps_s > _TOGETHER_S:
            self._learn()
            self._counts = counts
        self._steps += 1
        self._steps_s += step_s
        self._prefill_known |= prefill > 0

    def predict_s(self, *, decoding: int, prefill: int) -> float | None:
        """How long such a step would take; None before the first was measured."""
        self._learn()
        if not self._costs.known:
            return None
        return self._costs.predict_s((1, decoding, prefill))

    def prefill_tokens(self, *, decoding: int, most: int, idle: bool = False) -> int:
        """Say how many prompt tokens the next step may take.

        Args:
            decoding: Rows of sequences that are writing, which have their places already.
            most: Room left in the batch.
            idle: Nobody has asked for what is read. Whoever asks next waits for the step's end, so
                it is as short as if somebody read along.

        Returns:
            With the decoding rows a multiple of `UNIT_TOKENS`, if there is room for that. The first
            multiple is granted even if it takes too long: a newcomer must get on too.
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
        """Take what was measured into account, before anybody asks."""
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
        # Where many decode on a slow board, cancel and throttle would wait for seconds; there
        # readers and newcomers get half of the time each.
        bearable_s = max(ALONE_STEP_S, 2 * base_s)
        return max(self.step_budget_s, min(STRETCH * base_s, bearable_s))


class _Costs:
    """What a step's fixed part, a decoding row and a prompt token cost, and how sure that is.

    A Kalman filter: of what a step lasted longer than predicted, each cost takes a part by how
    unsure it is, and if all are as sure, by its size, as when the clock changed. What a step has
    none of is never changed by it, however long it does not occur; it only gets less sure.
    """

    def __init__(self) -> None:
        self.known = False
        self._costs_s = list(_FIRST_COSTS)
        self._covariance: list[list[float]] = []
        self._believed = _BELIEVED

    def predict_s(self, counts: _Counts) -> float:
        """How long a step lasts that has so many of each."""
        return _dot(self._costs_s, counts)

    def learn(self, counts: _Counts, step_s: float) -> None:
        """Take one step into account."""
        if not self.known:
            self._begin(counts, step_s)
        expected_s = self.predict_s(counts)
        # How each cost varies together with the step's.
        shared = [_dot(row, counts) for row in self._covariance]
        variance = _dot(shared, counts) + (_NOISE * expected_s) ** 2
        surprise_s = self._clip(step_s - expected_s, sqrt(variance))
        gains = [own / variance if n else 0.0 for own, n in zip(shared, counts, strict=True)]
        for i, gain in enumerate(gains):
            # A cost that became nothing could never become something again.
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
        """Be less sure of everything by the next step, but never less than at first."""
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
        """Cut a surprise down to what is believed of it."""
        limit_s = self._believed * deviation_s
        if abs(surprise_s) <= limit_s:
            self._believed = _BELIEVED
            return surprise_s
        self._believed *= 2
        return copysign(limit_s, surprise_s)


def _dot(one: Sequence[float], other: Sequence[float]) -> float:
    return one[0] * other[0] + one[1] * other[1] + one[2] * other[2]
