"""The doctor's checks of the board's sleep; and ``--suspend-test``, which tries it."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from inglenook.cli.doctor.result import CheckResult, ok, warning
from inglenook.cli.terminal.output import note, say
from inglenook.common.errors import StartupError
from inglenook.config import Config, load_config
from inglenook.discovery.interfaces import wired_macs
from inglenook.governor.sensors.files import text_of
from inglenook.power.bus import LogindBus, open_logind
from inglenook.power.login1 import Inhibitor, LogindRefused, NoLogind
from inglenook.power.suspend_test import (
    SLEEP_S,
    Suspender,
    can_sleep,
    check_board,
    last_test,
    read_suspend_test,
    try_suspend,
)

_TRY = "`sudo inglenook doctor --suspend-test`"

_ANSWERS = {
    "challenge": "polkit asks this user for a password; the service's rule, which `inglenook"
    " service install` puts in place, lets the service do it",
    "no": "polkit forbids it to this user",
    "na": "there is no logind that would, or sleep.conf forbids it",
}

_QUESTION = """\
The board will sleep for a minute, and everybody who is connected to it has to wait.
If it is not back after two, it has to be switched off and on again.
Go on? [y/N] """


@dataclass(frozen=True, slots=True)
class _Allowed:
    """The rights that logind grants this user.

    Attributes:
        suspend: The answer to ``CanSuspend``.
        refused: The kinds of lock that are not granted.
        holders: The locks that keep the board awake now.
    """

    suspend: str
    refused: tuple[str, ...]
    holders: tuple[Inhibitor, ...]


def sleep_lines(config: Config) -> list[CheckResult]:
    """Report whether the board can sleep, what keeps it awake, and what can wake it."""
    try:
        allowed = asyncio.run(_ask())
    except (NoLogind, LogindRefused) as exc:
        text = f"nothing holds off sleep while the box answers: {exc}"
        is_harmless = not can_sleep(config.governor.root)
        line = ok("logind", text, tells=False) if is_harmless else warning("logind", text)
        return [*_suspend(config, "na"), line]
    lines = [*_suspend(config, allowed.suspend), _locks(allowed.refused)]
    return lines + [ok("kept awake", f"by {lock.who}: {lock.why}") for lock in allowed.holders]


def suspend_test(args: argparse.Namespace) -> None:
    """Suspend the board once, with an alarm set, and store whether it woke up."""
    config = load_config(args.config, os.environ)
    check_board(config.governor.root)
    if not args.yes:
        _ask_leave()
    asyncio.run(_try(config))


def _ask_leave() -> None:
    if not sys.stdin.isatty():
        raise StartupError("the test suspends the board; where it cannot ask, give --yes")
    note(_QUESTION, end="")
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise StartupError("the board stays awake, and was not tested")


async def _try(config: Config) -> None:
    async with open_logind() as logind:
        answer = await logind.can_suspend()
        if answer != "yes":
            raise StartupError(f"the board cannot be suspended: {_ANSWERS.get(answer, answer)}")
        bed = Suspender(logind.suspend, SLEEP_S + logind.delay_s, config.governor.root)
        note("the board goes to sleep")
        test = await try_suspend(config.state_dir, bed)
    say(f"the board slept for {test.slept_s:g} s and woke up by its alarm (kernel {test.kernel})")


async def _ask() -> _Allowed:
    async with open_logind() as logind:
        kinds = (("sleep", "delay"), ("idle", "block"), ("sleep", "block"))
        return _Allowed(
            await logind.can_suspend(),
            tuple([f"{mode} {what}" for what, mode in kinds if not await _may(logind, what, mode)]),
            tuple(await logind.keepers()),
        )


async def _may(logind: LogindBus, what: str, mode: str) -> bool:
    """Whether logind grants a lock; takes it for a moment."""
    try:
        os.close(await logind.inhibit(what, "inglenook doctor", "Checking permission", mode))
    except LogindRefused:
        return False
    return True


def _suspend(config: Config, answer: str) -> Iterator[CheckResult]:
    root = config.governor.root
    if not can_sleep(root):
        text = "this board cannot; idle, it unloads the model and, as a service, ends its process"
        if config.power.suspend_after_s:
            yield warning("suspend", f"{text}; power.suspend_after does nothing")
        else:
            yield ok("suspend", text)
        return
    if answer == "yes":
        yield ok("suspend", "the kernel can suspend this board, and this user may")
    else:
        yield warning("suspend", f"the kernel can, but {_ANSWERS.get(answer, answer)}")
    yield _test(config)
    yield from _wake_up(root)


def _test(config: Config) -> CheckResult:
    """Report whether the board is known to wake up."""
    test = last_test(config.state_dir)
    if test is None:
        text = f"whether it wakes up again is not known; {_TRY} tries it"
    elif read_suspend_test(config.state_dir, os.uname().release, config.governor.root):
        return ok("suspend test", f"on {test.at[:10]} it woke up after {test.slept_s:g} s")
    elif test.ok:
        text = f"it woke up on {test.at[:10]}, with another kernel or board; try again: {_TRY}"
    else:
        text = f"on {test.at[:10]} it did not wake up as it should; {_TRY} tries again"
    if config.power.suspend_after_s:
        return warning("suspend test", f"{text}; until then, power.suspend_after does nothing")
    return ok("suspend test", text)


def _locks(refused: tuple[str, ...]) -> CheckResult:
    if not refused:
        return ok("holding off sleep", "allowed, while it answers and to keep what is under way")
    text = f"logind does not grant this user: {', '.join(refused)}"
    if refused == ("block sleep",):
        text += "; timers wait for the box, but a suspend by hand cuts answers short"
    return warning("holding off sleep", text)


def _wake_up(root: Path) -> Iterator[CheckResult]:
    """Report which network cards are armed."""
    macs = wired_macs(root)
    for card in sorted((root / "sys/class/net").glob("*")):
        mac = text_of(card / "address").lower()
        if mac not in macs or not (card / "device").exists():
            continue
        armed = text_of(card / "device/power/wakeup")
        if armed == "enabled":
            yield ok(f"waking by {card.name}", f"armed, as it seems, for a magic packet to {mac}")
        elif armed:
            text = "not armed: a magic packet would not wake a suspended board; a .link file does"
            yield warning(f"waking by {card.name}", text)
        else:
            yield warning(f"waking by {card.name}", "this card cannot wake the board")
    if not macs:
        yield warning("waking", "no wired card, so nothing on the network can wake the board")
