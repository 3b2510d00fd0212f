"""Which locks mean that the board should not be suspended."""

from __future__ import annotations

import pytest

from inglenook.power.login1 import Inhibitor


@pytest.mark.parametrize(
    ("what", "mode", "keeps_awake"),
    [
        ("sleep", "block", True),
        ("idle", "block", True),
        ("shutdown:sleep", "block", True),
        ("sleep", "block-weak", True),
        ("sleep", "delay", False),
        ("handle-power-key:handle-lid-switch", "block", False),
        ("shutdown", "block", False),
    ],
)
def test_block_locks_against_sleep_or_idleness_do(what: str, mode: str, keeps_awake: bool) -> None:
    """Those who only want a moment, or look after a power button, do not."""
    lock = Inhibitor(frozenset(what.split(":")), "Backup", "Copying photos", mode, 1)

    assert lock.keeps_awake is keeps_awake
