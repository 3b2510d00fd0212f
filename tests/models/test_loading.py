"""Settings, measurements and memory together."""

from __future__ import annotations

import pytest

from inglenook.models.footprint import Running, footprint
from inglenook.models.loading import LoadPlan, LoadSettings, plan_load
from inglenook.models.preflight import Memory, NoRoomError
from inglenook.models.tuning import Tuning
from tests.models.facts import INFO

GIB = 2**30
TUNED = Tuning(threads=3, ubatch_tokens=128, flash_attention="off", kv_type="q8_0")


@pytest.mark.parametrize(
    ("settings", "tuning", "plan"),
    [
        (LoadSettings(8), None, LoadPlan(8192, "f16", None, 512, "auto", GIB, 8)),
        (LoadSettings(8), TUNED, LoadPlan(8192, "f16", 3, 128, "off", GIB, 8)),
        (LoadSettings(8, None, None, 1), TUNED, LoadPlan(8192, "f16", 1, 512, "auto", GIB, 8)),
        (LoadSettings(8, kv_type=None), TUNED, LoadPlan(8192, "q8_0", 3, 128, "off", GIB, 8)),
        (LoadSettings(8, kv_type=None), None, LoadPlan(8192, "f16", None, 512, "auto", GIB, 8)),
        (LoadSettings(1, 1024, "q8_0", 2, 0), None, LoadPlan(1024, "q8_0", 2, 512, "auto", 0, 1)),
    ],
)
def test_what_is_set_goes_before_what_was_measured(
    settings: LoadSettings, tuning: Tuning | None, plan: LoadPlan
) -> None:
    """And what was measured before the defaults, all or, with other threads, nothing of it."""
    assert plan_load(INFO, settings, tuning, Memory(64 * GIB)) == plan


def test_what_is_really_run_is_what_must_fit() -> None:
    """Without flash attention the compute buffer is larger; a quantised pool has it always."""
    settings = LoadSettings(8, context_tokens=8192)
    plain = footprint(INFO, Running(8, "f16", 512, True), 8192).total_bytes
    memory = Memory(plain + 128 * 2**20)
    slow = Tuning(threads=3, ubatch_tokens=512, flash_attention="off", kv_type="f16")

    assert plan_load(INFO, settings, None, memory).context_tokens == 8192
    with pytest.raises(NoRoomError):
        plan_load(INFO, settings, slow, memory)
    assert plan_load(INFO, LoadSettings(8, 8192, "q8_0"), slow, memory).context_tokens == 8192
