"""What Prometheus may know: counts since the start, and how the box is now. Kind: hands.

Nothing here is about a person: no device, no question, no answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from inglenook.engine.orders import EngineState, Phase
from inglenook.guarded import counts
from inglenook.serving.response import Outcome, Status

#: The format as Prometheus asks for it, and every collector that speaks its text.
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

#: From a word that was read ahead on a fast box to a long text that waited on a slow one.
_TTFT_BUCKETS_S = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)

#: As `governor.limits` has them; a series that comes and goes cannot be watched.
_LEVELS = ("cool", "warm", "hot", "critical", "unknown")
_REASONS = ("none", "thermal", "memory", "power")


class Metrics:
    """Everything ``GET /metrics`` says; the counts begin at 0 with each start of the daemon."""

    def __init__(self, snapshot: Callable[[], Mapping[str, Any]]) -> None:
        """Take ``snapshot``, which gives the latest ``state`` as docs/protocol.md has it."""
        # Prometheus has no use for them in this format, and they double what is sent.
        disable_created_metrics()  # type: ignore[no-untyped-call]  # the one without types
        self._registry = CollectorRegistry()
        self._registry.register(_Now(snapshot))
        self._phase = Phase.LOADING
        self._answers = Counter(
            "inglenook_answers", "Answers that ended.", ["status"], registry=self._registry
        )
        for status in Status:
            if status.over:
                self._answers.labels(status)
        self._prompt_tokens = self._counter("prompt_tokens", "Tokens of prompts.")
        self._cached_tokens = self._counter(
            "cached_prompt_tokens", "Tokens of prompts that the cache had, so were not computed."
        )
        self._completion_tokens = self._counter("completion_tokens", "Tokens of answers.")
        what = "Answers that were ended because they repeated themselves without end."
        self._repetitions = self._counter("repetitions", what)
        self._restarts = self._counter("engine_restarts", "Deaths of the engine.")
        self._ttft = Histogram(
            "inglenook_time_to_first_token_seconds",
            "From a question's arrival to the first text of its answer, waiting included.",
            buckets=_TTFT_BUCKETS_S,
            registry=self._registry,
        )

    def answered(self, status: Status, outcome: Outcome) -> None:
        """An answer has ended."""
        self._answers.labels(status).inc()
        self._repetitions.inc(outcome.finish_reason == "repetition")
        self._prompt_tokens.inc(outcome.prompt_tokens)
        self._cached_tokens.inc(outcome.cached_tokens)
        self._completion_tokens.inc(outcome.completion_tokens)
        if outcome.ttft_s is not None:
            self._ttft.observe(outcome.ttft_s)

    def engine_changed(self, state: EngineState) -> None:
        """The engine has a new state."""
        if state.phase is Phase.RESTARTING and self._phase is not Phase.RESTARTING:
            self._restarts.inc()
        self._phase = state.phase

    def text(self) -> bytes:
        """All of it, in Prometheus' own format."""
        return generate_latest(self._registry)

    def _counter(self, name: str, what: str) -> Counter:
        return Counter(f"inglenook_{name}", what, registry=self._registry)


class _Now(Collector):
    """How the box is at the moment it is asked."""

    def __init__(self, snapshot: Callable[[], Mapping[str, Any]]) -> None:
        self._snapshot = snapshot

    def collect(self) -> Iterable[Metric]:
        """Give every gauge; what cannot be told is left out."""
        state = self._snapshot()
        ready = int(state["engine"] == Phase.READY)
        yield _gauge("engine_ready", "Whether an answer can start at once.", ready)
        yield _gauge("active_answers", "Answers being written.", state["active"])
        yield _gauge("queued_answers", "Questions that wait for a place.", state["queued"])
        what = "Whether answers would survive the daemon's death; 1 too if they need not."
        yield _gauge("journal_ok", what, int(state["journal_error"] is None))
        what = "Answers that may be written at once now."
        yield _gauge("active_answers_limit", what, state["max_active"])
        what = "Of the sensor nearest to its limit."
        yield _gauge("cpu_temperature_celsius", what, state["cpu_c"])
        what = "What can still be had without swapping."
        yield _gauge("memory_available_bytes", what, state["mem_available_bytes"])
        what = "How near the processor is to being slowed: 1 at the level it has."
        yield _one_of("heat_level", what, "level", (_LEVELS, state["level"]))
        what = "What holds the box back: 1 at the reason in force."
        yield _one_of("limited", what, "reason", (_REASONS, state["reason"]))
        yield _unexpected_errors()


def _gauge(name: str, what: str, value: float | None) -> Metric:
    gauge = GaugeMetricFamily(f"inglenook_{name}", what)
    if value is not None:
        gauge.add_metric([], value)
    return gauge


def _unexpected_errors() -> Metric:
    what = "Errors that nobody foresaw, each of them a bug and survived; the log has their traces."
    counter = CounterMetricFamily("inglenook_unexpected_errors", what, labels=["job"])
    for job, times in sorted(counts().items()):
        counter.add_metric([job], times)
    return counter


def _one_of(name: str, what: str, label: str, state: tuple[tuple[str, ...], str]) -> Metric:
    known, now = state
    gauge = GaugeMetricFamily(f"inglenook_{name}", what, labels=[label])
    for value in known:
        gauge.add_metric([value], float(value == now))
    return gauge
