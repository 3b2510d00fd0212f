"""`/metrics` tells Prometheus how the box is, and nobody else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from inglenook.common.guarded import Guard
from inglenook.engine.interface import EnginePhase, EngineState
from inglenook.gateway.http.metrics import Metrics
from inglenook.serving.response_parts import Outcome, Status
from tests.parts.box import Box

STATE: Mapping[str, Any] = {
    "level": "warm",
    "reason": "thermal",
    "max_active": 4,
    "active": 2,
    "queued": 1,
    "model": "tiny",
    "engine": "ready",
    "cpu_c": 71,
    "mem_available_bytes": 3_000_000_000,
    "journal_error": None,
}

#: What a request through a proxy on this machine says of itself.
THROUGH_PROXY = {"X-Forwarded-For": "192.168.1.20"}


def values(text: bytes) -> dict[str, float]:
    """Every sample by its name and labels, as Prometheus itself reads them."""
    return {
        sample.name + "".join(f"[{value}]" for value in sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def test_the_state_becomes_gauges() -> None:
    """With their units in their names; of levels and reasons one is 1 and the others 0."""
    told = values(Metrics(lambda: STATE).text())

    assert told["inglenook_engine_ready"] == 1
    assert told["inglenook_active_answers"] == 2
    assert told["inglenook_queued_answers"] == 1
    assert told["inglenook_active_answers_limit"] == 4
    assert told["inglenook_cpu_temperature_celsius"] == 71
    assert told["inglenook_memory_available_bytes"] == 3_000_000_000
    assert told["inglenook_journal_ok"] == 1
    assert [name for name in told if "heat_level" in name and told[name]] == [
        "inglenook_heat_level[warm]"
    ]
    assert [name for name in told if "limited" in name and told[name]] == [
        "inglenook_limited[thermal]"
    ]


def test_what_cannot_be_told_is_left_out() -> None:
    """A box without a sensor is not one at 0 °C."""
    told = values(Metrics(lambda: {**STATE, "cpu_c": None, "mem_available_bytes": None}).text())

    assert "inglenook_cpu_temperature_celsius" not in told
    assert "inglenook_memory_available_bytes" not in told


def test_a_journal_that_fails_is_seen() -> None:
    """So that somebody makes room before an answer is lost."""
    told = values(Metrics(lambda: {**STATE, "journal_error": "No space left on device"}).text())

    assert told["inglenook_journal_ok"] == 0


def test_answers_are_counted_as_they_end() -> None:
    """By how they ended; tokens too, and how long the first of them took."""
    metrics = Metrics(lambda: STATE)
    outcome = Outcome(prompt_tokens=100, completion_tokens=20, cached_tokens=80, ttft_s=0.7)

    metrics.answered(Status.COMPLETED, outcome)
    metrics.answered(Status.COMPLETED, outcome)
    metrics.answered(Status.FAILED, Outcome(prompt_tokens=5))
    metrics.answered(Status.INCOMPLETE, Outcome("length"))
    metrics.answered(Status.INCOMPLETE, Outcome("repetition"))

    told = values(metrics.text())
    assert told["inglenook_answers_total[completed]"] == 2
    assert told["inglenook_answers_total[failed]"] == 1
    assert told["inglenook_answers_total[cancelled]"] == 0
    assert told["inglenook_answers_total[incomplete]"] == 2
    assert told["inglenook_repetitions_total"] == 1
    assert told["inglenook_prompt_tokens_total"] == 205
    assert told["inglenook_cached_prompt_tokens_total"] == 160
    assert told["inglenook_completion_tokens_total"] == 40
    assert told["inglenook_time_to_first_token_seconds_bucket[0.5]"] == 0
    assert told["inglenook_time_to_first_token_seconds_bucket[1.0]"] == 2
    assert told["inglenook_time_to_first_token_seconds_count"] == 2


def test_each_death_of_the_engine_counts_once() -> None:
    """However often its state is told while it comes back."""
    metrics = Metrics(lambda: STATE)
    restarting = (
        EnginePhase.RESTARTING,
        EnginePhase.RESTARTING,
        EnginePhase.LOADING,
        EnginePhase.READY,
    )

    for phase in (
        EnginePhase.LOADING,
        EnginePhase.READY,
        *restarting,
        *restarting,
        EnginePhase.UNLOADED,
    ):
        metrics.engine_changed(EngineState(phase))

    assert values(metrics.text())["inglenook_engine_restarts_total"] == 2


def test_a_program_on_this_machine_needs_no_token(box: Box, token: str) -> None:
    """And an answer that was given shows in the counts it reads."""
    before = values(box.http("GET", "/metrics").body)
    question = {"question": "What is the capital of France? Answer with one word."}
    assert box.http("POST", "/v1/inference", token=token, body=question).status == 200

    reply = box.http("GET", "/metrics")

    assert reply.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    after = values(reply.body)
    ended = "inglenook_answers_total[completed]"
    assert after[ended] == before[ended] + 1
    tokens = "inglenook_completion_tokens_total"
    assert after[tokens] > before[tokens]
    assert after["inglenook_engine_ready"] == 1


@pytest.mark.parametrize("header", ["Forwarded", "X-Forwarded-For", "X-Real-IP", "Via"])
def test_a_proxy_on_this_machine_is_a_stranger(box: Box, header: str) -> None:
    """Or it would show them to whoever reaches it."""
    reply = box.http("GET", "/metrics", headers={header: "192.168.1.20"})

    assert (reply.status, reply.code) == (401, "not_paired")


@pytest.mark.parametrize(
    ("scopes", "status"), [("chat", 403), ("chat,admin", 403), ("metrics", 200)]
)
def test_from_elsewhere_the_scope_decides(box: Box, scopes: str, status: int) -> None:
    """None includes another."""
    token = box.add_device(f"Meter {scopes}", "--scopes", scopes)

    assert box.http("GET", "/metrics", token=token, headers=THROUGH_PROXY).status == status


def test_errors_nobody_foresaw_are_counted_by_place() -> None:
    """From 0 on, so that the first is seen as a rise."""
    guard = Guard("a place of this test")
    metrics = Metrics(lambda: STATE)
    name = "inglenook_unexpected_errors_total[a place of this test]"
    assert values(metrics.text())[name] == 0

    with guard:
        raise ZeroDivisionError

    assert values(metrics.text())[name] == 1
