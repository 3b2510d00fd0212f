"""`inglenook wake` finds out who is meant, calls, and waits until the box answers."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from inglenook.cli import wake
from inglenook.cli.terminal import progress
from inglenook.cli.wake import WakeHost, named, wait_answer
from inglenook.client.known_boxes import KnownBox
from inglenook.common.errors import StartupError
from inglenook.power.settings import WakeTarget
from tests.cli.conftest import Inglenook
from tests.parts.box import Box, free_port

MAC = bytes.fromhex("dca632010203")
OTHER_MAC = bytes.fromhex("00e04c680102")
PASSWORD = bytes.fromhex("001122334455")

KITCHEN = KnownBox("ab12cd34", "Kitchen", ("dc:a6:32:01:02:03", "00:e0:4c:68:01:02"), ("http://k",))
ATTIC = KnownBox("99887766", "Attic", (), ("http://a",))
TWINS = [KnownBox(server_id, "Twin", ("00:00:00:00:00:01",), ()) for server_id in ("01", "02")]
KNOWN = [KITCHEN, ATTIC, *TWINS]

OFFICE = WakeTarget("Office", "dc:a6:32:01:02:03", "00:11:22:33:44:55")
STUDIO = WakeTarget("Studio", "02:00:00:00:00:01")
TARGETS = (OFFICE, STUDIO)

#: Nobody is called in these tests: its own address block is for examples (RFC 5737).
NOBODY = "http://192.0.2.1:1"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A look each millisecond, and not for long."""
    monkeypatch.setattr(wake, "_LOOK_EVERY_S", 0.001)
    monkeypatch.setattr(wake, "_ANSWER_S", 5.0)


@pytest.mark.parametrize(
    ("text", "sleeper"),
    [
        ("dc:a6:32:01:02:03", WakeHost("dc:a6:32:01:02:03", (MAC,), None, KITCHEN)),
        ("00-E0-4C-68-01-02", WakeHost("00-E0-4C-68-01-02", (OTHER_MAC,), None, KITCHEN)),
        ("0a:00:00:00:00:01", WakeHost("0a:00:00:00:00:01", (b"\x0a\0\0\0\0\1",))),
        ("Kitchen", WakeHost("Kitchen", (MAC, OTHER_MAC), None, KITCHEN)),
        ("AB12CD34", WakeHost("Kitchen", (MAC, OTHER_MAC), None, KITCHEN)),
        ("office", WakeHost("Office", (MAC,), PASSWORD, KITCHEN)),
        ("studio ", WakeHost("Studio", (b"\2\0\0\0\0\1",))),
        ("Nobody", None),
        ("", None),
    ],
)
def test_who_is_meant_is_found_out(text: str, sleeper: WakeHost | None) -> None:
    """By an address, by the owner's own list, or by what a box is called."""
    assert named(text, TARGETS, KNOWN) == sleeper


def test_the_owners_list_comes_first() -> None:
    """Anybody may call a box Office."""
    impostor = KnownBox("ffffffff", "Office", ("0a:00:00:00:00:01",), ())
    sleeper = named("Office", TARGETS, [impostor])

    assert sleeper == WakeHost("Office", (MAC,), PASSWORD)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Attic", "Attic has never announced its MAC address"),
        ("twin", "several boxes are called 'twin'; give the id: 01 or 02"),
    ],
)
def test_who_cannot_be_called_is_a_sentence(text: str, words: str) -> None:
    """With what would help."""
    with pytest.raises(StartupError, match=words):
        named(text, TARGETS, KNOWN)


@pytest.mark.parametrize(
    ("macs", "words"),
    [
        (["02:00:00:00:00:01", "02:00:00:00:00:02"], "give the MAC address: 02:.*:01 .Twin. or 02"),
        (["", ""], "none has announced its MAC address"),
    ],
)
def test_boxes_with_one_id_are_told_apart_by_their_cards(macs: list[str], words: str) -> None:
    """One has a copy of the other's SD card."""
    copies = [KnownBox("01", "Twin", (mac,) if mac else (), ()) for mac in macs]

    with pytest.raises(StartupError, match=words):
        named("01", TARGETS, copies)


class Network:
    """Remembers who was called; ``at`` a certain call a box wakes up."""

    def __init__(self, wakes: web.TCPSite | None = None, at: int = 1) -> None:
        self.called: list[tuple[bytes, bytes | None]] = []
        self._wakes = wakes
        self._at = at

    async def send(self, mac: bytes, secure_on: bytes | None) -> int:
        self.called.append((mac, secure_on))
        if self._wakes is not None and len(self.called) == self._at:
            await self._wakes.start()
        return 2


@asynccontextmanager
async def asleep(server_id: str) -> AsyncIterator[web.TCPSite]:
    """A box that answers once it is started."""

    async def hello(_request: web.Request) -> web.Response:
        return web.json_response({"server_id": server_id, "name": "Kitchen"})

    app = web.Application()
    app.router.add_get("/.well-known/inglenook", hello)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        yield web.TCPSite(runner, "127.0.0.1", free_port())
    finally:
        await runner.cleanup()


