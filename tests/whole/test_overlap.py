"""Two daemons started at once on one state folder: one lives, whole, and the other says why not.

``python -m benchmarks.faults`` does the same twenty times.
"""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from benchmarks.household import running_house
from benchmarks.scenarios_start import overlapping_starts
from tests.parts.box import Box, made_box, running_box


@pytest.mark.usefixtures("starter_model")
def test_of_two_that_start_at_once_one_lives() -> None:
    """At the same ports and at others; its owner and a paired phone are heard."""
    with running_house({"engine": {"threads": 1}}) as house:
        tally = asyncio.run(overlapping_starts(house, 4))

    assert tally.good, tally
    assert (tally.times, tally.answers) == (4, 4)
    assert set(tally.notes.values()) == {0}


def test_a_start_beside_one_that_does_not_listen_yet_leaves_it_whole() -> None:
    """A daemon that is stopped in the middle of its start, and another at other ports."""
    with made_box(None) as first, made_box(None, {"state_dir": str(first.state_dir)}) as second:
        first.start()
        first.wait((first.state_dir / "lock").exists, "it never began", 60)
        os.kill(first.pid, signal.SIGSTOP)
        second.start()
        assert second.wait_ended() == 1
        assert f"(process {first.pid})" in second.log()
        os.kill(first.pid, signal.SIGCONT)
        first.wait(first.health, "it never answered", 60)
        assert first.control("GET", "/state")["engine"] == "missing"
        first.stop()


def test_a_killed_daemon_can_be_started_again_at_once(starter_model: Path) -> None:
    """Though its engine may be on its way out still, and control socket and lock file are there."""
    with running_box(starter_model) as box:
        for _ in range(3):
            os.kill(box.pid, signal.SIGKILL)
            assert box.wait_ended() == -signal.SIGKILL
            box.start()
            box.wait_ready()
            assert box.control("GET", "/state")["engine"] == "ready"


def test_a_stop_leaves_no_socket_and_a_free_lock(fresh_box: Box) -> None:
    """Whoever asks next learns at once that none is running."""
    fresh_box.stop()

    assert not (fresh_box.state_dir / "control.sock").exists()
    assert "no daemon is running" in fresh_box.run("status").err
