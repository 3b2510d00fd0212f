"""Nothing a phone, a network or a crash does loses or repeats a word; real model, real sockets.

``python -m benchmarks.faults`` does the same at full size.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed

from benchmarks.flood import flood
from benchmarks.scenarios import OVERTAKEN_MAX, Victim, crowd, cut_sockets, kills, same_key
from benchmarks.scenarios_strangers import STRANGER, strangers
from inglenook.chat.request import parse_chat_request
from inglenook.chat.thinking import Channel
from inglenook.engine.supervisor import WORKER
from inglenook.engine.timeouts import Timeouts
from inglenook.serving.response_parts import Status
from tests.parts.box import Box
from tests.parts.faults import BABBLING_WORKER, engine_room, read_until
from tests.parts.phone import Phone, connected, long_chat
from tests.whole.conftest import TokensIn


async def test_a_socket_cut_after_any_frame_and_resumed_gives_the_uncut_answer(
    box: Box, tokens_in: TokensIn
) -> None:
    """Every frame in turn, two cuts, two sockets at once, and every number after the end."""
    tally = await cut_sockets(box, tokens=tokens_in(0.8))

    frames = int(str(tally.notes["frames"]))
    assert tally.good, tally
    assert tally.times > 2 * frames > 6


@pytest.mark.parametrize(("victim", "times"), [("engine", 6), ("daemon", 4)])
async def test_kills_at_random_moments_under_four_streams_lose_and_repeat_nothing(
    fresh_box: Box, victim: Victim, times: int
) -> None:
    """Each answer ends as it would have, and what phones saw at each death is how it begins."""
    tally = await kills(fresh_box, victim, times, tokens=24, seed=3)

    assert tally.good, tally
    assert tally.times == times
    assert tally.answers >= 4


async def test_one_request_from_three_sockets_at_once_is_written_once(box: Box) -> None:
    """One response, one line in the log, and the whole text for each."""
    tally = await same_key(box, sockets=3, tokens=16)

    assert tally.good, tally
    assert (tally.notes["responses"], tally.notes["generations"]) == (1, 1)


async def test_a_phone_that_asks_twenty_times_does_not_keep_three_others_waiting(box: Box) -> None:
    """They get a place within a step, however many of the big one's wait."""
    tally = await crowd(box, big=20, small=3, places=8, tokens=8)

    assert tally.good, tally
    assert int(str(tally.notes["overtaken"])) <= OVERTAKEN_MAX


@pytest.mark.parametrize("address", [STRANGER, "127.0.0.1"])
async def test_strangers_who_keep_coming_cost_phones_nothing(box: Box, address: str) -> None:
    """From another address or the phones' own, longer than a place of theirs lasts."""
    # The ones before this were held for 10 s each, so fewer would not have filled the old bound.
    tally = await strangers(box, 8.0, per_s=100, address=address, tokens=8)

    assert tally.good, tally
    assert tally.times > 400
    assert tally.notes["refused"] == 0
    assert tally.notes["log_lines"] == 0


async def test_a_phone_sent_away_for_not_reading_gets_its_answer_later(
    box: Box, token: str
) -> None:
    """The buffer is the box's, not the connection's."""
    async with connected(box.url, token, max_queue=1) as deaf:
        answer = await deaf.begin(long_chat(40))
        with pytest.raises(ConnectionClosed):
            await pester(deaf)
    async with connected(box.url, token) as phone:
        await phone.resume(answer)
        await phone.finish(answer)
    assert answer.done is not None
    assert answer.done["usage"]["completion_tokens"] == 40


async def pester(phone: Phone) -> None:
    """Make the box say more and more, until it has enough."""
    while True:
        await phone.send({"type": "ping", "t": "x" * 400})


async def test_idle_and_deaf_phones_cost_next_to_nothing(fresh_box: Box) -> None:
    """200 that say nothing, 8 that never read: less than 30 MB, no growth, and streams complete."""
    tally = await flood(fresh_box, idle=200, deaf=8, tokens=8, rounds=2)

    assert tally.good, tally
    assert int(str(tally.notes["rss_growth_bytes"])) < 30_000_000
    assert int(str(tally.notes["rss_drift_bytes"])) < 3_000_000


async def test_a_phone_sees_no_more_than_a_pause_when_the_engine_aborts(
    fresh_box: Box, tokens_in: TokensIn
) -> None:
    """The same response goes on; only an outage of a second and more is sure to show in `state`."""
    token = fresh_box.pair("Watcher")
    tokens = tokens_in(1.0)
    async with connected(fresh_box.url, token) as phone:
        answer = await phone.begin(long_chat(tokens), deltas=3)
        os.kill(fresh_box.engine_pid(), signal.SIGABRT)
        await phone.finish(answer)
    fresh_box.wait_log("the engine died of Aborted; it starts again")
    assert answer.done is not None
    assert answer.done["usage"]["completion_tokens"] == tokens


@pytest.mark.parametrize("fault", ["hangs", "babbles"])
async def test_an_engine_that_hangs_or_babbles_is_replaced_and_answers_go_on(
    starter_model: Path, tmp_path: Path, fault: str, tokens_in: TokensIn
) -> None:
    """Stopped in its tracks past its patience, or garbage on the pipe: both cost a pause."""
    worker = BABBLING_WORKER if fault == "babbles" else WORKER
    with_signal = signal.SIGUSR1 if fault == "babbles" else signal.SIGSTOP
    patience = Timeouts(step_s=1.0, close_s=0.2)
    tokens = tokens_in(1.0)
    async with engine_room(starter_model, tmp_path, worker=worker, patience=patience) as room:
        responses = [
            room.desk.submit(name, parse_chat_request(long_chat(tokens))) for name in ("ada", "ben")
        ]
        await read_until(responses[1], 3)
        first = room.engine_pid
        before = [response.text(Channel.ANSWER) for response in responses]
        os.kill(first, with_signal)
        for response in responses:
            await read_until(response, 10**9)
        assert room.engine_pid != first
    for response, text in zip(responses, before, strict=True):
        assert response.status is Status.INCOMPLETE
        assert response.outcome is not None
        assert response.outcome.completion_tokens == tokens
        assert response.text(Channel.ANSWER).startswith(text)
