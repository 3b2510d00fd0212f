"""Killed, restarted or told to stop: the box comes back, and knows its devices."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.follower import Follower, whole_text
from tests.parts.box import READY_S, Box, made_box, running_box
from tests.parts.phone import STORY, chat, connected, knocking, long_chat
from tests.parts.wall_clock import wall_clock
from tests.whole.conftest import TokensIn


async def test_a_killed_engine_and_a_killed_daemon_cost_nobody_the_box(fresh_box: Box) -> None:
    """The next question is answered each time; it is the same box and knows its devices."""
    token = fresh_box.pair("Ada")
    server_id = fresh_box.http("GET", "/.well-known/inglenook").json()["server_id"]
    async with connected(fresh_box.url, token) as phone:
        first = fresh_box.engine_pid()
        os.kill(first, signal.SIGKILL)
        assert (await phone.ask(long_chat(2))).done is not None
        assert fresh_box.engine_pid() != first
    assert "was killed" in fresh_box.log()

    fresh_box.kill()
    fresh_box.restart()
    async with connected(fresh_box.url, token) as phone:
        answer = await phone.ask(long_chat(2))

    assert answer.done is not None
    assert answer.done["usage"]["completion_tokens"] == 2
    assert fresh_box.http("GET", "/.well-known/inglenook").json()["server_id"] == server_id
    assert "Traceback" not in fresh_box.log()


@pytest.fixture
def narrow_box(starter_model: Path) -> Iterator[Box]:
    """It writes one answer at a time: who asks beside that waits, and gets none."""
    with running_box(starter_model, {"engine": {"max_sequences": 1}}) as box:
        yield box


async def test_a_stop_is_quick_whatever_goes_on(narrow_box: Box) -> None:
    """Streams, strangers, a waiting owner and a waiting script; exit code 0, no trace."""
    token = narrow_box.pair("Ada")
    asking = asyncio.to_thread(
        narrow_box.http,
        "POST",
        "/v1/inference",
        token=token,
        body={"question": "Write a very long story."},
    )
    async with (
        connected(narrow_box.url, token) as phone,
        knocking(narrow_box.url) as stranger,
        asyncio.TaskGroup() as tasks,
    ):
        await phone.begin(long_chat(2000))
        script = tasks.create_task(asking, name="script")
        owner = tasks.create_task(
            asyncio.to_thread(narrow_box.run, "pair"), name="owner waiting for a phone"
        )
        await asyncio.to_thread(narrow_box.wait_log, "pairing is open.*\n(.*\n)*pairing is open")
        await asyncio.to_thread(
            narrow_box.wait,
            lambda: narrow_box.http("GET", "/v1/state", token=token).json()["queued"] == 1,
            "the script never asked",
            READY_S,
        )
        began_at = time.monotonic()
        await asyncio.to_thread(narrow_box.stop)
        assert time.monotonic() - began_at < 5

        assert await phone.wait_closed() == 1012
        assert await stranger.wait_closed() in (1012, 1006)
        assert (await script).status == 503
        assert (await owner).returncode == 1


async def test_a_phone_is_told_of_a_restart_and_finds_its_answer_after_it(
    fresh_box: Box, tokens_in: TokensIn
) -> None:
    """1012, then the same answer goes on to its end; its prompt is not read again."""
    token = fresh_box.pair("Ada")
    tokens = tokens_in(1.0)
    async with connected(fresh_box.url, token) as phone:
        question = chat(STORY, max_tokens=tokens, ignore_eos=True)
        answer = await phone.begin(question, deltas=3)
        await asyncio.to_thread(fresh_box.stop)
        assert await phone.wait_closed() == 1012
    await asyncio.to_thread(fresh_box.restart)
    async with connected(fresh_box.url, token) as phone:
        await phone.resume(answer)
        await phone.finish(answer)

    assert answer.done is not None
    usage = answer.done["usage"]
    assert usage["completion_tokens"] == tokens
    assert usage["cached_tokens"] == usage["prompt_tokens"] > 200


def test_ctrl_c_ends_it_before_the_model_is_loaded_too(starter_model: Path) -> None:
    """As soon as its page answers."""
    with made_box(starter_model) as box:
        box.start()
        box.wait(box.health, "the page never answered", READY_S)
        os.kill(box.pid, signal.SIGINT)

        assert box.wait_ended() == 0
        assert "Traceback" not in box.log()


@pytest.mark.parametrize("set_s", [-300_000_000, 300_000_000])
async def test_a_clock_that_is_set_between_two_starts_costs_no_answer(
    fresh_box: Box, tmp_path: Path, set_s: int, tokens_in: TokensIn
) -> None:
    """By ten years: boards without a battery clock begin like that. Ended and unended answers."""
    token = fresh_box.pair("Ada")
    tokens = tokens_in(1.5)
    ended = await Follower(fresh_box.url, token, long_chat(3)).follow()
    phone = Follower(fresh_box.url, token, long_chat(tokens))
    await phone.follow(lambda told: told.frames >= 3)
    assert not phone.told.over
    await asyncio.to_thread(fresh_box.kill)
    fresh_box.extra_environ = await asyncio.to_thread(wall_clock, tmp_path, set_s)
    await asyncio.to_thread(fresh_box.restart)

    assert await whole_text(fresh_box.url, token, ended.response_id) == ended.text != ""
    told = await phone.follow()
    assert (told.breaches, told.gone, len(told.ends)) == ([], False, 1)
    assert told.ends[0]["usage"]["completion_tokens"] == tokens
