"""Killed, hung or restarted under real systemd: there is another, and the answer goes on."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest
from websockets.exceptions import ConnectionClosed

from inglenook.engine.timeouts import Timeouts
from tests.parts.netns import Machine, wait_for
from tests.parts.network import network_of
from tests.parts.phone import STORY, Answer, chat, connected, long_chat
from tests.parts.service import START_S, UNIT, Service
from tests.system.service.conftest import Home

pytestmark = [pytest.mark.system, pytest.mark.timeout(1200, func_only=True)]

#: Many seconds' writing on the fastest machine: nothing here must be over before it is cut.
TOKENS = 1500

WATCHDOG_S = 10


async def test_a_killed_daemon_is_started_again_and_its_answer_goes_on(home: Home) -> None:
    """`kill -9`: systemd starts it, the phone resumes, and has every word of the answer once."""
    service, phone = home.service, home.phone
    token, pid, restarts = service.add_device("Phone"), service.pid, service.restarts
    with network_of(phone):
        async with connected(service.url, token) as asking:
            answer = await asking.begin(long_chat(TOKENS), deltas=5)
            service.container.kill("KILL", pid)
            with suppress(ConnectionClosed):
                await asking.finish(answer)
        assert not answer.over

        # The port is systemd's: nobody is refused meanwhile.
        await _resume(service, token, answer)
        await _is_whole(service, token, answer)

    assert service.pid not in (0, pid)
    assert service.restarts == restarts + 1


async def test_a_restart_in_order_costs_an_answer_nothing_that_was_read(
    service: Service, phone: Machine
) -> None:
    """`systemctl restart`: the engine is not killed, but saves what it has, and the next has it."""
    service.install()
    token = service.add_device("Phone")
    with network_of(phone):
        async with connected(service.url, token) as asking:
            question = chat(STORY, max_tokens=TOKENS, ignore_eos=True)
            answer = await asking.begin(question, deltas=5)
            await asyncio.to_thread(service.container.run, "systemctl", "restart", UNIT)
            with suppress(ConnectionClosed):
                await asking.finish(answer)
        assert not answer.over
        await _resume(service, token, answer)
        await _is_whole(service, token, answer)

    assert answer.done is not None
    usage = answer.done["usage"]
    assert usage["cached_tokens"] == usage["prompt_tokens"] > 200


async def test_a_stopped_engine_is_replaced_and_its_answer_goes_on(home: Home) -> None:
    """`SIGSTOP`: the daemon's own watchdog notices; systemd has nothing to do."""
    service, phone = home.service, home.phone
    token, pid, engine = service.add_device("Phone"), service.pid, service.engine()
    restarts = service.restarts
    with network_of(phone):
        async with connected(service.url, token) as asking:
            answer = await asking.begin(long_chat(TOKENS), deltas=5)
            service.container.kill("STOP", engine)
            await asyncio.to_thread(_wait_other_engine, service, engine)
            await asking.finish(answer)
        await _is_whole(service, token, answer)

    assert service.engine() not in (0, engine)
    assert (service.pid, service.restarts) == (pid, restarts)


async def test_a_stopped_daemon_is_ended_and_started_again_by_systemd(
    service: Service, phone: Machine
) -> None:
    """`SIGSTOP`: nothing tells systemd that all is well, and the answer goes on in the next."""
    service.container.write(
        f"/etc/systemd/system/{UNIT}.d/90-test.conf", f"[Service]\nWatchdogSec={WATCHDOG_S}\n"
    )
    service.install()
    token, pid = service.add_device("Phone"), service.pid
    with network_of(phone):
        async with connected(service.url, token) as asking:
            answer = await asking.begin(long_chat(TOKENS), deltas=5)
            service.container.kill("STOP", pid)
            await asyncio.to_thread(_wait_other_daemon, service, pid)
        assert not answer.over
        await _resume(service, token, answer)
        await _is_whole(service, token, answer)

    assert "watchdog" in service.container.journal(UNIT).lower()


def _wait_other_engine(service: Service, engine: int) -> None:
    within_s = Timeouts().step_s + START_S
    wait_for("another engine", lambda: service.engine() not in (0, engine), timeout_s=within_s)


def _wait_other_daemon(service: Service, pid: int) -> None:
    within_s = WATCHDOG_S + START_S
    wait_for("another daemon", lambda: service.pid not in (0, pid), timeout_s=within_s)


async def _resume(service: Service, token: str, answer: Answer) -> None:
    """Come back as a phone does, and read on to the end."""
    async with connected(service.url, token, open_timeout=START_S) as again:
        await again.resume(answer)
        await again.finish(answer)


async def _is_whole(service: Service, token: str, answer: Answer) -> None:
    """See that an answer is as the box has it; that nothing came twice `Answer` has seen to."""
    assert answer.done is not None, answer.error
    assert answer.done["usage"]["completion_tokens"] == TOKENS
    again = Answer(None, answer.response_id)
    async with connected(service.url, token) as asking:
        await asking.resume(again)
        await asking.finish(again)
    assert answer.text == again.text
