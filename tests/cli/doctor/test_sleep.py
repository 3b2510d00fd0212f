"""What `inglenook doctor` says of sleep where there is no logind, and when it tries it.

With a logind: tests/system/test_logind.py.
"""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path

import pytest

from inglenook.cli import main
from inglenook.cli.doctor.result import Verdict
from inglenook.cli.doctor.sleep import sleep_lines
from inglenook.config import Config, load_config
from tests.cli.conftest import Inglenook
from tests.parts.board import Board

OK, WARNING = Verdict.OK, Verdict.WARNING
KERNEL = os.uname().release


@pytest.fixture(autouse=True)
def _no_bus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={tmp_path}/bus")


@pytest.fixture
def board(tmp_path: Path, config: Path) -> Board:
    """A board that can sleep, and settings by which the box runs on it."""
    (tmp_path / "state").mkdir()
    board = Board(tmp_path / "root")
    board.write("sys/power/state", "freeze mem disk")
    board.write("sys/class/rtc/rtc0/since_epoch", 1000)
    board.write("sys/class/rtc/rtc0/wakealarm", "")
    board.write("proc/device-tree/model", "Kitchen Board\0")
    config.write_text(f"{config.read_text()}governor: {{root: {board.root}}}\n")
    return board


def said(config: Path) -> dict[str, tuple[Verdict, str]]:
    return {line.what: (line.verdict, line.text) for line in sleep_lines(settings(config))}


def settings(config: Path) -> Config:
    return load_config(config, {})


def suspend_after(config: Path) -> None:
    config.write_text(f"{config.read_text()}power: {{suspend_after: 1h}}\n")


def card(board: Board, name: str, mac: str, wakeup: str | None = None) -> None:
    files = {"address": mac, "type": "1", "operstate": "up", "device/uevent": ""}
    for file, text in files.items():
        board.write(f"sys/class/net/{name}/{file}", text)
    if wakeup is not None:
        board.write(f"sys/class/net/{name}/device/power/wakeup", wakeup)


def test_a_board_that_cannot_sleep_needs_nothing(board: Board, config: Path) -> None:
    """It is none the worse for it: neither logind nor a card that wakes it is missed."""
    board.write("sys/power/state", "freeze")
    card(board, "eth0", "dc:a6:32:01:02:03", "disabled")

    lines = said(config)

    assert set(lines) == {"suspend", "logind"}
    assert lines["suspend"][1].startswith("this board cannot; idle, it unloads the model")
    assert {verdict for verdict, _text in lines.values()} == {OK}


def test_a_setting_that_does_nothing_is_worth_knowing(board: Board, config: Path) -> None:
    """On a board that cannot sleep, and on one that was not tested."""
    suspend_after(config)
    assert said(config)["suspend test"] == (
        WARNING,
        "whether it wakes up again is not known; `sudo inglenook doctor --suspend-test` tries it;"
        " until then, power.suspend_after does nothing",
    )

    board.write("sys/power/state", "freeze")
    verdict, text = said(config)["suspend"]
    assert (verdict, "power.suspend_after does nothing" in text) == (WARNING, True)


def test_a_missing_logind_matters_where_the_board_can_sleep(board: Board, config: Path) -> None:
    """Somebody else may suspend it in the middle of an answer."""
    lines = said(config)

    assert lines["logind"] == (
        WARNING,
        "nothing holds off sleep while the box answers: no system bus (D-Bus) runs here, as in"
        " most containers",
    )
    assert lines["suspend"][0] is WARNING


