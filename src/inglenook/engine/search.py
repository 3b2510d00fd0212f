"""Finds the best setting for a board, one question after the other. Kind: rules."""

from __future__ import annotations

import statistics
from collections.abc import Generator, Iterable
from dataclasses import dataclass

import msgspec

from inglenook.engine.settings import KvType
from inglenook.engine.trial import Speed, Trial, TrialSetting, Workload

#: A setting replaces a simpler one only if it is so many times as good: less may be noise.
MARGIN = 1.03

#: Below this share of the best, those further on in the same direction are not tried.
_HOPELESS = 0.85

#: So little that any board does it in seconds; it tells how much can be asked in earnest.
_PROBE = Workload(read_tokens=64, reads=1, writes=4)

#: What each part of a trial may take, by the default's speed. The engine's own steps stay below a
#: second, so longer batches would measure what never happens.
_BATCH_S, _READS_S, _WRITES_S = 0.8, 1.5, 0.8
_GRAIN_TOKENS = 64

#: A long conversation, and how long reading it may take on boards too slow for it.
_DEEP_TOKENS, _DEEP_S = 1000, 5.0

_Steps = Generator[Trial, Speed | None, None]


@dataclass(frozen=True, slots=True)
class Result:
    """What all runs of one trial showed: medians, or None if it could not be measured."""

    trial: Trial
    speed: Speed | None


class Search:
    """One board's search. Measure what is `wanted`, `tell` what it showed, until nothing is.

    It begins with the default and asks one question after the other. Whoever seems better is
    measured again in turns with the best so far: a board warms up, and neighbours come and go.
    Whenever it is left, `best` and `kv_type` have won fairly.

    Attributes:
        default: What the engine does when nothing was measured.
        best: The best so far, its pool of f16.
        kv_type: The better type for the pool of `best`.
        question: What is being found out, in words.
        wanted: What to measure next; None at the end.
    """

    def __init__(self, cores: int) -> None:
        """Begin on a board with so many cores worth computing on."""
        self.default = TrialSetting(threads=cores)
        self.best = self.default
        self.kv_type: KvType = "f16"
        self.question = "how fast the default is"
        self._runs: dict[Trial, list[Speed | None]] = {}
        self._workload = self._deep = _PROBE
        self._steps = self._search()
        self.wanted: Trial | None = next(self._steps)

    def tell(self, speed: Speed | None) -> None:
        """Take what `wanted` showed; None if it could not be measured."""
        assert self.wanted is not None
        self._runs.setdefault(self.wanted, []).append(speed)
        try:
            self.wanted = self._steps.send(speed)
        except StopIteration:
            self.wanted = None

    @property
    def results(self) -> list[Result]:
        """Everything measured, in the order in which it was first tried."""
        return [
            Result(trial, self._speed(trial)) for trial in self._runs if trial.workload != _PROBE
        ]

    @property
    def gain(self) -> tuple[Speed, Speed] | None:
        """The default's speed and that of `best`; None if not both are known."""
        return self._pair(self.default, self.best, self._workload)

    @property
    def kv_gain(self) -> tuple[Speed, Speed] | None:
        """The speed of `best` with f16 and with q8_0 in a long conversation, if both are known."""
        return self._pair(self.best, _with_q8_0(self.best), self._deep)

    @property
    def deep_tokens(self) -> int:
        """How long the conversation is in which types of the pool are compared."""
        return self._deep.read_tokens

    def _search(self) -> _Steps:
        probe = yield Trial(self.default, _PROBE)
        if probe is None:
            return
        self._workload, self._deep = workloads(probe)
        yield Trial(self.default, self._workload)
        self.question = "how many threads"
        yield from self._walk(
            msgspec.structs.replace(self.best, threads=count)
            for count in fewer_threads(self.default.threads)
        )
        # Not "on", which is what ``auto`` is wherever the library has it.
        self.question = "whether flash attention pays"
        yield from self._walk([msgspec.structs.replace(self.best, flash_attention="off")])
        self.question = "how many tokens in one pass"
        yield from self._walk(
            msgspec.structs.replace(self.best, ubatch_tokens=tokens)
            for tokens in (256, 128, 64)
            # More than it reads in one batch is all the same.
            if tokens < self._workload.read_tokens
        )
        self.question = "what all of it wins"
        if not (yield from self._settle(self.default, self.best, self._workload)):
            self.best = self.default
        self.question = "which KV type"
        if (yield from self._settle(self.best, _with_q8_0(self.best), self._deep)):
            self.kv_type = "q8_0"

    def _walk(self, candidates: Iterable[TrialSetting]) -> _Steps:
        """Try one after the other; the best of them is `best` if it wins."""
        leader = best = self.best
        for candidate in candidates:
            yield Trial(candidate, self._workload)
            if self._score(candidate) < _HOPELESS * self._score(best):
                break
            if self._score(candidate) > self._score(leader):
                leader = candidate
        if self._score(leader) <= MARGIN * self._score(best):
            return
        if (yield from self._settle(best, leader, self._workload)):
            self.best = leader

    def _settle(
        self, simple: TrialSetting, other: TrialSetting, workload: Workload
    ) -> Generator[Trial, Speed | None, bool]:
        """Measure two in turns, and say whether the second has won."""
        if simple == other:
            return True
        for _ in range(2):
            yield Trial(simple, workload)
            yield Trial(other, workload)
            if self._score(other, workload) <= self._score(simple, workload):
                return False
        return self._score(other, workload) > MARGIN * self._score(simple, workload)

    def _score(self, setting: TrialSetting, workload: Workload | None = None) -> float:
        speed = self._speed(Trial(setting, workload or self._workload))
        return 0.0 if speed is None else score(speed)

    def _speed(self, trial: Trial) -> Speed | None:
        runs = self._runs.get(trial, [])
        # One failure is enough: what crashes now and then is no setting for a household.
        speeds = [run for run in runs if run is not None]
        if not speeds or len(speeds) < len(runs):
            return None
        return Speed(
            statistics.median(speed.read_tok_s for speed in speeds),
            statistics.median(speed.write_tok_s for speed in speeds),
            statistics.median(speed.write_many_tok_s for speed in speeds),
        )

    def _pair(
        self, one: TrialSetting, other: TrialSetting, workload: Workload
    ) -> tuple[Speed, Speed] | None:
        speeds = (self._speed(Trial(one, workload)), self._speed(Trial(other, workload)))
        return None if speeds[0] is None or speeds[1] is None else (speeds[0], speeds[1])


