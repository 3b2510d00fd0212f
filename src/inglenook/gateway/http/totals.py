"""Counts of all answers since the start of the daemon. Kind: rules."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import accumulate
from typing import Final

from inglenook.serving.response_parts import Outcome, Status

#: From a prefilled word on a fast box to a long text that waited on a slow one, seconds.
_TTFT_BOUNDS_S: Final = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)


@dataclass(slots=True)
class Totals:
    """Counts, all from 0.

    Attributes:
        answers: By how they ended.
        prompt_tokens: Of prompts.
        cached_tokens: Of those, the ones found in the cache.
        completion_tokens: Of answers.
        repetitions: Answers ended because they repeated themselves without end.
        restarts: Deaths of the engine.
        ttft_s: Sum of the seconds from request to first text.
    """

    answers: dict[Status, int] = field(
        default_factory=lambda: {status: 0 for status in Status if status.over}
    )
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    repetitions: int = 0
    restarts: int = 0
    ttft_s: float = 0.0
    _ttft_counts: list[int] = field(default_factory=lambda: [0] * (len(_TTFT_BOUNDS_S) + 1))

    def add(self, status: Status, outcome: Outcome) -> None:
        """An answer has ended."""
        self.answers[status] = self.answers.get(status, 0) + 1
        self.repetitions += outcome.finish_reason == "repetition"
        self.prompt_tokens += outcome.prompt_tokens
        self.cached_tokens += outcome.cached_tokens
        self.completion_tokens += outcome.completion_tokens
        if outcome.ttft_s is not None:
            self.ttft_s += outcome.ttft_s
            self._ttft_counts[sum(bound_s < outcome.ttft_s for bound_s in _TTFT_BOUNDS_S)] += 1

    def ttft_buckets(self) -> list[tuple[str, float]]:
        """Counts of answers by an upper bound of their time to first text, cumulative."""
        bounds = [*map(str, _TTFT_BOUNDS_S), "+Inf"]
        return [
            (bound, float(count))
            for bound, count in zip(bounds, accumulate(self._ttft_counts), strict=True)
        ]
