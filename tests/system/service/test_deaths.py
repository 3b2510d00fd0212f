"""Killed or hung under real systemd: what died is replaced, and the answer goes on."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest
from websockets.exceptions import ConnectionClosed

from inglenook.engine.patience import Patience
from tests.parts.netns import Machine, wait_for
from tests.parts.network import network_of
from tests.parts.phone import Answer, Phone, connected, long_chat
from tests.parts.service import START_S, UNIT, Service

pytestmark = [pytest.mark.system, pytest.mark.timeout(1200)]

TOKENS = 250
WATCHDOG_S = 10
# systemd looks when the time is up; ending what hangs takes a moment more.
ENDED_S = 2 * WATCHDOG_S


async def test_a_killed_daemon_is_started_again_and_its_answer_goes_on(
    service: Service, phone: Machine
) -> None:
    """`kill -9`: systemd starts it, the phone resumes, and the text is that of an uncut answer."""
    service.install()
    token, pid = service.add_device("Phone"), service.pid
    with network_of(phone):
        async with connected(service.url, token) as asking:
            answer = await asking.begin(long_chat(TOKENS), deltas=5)
            service.container.kill("KILL", pid)
            with suppress(ConnectionClosed):
                await asking.finish(answer)
        assert not answer.over

        # The port is systemd's: nobody is refused meanwhile.
        await _resume(service, token, answer)
        await _is_uncut(service, token, answer)

    assert service.pid not in (0, pid)
    assert service.restarts == 1


async def test_a_stopped_engine_is_replaced_and_its_answer_goes_on(
    service: Service, phone: Machine
) -> None:
    """`SIGSTOP`: the daemon's own watchdog notices; systemd has nothing to do."""
    service.install()
    token, pid, engine = service.add_device("Phone"), service.pid, service.engine()
    with network_of(phone):
        async with connected(service.url, token) as asking:
            answer = await asking.begin(long_chat(TOKENS), deltas=5)
            service.container.kill("STOP", engine)
            async with asyncio.timeout(Patience().step_s + START_S):
                await _finish_however_long(asking, answer)
        await _is_uncut(service, token, answer)

    assert service.engine() not in (0, engine)
    assert (service.pid, service.restarts) == (pid, 0)


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
            await asyncio.to_thread(_wait_replaced, service, pid)
        assert not answer.over
        await _resume(service, token, answer)
        await _is_uncut(service, token, answer)

    assert "watchdog" in service.container.journal(UNIT).lower()


def _wait_replaced(service: Service, pid: int) -> None:
    wait_for("another daemon", lambda: service.pid not in (0, pid), timeout_s=ENDED_S)


async def _resume(service: Service, token: str, answer: Answer) -> None:
    """Come back as a phone does, and read on to the end."""
    async with connected(service.url, token, open_timeout=START_S) as again:
        await again.resume(answer)
        await again.finish(answer)


async def _is_uncut(service: Service, token: str, answer: Answer) -> None:
    """See that an answer is whole; that nothing came twice `Answer` has seen to."""
    assert answer.done is not None, answer.error
    assert answer.done["usage"]["completion_tokens"] == TOKENS
    async with connected(service.url, token) as asking:
        uncut = await asking.ask(long_chat(TOKENS))
    assert answer.text == uncut.text


async def _finish_however_long(asking: Phone, answer: Answer) -> None:
    """Read to the end, through a silence that a phone's reader would not put up with."""
    while not answer.over:
        with suppress(TimeoutError):
            await asking.finish(answer)
