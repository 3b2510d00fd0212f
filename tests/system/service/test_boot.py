"""The service and the system it is part of: the board's boot, and logind."""

from __future__ import annotations

import asyncio
import json

import pytest

from tests.parts.netns import Machine, wait_for
from tests.parts.network import network_of
from tests.parts.phone import connected, long_chat
from tests.parts.service import FOUND_S, Service, seen

pytestmark = [pytest.mark.system, pytest.mark.timeout(1200)]

LOCKED_S = 10.0

#: A lock, as logind lists it: against what, and in which mode.
DELAY, BUSY = ("sleep", "delay"), {("idle", "block"), ("sleep", "block")}


async def test_it_is_there_again_after_a_reboot(service: Service, phone: Machine) -> None:
    """Nobody does anything: the board boots, and the box answers and is found."""
    service.install()
    token = service.add_device("Phone")

    service.container.reboot()

    service.wait_loaded()
    wait_for("the box", lambda: seen(phone), timeout_s=FOUND_S)
    with network_of(phone):
        async with connected(service.url, token) as asking:
            assert (await asking.ask(long_chat(2))).done is not None


async def test_logind_is_told_when_it_is_busy(service: Service, phone: Machine) -> None:
    """With polkit's leave: idle and sleep are blocked by an answer, and only delayed without."""
    service.install()
    token = service.add_device("Phone")
    wait_for("its lock", lambda: _locks(service) == {DELAY}, timeout_s=LOCKED_S)
    with network_of(phone):
        async with connected(service.url, token) as asking:
            answer = await asking.begin(long_chat(400))
            await asyncio.to_thread(_wait_busy, service)
            assert not answer.over
            await asking.cancel(answer)
            await asking.finish(answer)

    wait_for("no more", lambda: _locks(service) == {DELAY}, timeout_s=LOCKED_S)


def _wait_busy(service: Service) -> None:
    wait_for("its locks", lambda: _locks(service) == {DELAY, *BUSY}, timeout_s=LOCKED_S)


def _locks(service: Service) -> set[tuple[str, str]]:
    login1 = ["org.freedesktop.login1", "/org/freedesktop/login1", "org.freedesktop.login1.Manager"]
    listed = service.container.run("busctl", "--json=short", "call", *login1, "ListInhibitors")
    (locks,) = json.loads(listed)["data"]
    return {
        (each, mode)
        for what, who, _why, mode, _uid, _pid in locks
        if who == "Inglenook"
        for each in what.split(":")
    }
