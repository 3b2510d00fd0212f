"""Settings read anew by ``systemctl reload``, with phones in the middle of something."""

from __future__ import annotations

import asyncio

import pytest

from tests.parts.netns import Machine
from tests.parts.network import network_of
from tests.parts.phone import connected, long_chat
from tests.parts.service import UNIT, Service

pytestmark = [pytest.mark.system, pytest.mark.timeout(1200, func_only=True)]

#: Many seconds' writing on the fastest machine: it must go on while settings are read.
TOKENS = 1500
UNLOAD_S = 10
# The engine's end, and a look at the clock now and then.
LATE_S = 60.0


async def test_a_reload_takes_new_settings_and_keeps_a_running_answer(
    service: Service, phone: Machine
) -> None:
    """Same process, same socket, every word; and what was changed counts from then on."""
    service.install()
    token, pid = service.add_device("Phone"), service.pid
    with network_of(phone):
        async with connected(service.url, token) as asking:
            answer = await asking.begin(long_chat(TOKENS), deltas=5)
            service.configure(power={"unload_after": f"{UNLOAD_S}s"})
            await asyncio.to_thread(service.container.run, "systemctl", "reload", UNIT)
            assert not answer.over
            await asking.finish(answer)

    assert answer.done is not None
    assert answer.done["usage"]["completion_tokens"] == TOKENS
    service.wait_unloaded(timeout_s=UNLOAD_S + LATE_S)
    assert (service.pid, service.restarts) == (pid, 0)