def sleeper_at(*urls: str, server_id: str = "ab12cd34") -> WakeHost:
    return WakeHost("Kitchen", (MAC, OTHER_MAC), PASSWORD, KnownBox(server_id, "Kitchen", (), urls))


async def test_a_box_is_called_until_it_answers(capsys: pytest.CaptureFixture[str]) -> None:
    """On both its cards, with its password; where it answers is told, and the calling once."""
    async with asleep("ab12cd34") as site:
        network = Network(site, at=5)
        url = await wait_answer(sleeper_at(site.name), 20.0, network.send)

    assert url == site.name
    assert network.called == [(MAC, PASSWORD), (OTHER_MAC, PASSWORD)] * 3
    assert capsys.readouterr() == ("", "called Kitchen on 2 interfaces; waiting until it answers\n")


async def test_a_box_that_is_awake_answers_at_once(
    box: Box, capsys: pytest.CaptureFixture[str]
) -> None:
    """The real program, at the one of its addresses that is still right."""
    server_id = (box.state_dir / "server_id").read_text().strip()
    network = Network()
    dead = f"http://127.0.0.1:{free_port()}"
    url = await wait_answer(sleeper_at(dead, box.url, server_id=server_id), 20.0, network.send)

    assert url == box.url
    assert len(network.called) == 2
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("known_id", ["ab12cd34", "99887766"])
async def test_one_that_does_not_answer_is_given_up(known_id: str) -> None:
    """Nor is it another box that has its address now."""
    async with asleep("99887766") as site:
        if known_id == "ab12cd34":
            await site.start()
        url = await wait_answer(sleeper_at(site.name, server_id=known_id), 0.2, Network().send)

    assert url is None


async def test_a_network_that_goes_away_is_told() -> None:
    """Nobody waits for an answer to a call that was never made."""

    async def refuse(_mac: bytes, _secure_on: bytes | None) -> int:
        raise StartupError("no network")

    with pytest.raises(StartupError, match="no network"):
        await wait_answer(sleeper_at(NOBODY), 5.0, refuse)


class Screen(io.StringIO):
    """A terminal, as far as the program can tell."""

    def isatty(self) -> bool:
        return True


async def test_on_a_terminal_the_seconds_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """On one line, which is empty again at the end."""
    screen = Screen()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setattr(progress, "_TICK_S", 0.01)
    async with asleep("ab12cd34") as site:
        await wait_answer(sleeper_at(site.name), 0.3, Network().send)
    lines = screen.getvalue().split("\r")

    assert lines[0] == "waking Kitchen  0 s\x1b[K"
    assert "waking Kitchen  0 s, called once on 2 interfaces\x1b[K" in lines
    assert lines[-1] == "\x1b[K"
    assert "\n" not in screen.getvalue()


@pytest.mark.parametrize(
    ("words", "returncode", "said"),
    [
        (["02:00:00:00:00:01", "--secure-on", "hush"], 1, "that is not a SecureOn password"),
        (["02:00:00:00:00:01", "--timeout", "0"], 2, "must be 1 to 3600"),
        (["02:00:00:00:00:01", "--timeout", "nan"], 2, "must be 1 to 3600"),
        ([], 2, "NAME|MAC"),
    ],
)
def test_what_cannot_be_is_a_sentence(
    inglenook: Inglenook, words: list[str], returncode: int, said: str
) -> None:
    """Before anybody is called; a password is not said again."""
    ran = inglenook("wake", *words)

    assert (ran.returncode, ran.out) == (returncode, "")
    assert said in ran.err
    assert "hush" not in ran.err


@pytest.mark.parametrize("typed", [b"", b"hush"])
def test_a_password_need_not_stand_on_the_command_line(inglenook: Inglenook, typed: bytes) -> None:
    """It may come in a pipe; and is judged all the same."""
    ran = inglenook("wake", "02:00:00:00:00:01", "--secure-on", "-", stdin=typed)

    assert (ran.returncode, ran.out) == (1, "")
    assert "that is not a SecureOn password" in ran.err


@pytest.mark.slow
@pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("unshare") is None,
    reason="needs root for a network of its own",
)
@pytest.mark.parametrize("name", ["02:00:00:00:00:01", "Attic"])
def test_with_no_network_at_all_nobody_is_called(tmp_path: Path, name: str) -> None:
    """Exit code 1, a sentence, no trace."""
    done = subprocess.run(
        ["unshare", "--net", sys.executable, "-m", "inglenook", "wake", name],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "HOME": str(tmp_path)},
        timeout=40,
        check=False,
    )

    assert (done.returncode, done.stdout) == (1, "")
    assert "no network interface with an address is up" in done.stderr
    assert "Traceback" not in done.stderr