@pytest.mark.parametrize(
    ("kernel", "ok", "words"),
    [
        (KERNEL, "true", "on 2026-11-20 it woke up after 58.3 s"),
        (KERNEL, "false", "on 2026-11-20 it did not wake up as it should; `sudo inglenook"),
        ("6.1.0-rockchip", "true", "it woke up on 2026-11-20, with another kernel or board; try"),
    ],
)
def test_the_latest_test_is_told(
    board: Board, config: Path, tmp_path: Path, kernel: str, ok: str, words: str
) -> None:
    """With its day, and what to do if it counts no longer."""
    at = "2026-11-20T21:04:00+00:00"
    (tmp_path / "state/suspend-test.json").write_text(
        '{"version": 1, "test": {"board": "Kitchen Board", "slept_s": 58.3,'
        f' "kernel": "{kernel}", "at": "{at}", "ok": {ok}}}}}'
    )

    verdict, text = said(config)["suspend test"]

    assert verdict is OK
    assert text.startswith(words)


def test_each_card_says_whether_it_wakes_the_board(board: Board, config: Path) -> None:
    """Wired ones only; a bridge that shows a card's address is none."""
    card(board, "enp1s0", "dc:a6:32:01:02:03", "enabled")
    card(board, "enp2s0", "dc:a6:32:01:02:04", "disabled")
    card(board, "enp3s0", "dc:a6:32:01:02:05")
    card(board, "wlan0", "dc:a6:32:01:02:06", "enabled")
    board.write("sys/class/net/wlan0/phy80211/name", "phy0")
    board.write("sys/class/net/br0/address", "dc:a6:32:01:02:03")

    lines = said(config)

    assert lines["waking by enp1s0"][0] is OK
    assert "dc:a6:32:01:02:03" in lines["waking by enp1s0"][1]
    assert lines["waking by enp2s0"][0] is WARNING
    assert "not armed" in lines["waking by enp2s0"][1]
    assert lines["waking by enp3s0"] == (WARNING, "this card cannot wake the board")
    assert not {"waking by wlan0", "waking by br0", "waking"} & set(lines)


def test_without_a_wired_card_nothing_can_wake_it(board: Board, config: Path) -> None:
    """Wi-Fi cards cannot, or not to be relied upon."""
    assert said(config)["waking"][0] is WARNING


def test_doctor_has_these_lines(inglenook: Inglenook, board: Board) -> None:
    """Among the others."""
    assert "\nwarning\tlogind\tnothing holds off sleep" in inglenook("doctor").out


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("sys/power/state", "the kernel cannot suspend this board"),
        ("sys/class/rtc/rtc0/wakealarm", "this board has no clock that could wake it"),
    ],
)
def test_nobody_is_asked_about_a_test_that_cannot_be(
    inglenook: Inglenook, board: Board, path: str, words: str
) -> None:
    """The reason is a sentence."""
    board.remove(path)

    ran = inglenook("doctor", "--suspend-test")

    assert ran.returncode == 1
    assert ran.err.startswith(f"inglenook: {words}")
    assert ran.err.count("\n") == 1


@pytest.mark.usefixtures("board")
def test_a_script_must_say_that_it_means_it(inglenook: Inglenook) -> None:
    """With --yes, it gets as far as there is a logind."""
    unasked = inglenook("doctor", "--suspend-test")
    meant = inglenook("doctor", "--suspend-test", "--yes")

    assert (unasked.returncode, meant.returncode) == (1, 1)
    assert "give --yes" in unasked.err
    assert meant.err.startswith("inglenook: no system bus (D-Bus) runs here")


@pytest.mark.usefixtures("board")
@pytest.mark.parametrize(
    ("typed", "words"),
    [("\n", "stays awake"), ("no\n", "stays awake"), ("y\n", "no system bus")],
)
def test_people_are_asked_first(
    config: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    typed: str,
    words: str,
) -> None:
    """The default is no."""
    keyboard, terminal = os.openpty()
    with os.fdopen(keyboard, "wb") as keys, os.fdopen(terminal, "rb") as typing:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(typing))
        keys.write(typed.encode())
        keys.flush()

        returncode = main(["doctor", "--suspend-test", "--config", str(config)])

    asked, _, after = capsys.readouterr().err.partition("Go on? [y/N] ")
    assert "everybody who is connected to it has to wait" in asked
    assert (returncode, words in after) == (1, True)
