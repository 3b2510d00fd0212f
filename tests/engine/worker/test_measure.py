"""Measurement of settings with the real library."""

from __future__ import annotations

import pytest

from inglenook.engine.trial import TrialSetting, Workload
from inglenook.engine.worker.llama import Model
from inglenook.engine.worker.measure import measure

#: A second batch, so that the prompt's parts fit together.
SMALL = Workload(read_tokens=600, reads=2, writes=4)


@pytest.mark.parametrize(
    "setting",
    [
        TrialSetting(1),
        TrialSetting(1, ubatch_tokens=64),
        TrialSetting(1, flash_attention="on"),
        TrialSetting(1, flash_attention="off"),
        TrialSetting(1, kv_type="q8_0"),
        TrialSetting(1, flash_attention="off", kv_type="q8_0"),
    ],
)
def test_every_setting_a_search_wants_can_be_measured(toy: Model, setting: TrialSetting) -> None:
    """Three speeds, all above zero."""
    speed = measure(toy, setting, SMALL)

    assert min(speed.read_tok_s, speed.write_tok_s, speed.write_many_tok_s) > 0


def test_a_model_with_a_running_state_can_be_measured(either_toy: Model) -> None:
    """It must drop its whole prompt before the next prefill."""
    speed = measure(either_toy, TrialSetting(1), SMALL)

    assert min(speed.read_tok_s, speed.write_tok_s, speed.write_many_tok_s) > 0