def score(speed: Speed) -> float:
    """One number for a speed: reading, writing and writing several count alike, as ratios."""
    return statistics.geometric_mean((speed.read_tok_s, speed.write_tok_s, speed.write_many_tok_s))


def fewer_threads(cores: int) -> list[int]:
    """Thread counts worth trying below one a core, most first.

    One core left to everybody else; three quarters, which is where memory is the bound; half, which
    is the real cores where each counts twice; and a quarter.
    """
    counts = {cores - 1, cores * 3 // 4, cores // 2, cores // 4}
    return sorted(counts - {0, cores}, reverse=True)


def workloads(probe: Speed) -> tuple[Workload, Workload]:
    """How much to ask of a board, by the default's speed: for most questions, and for the KV type.

    A trial then takes three seconds or so, whatever the board, except where a single chunk takes
    longer.
    """
    batch = int(probe.read_tok_s * _BATCH_S) // _GRAIN_TOKENS * _GRAIN_TOKENS
    read_tokens = min(max(batch, _GRAIN_TOKENS), 512)
    reads = min(max(int(probe.read_tok_s * _READS_S) // read_tokens, 1), 3)
    writes = min(max(int(probe.write_tok_s * _WRITES_S), 8), 48)
    deep_tokens = min(max(int(probe.read_tok_s * _DEEP_S), read_tokens), _DEEP_TOKENS)
    return Workload(read_tokens, reads, writes), Workload(deep_tokens, 1, writes)


def _with_q8_0(setting: TrialSetting) -> TrialSetting:
    return msgspec.structs.replace(setting, kv_type="q8_0")
