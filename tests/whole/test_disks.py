"""Disks that are full for a while, and drives that come late; real daemon, real model, real SQLite.

``python -m benchmarks.faults`` does the same at full size.
"""

from __future__ import annotations

import asyncio
import resource
import shutil
from pathlib import Path

import psutil
import pytest

from benchmarks.follower import Follower, counting, whole_text
from benchmarks.scenarios_disk import full_disk, model_gone
from tests.parts.box import Box, made_box
from tests.parts.phone import connected, long_chat
from tests.whole.conftest import ENDLESS_TOKENS

SOON_S = 60.0


async def test_after_a_full_disk_answers_survive_kills_again(fresh_box: Box) -> None:
    """Four streams; whatever was shown while nothing could be kept is there after the kill."""
    tally = await full_disk(fresh_box, 2, tokens=60, seed=1)

    assert tally.good, tally
    assert tally.times == 2
    # Not one phone had to be told to cut its text.
    assert tally.notes["rewinds"] == 0
    assert fresh_box.log().count("answers are kept on disk again") == 2


async def test_a_full_disk_is_said_wherever_somebody_looks(fresh_box: Box) -> None:
    """And no longer, once there is room and somebody has asked."""
    token = fresh_box.pair("Ada's phone")
    limits = (len(fresh_box.log()) + 16 * 1024, resource.RLIM_INFINITY)
    psutil.Process(fresh_box.pid).rlimit(psutil.RLIMIT_FSIZE, limits)
    phone = Follower(fresh_box.url, token, long_chat(ENDLESS_TOKENS))
    async with asyncio.TaskGroup() as tasks:
        following = tasks.create_task(phone.follow(), name="phone")
        await asyncio.to_thread(
            fresh_box.wait, lambda: fresh_box.state()["journal_error"], "it is not full", SOON_S
        )
        said = await asyncio.to_thread(everywhere, fresh_box, token)
        assert all(why in text for why, text in said.values()), said
        unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        psutil.Process(fresh_box.pid).rlimit(psutil.RLIMIT_FSIZE, unlimited)
        await Follower(fresh_box.url, token, counting(2)).follow()
        said = await asyncio.to_thread(everywhere, fresh_box, token)
        assert not any(why in text for why, text in said.values()), said
        following.cancel()


def everywhere(box: Box, token: str) -> dict[str, tuple[str, str]]:
    """What is said by whom, and the words that would say it."""
    state = box.http("GET", "/v1/state", token=token).json()
    return {
        "state": ("error", "error" if state["journal_error"] else ""),
        "metrics": ("inglenook_journal_ok 0.0", box.http("GET", "/metrics").body.decode()),
        "status": ("not stored on disk: ", box.run("status", "--once").out),
        "doctor": ("not stored on disk: ", box.run("doctor").out),
    }


async def test_a_model_that_goes_for_a_moment_costs_no_answer(
    starter_model: Path, tmp_path: Path
) -> None:
    """Four streams; the engine is killed without it, then the daemon is, and starts without it."""
    model = tmp_path / starter_model.name
    model.symlink_to(starter_model)
    with made_box(model) as box:
        box.start()
        box.wait_ready()
        tally = await model_gone(box, model, 2, tokens=60, seed=2)
        box.stop()

    assert tally.good, tally
    assert tally.times == 2


@pytest.mark.parametrize("how", ["half copied", "another"])
async def test_a_file_put_in_the_place_of_the_model(
    starter_model: Path, tmp_path: Path, how: str
) -> None:
    """Half of it is waited for; another one of that name cannot go on with what was begun."""
    model = tmp_path / starter_model.name
    model.symlink_to(starter_model)
    other = tmp_path / "other"
    await asyncio.to_thread(make_other, starter_model, other, how)
    with made_box(model) as box:
        box.start()
        box.wait_ready()
        token = box.pair("Ada's phone")
        phone = Follower(box.url, token, counting(ENDLESS_TOKENS))
        seen = await phone.follow(lambda told: told.frames > 3)
        before = seen.text
        await asyncio.to_thread(box.kill)
        other.rename(model)
        box.start()
        if how == "half copied":
            await asyncio.to_thread(
                box.wait, lambda: engine(box) == "missing", "it was not missed", SOON_S
            )
            model.unlink()
            model.symlink_to(starter_model)
            told = await phone.follow()
            assert told.ends[0]["finish_reason"] == "length"
            assert told.text == await whole_text(box.url, token, told.response_id)
        else:
            told = await phone.follow()
            assert told.ends[0]["error"]["code"] == "model_missing"
            assert "was replaced" in told.ends[0]["error"]["message"]
            async with connected(box.url, token) as again:
                answer = await again.ask(long_chat(5))
                assert answer.done is not None
        assert told.text.startswith(before)
        assert not told.breaches
        box.stop()


def engine(box: Box) -> object:
    """Its phase; None before anybody listens."""
    try:
        return box.state()["engine"]
    except OSError:
        return None


def make_other(starter: Path, other: Path, how: str) -> None:
    """A file for the place of the starter model."""
    shutil.copyfile(starter, other)
    size_bytes = other.stat().st_size
    with other.open("r+b") as file:
        if how == "half copied":
            file.truncate(size_bytes // 2)
        else:
            # One weight of the last tensor, as in any other training of the same model.
            file.seek(size_bytes - 1)
            last = file.read(1)
            file.seek(size_bytes - 1)
            file.write(bytes([last[0] ^ 1]))
