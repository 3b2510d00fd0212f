"""Suspended by systemd's own logind; only what the kernel would do is left out.

The kernel's files of sleep are plain ones, so the board is back at once, and no clock jumps.
"""

from __future__ import annotations

import asyncio
import json

import pytest

from tests.parts.debian import VENV
from tests.parts.netns import Machine, wait_for
from tests.parts.network import network_of
from tests.parts.phone import connected, long_chat
from tests.parts.service import START_S, STATE_DIR, UNIT, Service

pytestmark = [pytest.mark.system, pytest.mark.timeout(1200, func_only=True)]

#: Many seconds' writing on the fastest machine: the board must be busy when it is suspended.
TOKENS = 1500
AWAKE, BUSY = [("sleep", "delay")], [("idle", "block"), ("sleep", "block"), ("sleep", "delay")]
SUSPENDS = {"unload_after": 0, "stop_after": 0, "suspend_after": "2s"}
# Others' patience with delay locks, and systemd's own steps.
SUSPENDED_S = 60.0

_STATE = "/sys/power/state"
_CAN = "freeze mem\n"

# Writing a kind of sleep into the first is how systemd has the kernel suspend.
_BOARD = f"""
mount -t tmpfs tmpfs /sys/power
echo freeze mem > {_STATE}
echo 's2idle [deep]' > /sys/power/mem_sleep
systemctl restart systemd-logind
"""


@pytest.fixture
def sleepy(service: Service) -> Service:
    """A service, not installed yet, on a board that can be suspended."""
    service.container.run("sh", "-euc", _BOARD)
    return service


async def test_a_suspended_board_goes_on_with_its_answer(sleepy: Service, phone: Machine) -> None:
    """Its phone was told in time; polkit lets the box hold sleep off, and root may overrule it."""
    sleepy.install()
    token, pid = sleepy.add_device("Phone"), sleepy.pid
    with network_of(phone):
        async with connected(sleepy.url, token) as asking:
            answer = await asking.begin(long_chat(TOKENS), deltas=3)
            await asyncio.to_thread(
                wait_for, "the locks", lambda: _locks(sleepy) == BUSY, timeout_s=SUSPENDED_S
            )
            await asyncio.to_thread(sleepy.container.run, "systemctl", "suspend")
            while asking.state["sleep"] != "suspended":
                await asking.step()
            # It tells of itself once a second, which a fast board's answer need not last.
            while asking.state["sleep"] == "suspended":
                await asking.step()
            await asking.finish(answer)

    assert answer.done is not None
    assert answer.done["usage"]["completion_tokens"] == TOKENS
    assert sleepy.container.run("cat", _STATE) == "mem\n"
    assert (sleepy.pid, sleepy.restarts) == (pid, 0)
    wait_for("one lock", lambda: _locks(sleepy) == AWAKE, timeout_s=SUSPENDED_S)


def test_a_board_that_was_tested_is_suspended_when_nobody_needs_it(sleepy: Service) -> None:
    """By the service's own user, as polkit's rule allows it."""
    sleepy.container.write(f"{STATE_DIR}/suspend-test.json", json.dumps(_passed(sleepy)))

    sleepy.install(power=SUSPENDS)

    wait_for(
        "the board suspended",
        lambda: sleepy.container.run("cat", _STATE) == "mem\n",
        timeout_s=3 * SUSPENDED_S,
    )
    wait_for("it awake", lambda: _locks(sleepy) == AWAKE, timeout_s=SUSPENDED_S)
    assert sleepy.state == "active"


def test_a_board_that_was_not_tested_stays_awake(sleepy: Service) -> None:
    """Whatever the settings say; doctor and the log tell why."""
    sleepy.install(power=SUSPENDS)

    wait_for("a word in the log", lambda: _is_warned(sleepy), timeout_s=START_S)
    said = sleepy.container.attempt(f"{VENV}/bin/inglenook", "doctor").stdout
    assert "ok\tsuspend\tthe kernel can suspend this board, and this user may\n" in said
    assert "warning\tsuspend test\twhether it wakes up again is not known" in said
    assert sleepy.container.run("cat", _STATE) == _CAN


def _is_warned(service: Service) -> bool:
    return "`inglenook doctor --suspend-test`" in service.container.journal(UNIT)


def _passed(service: Service) -> dict[str, object]:
    """What a test leaves that this very board has passed."""
    run = service.container.run
    board = run("sh", "-c", "cat /proc/device-tree/model || cat /sys/class/dmi/id/product_name; :")
    kernel = run("uname", "-r").strip()
    test = {"board": board.strip("\0 \n"), "kernel": kernel, "at": "2026-11-20", "ok": True}
    return {"version": 1, "test": test}


def _locks(service: Service) -> list[tuple[str, str]]:
    """What the box holds locks against, and how, as logind knows it."""
    listed = service.container.run(
        *["busctl", "--json=short", "call", "org.freedesktop.login1", "/org/freedesktop/login1"],
        *["org.freedesktop.login1.Manager", "ListInhibitors"],
    )
    (rows,) = json.loads(listed)["data"]
    return sorted((what, mode) for what, who, _why, mode, *_ in rows if who == "Inglenook")
