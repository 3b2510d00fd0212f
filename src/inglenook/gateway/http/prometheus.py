"""Metrics in Prometheus' text format; imported at the first request for them. Kind: rules."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from inglenook.engine.interface import EnginePhase
from inglenook.gateway.http.totals import Totals

#: As `governor.limits` has them; all are always written, so that each series goes on.
_LEVELS = ("cool", "warm", "hot", "critical", "unknown")
_REASONS = ("none", "thermal", "memory", "power")


def expose(totals: Totals, state: Mapping[str, Any], unexpected: Mapping[str, int]) -> bytes:
    """Write all metrics.

    Args:
        totals: What was counted.
        state: The latest ``state`` as docs/protocol.md has it.
        unexpected: Counts of unexpected errors, by the place's name.
    """
    registry = CollectorRegistry()
    registry.register(_All([*_counted(totals), *_now(state), _unexpected_errors(unexpected)]))
    return generate_latest(registry)


class _All(Collector):
    """The collector that the library asks for all metrics."""

    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        """All of them."""
        return self._families


def _counted(totals: Totals) -> Iterable[Metric]:
    answers = CounterMetricFamily("inglenook_answers", "Answers that ended.", labels=["status"])
    for status, count in totals.answers.items():
        answers.add_metric([status], count)
    yield answers
    yield _counter("prompt_tokens", "Tokens of prompts.", totals.prompt_tokens)
    what = "Tokens of prompts that the cache had, so were not computed."
    yield _counter("cached_prompt_tokens", what, totals.cached_tokens)
    yield _counter("completion_tokens", "Tokens of answers.", totals.completion_tokens)
    what = "Answers that were ended because they repeated themselves without end."
    yield _counter("repetitions", what, totals.repetitions)
    yield _counter("engine_restarts", "Deaths of the engine.", totals.restarts)
    what = "From a question's arrival to the first text of its answer, waiting included."
    ttft = HistogramMetricFamily("inglenook_time_to_first_token_seconds", what)
    ttft.add_metric([], totals.ttft_buckets(), totals.ttft_s)
    yield ttft


def _now(state: Mapping[str, Any]) -> Iterable[Metric]:
    """Every gauge; one without a value is left out."""
    ready = int(state["engine"] == EnginePhase.READY)
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


def _counter(name: str, what: str, count: float) -> Metric:
    return CounterMetricFamily(f"inglenook_{name}", what, value=count)


def _gauge(name: str, what: str, value: float | None) -> Metric:
    gauge = GaugeMetricFamily(f"inglenook_{name}", what)
    if value is not None:
        gauge.add_metric([], value)
    return gauge


def _unexpected_errors(unexpected: Mapping[str, int]) -> Metric:
    what = "Errors that nobody foresaw, each of them a bug and survived; the log has their traces."
    counter = CounterMetricFamily("inglenook_unexpected_errors", what, labels=["job"])
    for job, times in sorted(unexpected.items()):
        counter.add_metric([job], times)
    return counter


def _one_of(name: str, what: str, label: str, state: tuple[tuple[str, ...], str]) -> Metric:
    known, now = state
    gauge = GaugeMetricFamily(f"inglenook_{name}", what, labels=[label])
    for value in known:
        gauge.add_metric([value], float(value == now))
    return gauge
