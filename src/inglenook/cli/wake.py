"""``inglenook wake``: call a machine that sleeps, and wait until it answers."""

from __future__ import annotations

import argparse
import asyncio
import os
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from inglenook.cli.terminal.output import say
from inglenook.cli.terminal.progress import WakeProgress, interfaces_text
from inglenook.cli.terminal.terminal import read_secret
from inglenook.client.known_boxes import (
    KnownBox,
    KnownBoxes,
    distinguishing,
    from_announcement,
    remember,
)
from inglenook.common.errors import Code, Problem, StartupError
from inglenook.common.network_cards import parse_mac
from inglenook.common.units import format_duration
from inglenook.config import load_config
from inglenook.discovery.browse import find_boxes
from inglenook.discovery.found_box import FoundBox
from inglenook.discovery.hello import who_answers
from inglenook.power.magic import parse_password
from inglenook.power.settings import WakeTarget
from inglenook.power.waker import send_magic

#: How long an unknown box is looked for, seconds; a resting one is still announced.
_LOOK_S = 3.0

#: Looks for an answer after each packet, and the seconds between two.
_LOOKS = 5
_LOOK_EVERY_S = 0.5

#: Six parts with colons or dashes between: only MAC addresses are written so.
_LIKE_A_MAC = re.compile(r"\w{1,4}([:-]\w{1,4}){5}")

#: A machine that is awake answers at once; a waking one is asked again soon. Seconds.
_ANSWER_S = 2.0

#: Sends a magic packet to a MAC address with a password, or None; see `send_magic`.
Send = Callable[[bytes, bytes | None], Awaitable[int]]


@dataclass(frozen=True, slots=True)
class WakeHost:
    """A machine to wake.

    Attributes:
        name: As the user typed it.
        macs: MAC addresses of its cards; at least one.
        secure_on: Its SecureOn password, if it has one.
        box: The box it is, if it is a known one.
    """

    name: str
    macs: tuple[bytes, ...]
    secure_on: bytes | None = None
    box: KnownBox | None = None


def wake(args: argparse.Namespace) -> int:
    """Wake a machine; exit code 1 if it does not answer in time, 0 if that cannot be known."""
    return asyncio.run(_wake(args))


async def _wake(args: argparse.Namespace) -> int:
    config = await asyncio.to_thread(load_config, args.config, os.environ)
    known = await asyncio.to_thread(KnownBoxes(os.environ).all)
    sleeper = named(args.name, config.wake.targets, known)
    if sleeper is None and args.name.strip().casefold() == config.name.casefold():
        raise StartupError(f"{config.name} is this very machine, which is awake")
    sleeper = sleeper or await _found(args.name)
    if args.secure_on is not None:
        password = await asyncio.to_thread(read_secret, args.secure_on, "SecureOn password")
        sleeper = replace(sleeper, secure_on=_password(password or ""))
    if sleeper.box is None or not sleeper.box.urls:
        count = await _call(sleeper, send_magic)
        say(
            f"called {sleeper.name} on {interfaces_text(count)}; whether it wakes cannot be known "
            "from here, as its address is unknown"
        )
        return 0
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    url = await wait_answer(sleeper, args.timeout, send_magic)
    if url is None:
        raise StartupError(
            f"{sleeper.name} was called for {format_duration(args.timeout)} and does not answer; "
            "is it plugged in, on a cable, and is Wake-on-LAN switched on in its firmware?"
        )
    say(f"{sleeper.name} answers at {url} after {loop.time() - began_s:.1f} s")
    return 0


def named(text: str, targets: tuple[WakeTarget, ...], known: list[KnownBox]) -> WakeHost | None:
    """Find the machine of an address or a name; None if it is unknown.

    The owner's own list comes before what boxes call themselves.

    Raises:
        StartupError: If it could mean several, or cannot be called.
    """
    try:
        return WakeHost(text, (parse_mac(text),), box=_with_mac(parse_mac(text), known))
    except ValueError as exc:
        if _LIKE_A_MAC.fullmatch(text):
            raise StartupError(str(exc)) from exc
    for target in targets:
        if target.name.casefold() == text.strip().casefold():
            mac = parse_mac(target.mac)
            secure_on = parse_password(target.secure_on) if target.secure_on else None
            return WakeHost(target.name, (mac,), secure_on, _with_mac(mac, known))
    meant = [box for box in known if box.is_called(text)]
    if len(meant) > 1:
        raise StartupError(f"several boxes are called {text!r}; {distinguishing(meant)}")
    return _of_box(meant[0]) if meant else None


async def wait_answer(sleeper: WakeHost, timeout_s: float, send: Send) -> str | None:
    """Send magic packets to a box until it answers.

    Returns:
        Its URL; None if it does not answer within ``timeout_s`` seconds.

    Raises:
        StartupError: If there is no network to send on.
    """
    box = sleeper.box
    assert box is not None
    shown = WakeProgress(sleeper.name)
    try:
        async with asyncio.timeout(timeout_s):
            while True:
                shown.called(await _call(sleeper, send))
                for _ in range(_LOOKS):
                    if (url := await _answering(box)) is not None:
                        return url
                    await asyncio.sleep(_LOOK_EVERY_S)
    except TimeoutError:
        return None
    finally:
        shown.over()


async def _found(text: str) -> WakeHost:
    """Look for an unknown box on this network, now."""

    def is_meant(found: FoundBox) -> bool:
        known = from_announcement(found)
        return known is not None and known.is_called(text)

    boxes = await find_boxes(_LOOK_S, until=is_meant)
    await asyncio.to_thread(remember, os.environ, map(from_announcement, boxes))
    # Boxes that answer come first: an announcement may be out of date.
    for found in sorted(boxes, key=lambda found: found.hello is None):
        known = from_announcement(found)
        if known is not None and known.is_called(text):
            return _of_box(known)
    raise StartupError(
        f"{text!r} is unknown: it is not in 'wake.targets', and no box that this "
        "terminal has met; give its MAC address, or run `inglenook find` while it is awake"
    )


def _of_box(box: KnownBox) -> WakeHost:
    if not box.macs:
        raise StartupError(
            f"{box.name} has never announced its MAC address, as boxes on Wi-Fi do not; give it "
            "instead of the name"
        )
    return WakeHost(box.name, tuple(map(parse_mac, box.macs)), box=box)


def _with_mac(mac: bytes, known: list[KnownBox]) -> KnownBox | None:
    return next((box for box in known if mac in map(parse_mac, box.macs)), None)


def _password(text: str) -> bytes:
    try:
        return parse_password(text)
    except ValueError as exc:
        raise Problem(Code.BAD_REQUEST, f"--secure-on: {exc}") from exc


async def _call(sleeper: WakeHost, send: Send) -> int:
    """Send a packet to each of its cards; returns the number of interfaces."""
    return max([await send(mac, sleeper.secure_on) for mac in sleeper.macs])


async def _answering(box: KnownBox) -> str | None:
    """The best of its URLs at which this very box answers now; None if none does."""
    async with asyncio.TaskGroup() as tasks:
        asked = {
            url: tasks.create_task(who_answers(url, _ANSWER_S), name=f"ask {url}")
            for url in box.urls
        }
    answers = ((url, task.result()) for url, task in asked.items())
    return next((url for url, hello in answers if hello and hello.server_id == box.server_id), None)
