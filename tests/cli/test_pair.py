"""`inglenook pair` shows a code, waits, and tells who came in."""

from __future__ import annotations

import re
import signal
import time
from pathlib import Path

import pytest

from tests.parts.box import Box, Terminal, run_inglenook, terminal

CODE = re.compile(r"[0-9A-Z]{4}-[0-9A-Z]{4}")


def shown_code(pairing: Terminal) -> str:
    text = pairing.wait_for("It works once")
    match = CODE.search(text)
    assert match is not None
    return match[0]


def pairing_at(box: Box, *options: str) -> tuple[list[str], dict[str, str]]:
    return ["pair", *options, "--config", str(box.config)], box.environ()


def test_a_phone_that_comes_in_is_named(box: Box) -> None:
    """Exit code 0; the code shown is the one that works."""
    with terminal(*pairing_at(box)) as pairing:
        body = {"code": shown_code(pairing), "device_name": "Carol's phone"}
        reply = box.http("POST", "/pair", body=body)
        shown = pairing.wait_for(").")

        assert pairing.wait_ended() == 0
    assert f"Carol's phone is paired ({reply.json()['device_id']})" in shown
    assert box.url in pairing.shown


def test_the_owner_may_name_it_beforehand(box: Box) -> None:
    """Whatever the phone calls itself."""
    with terminal(*pairing_at(box, "--name", "Grandma's")) as pairing:
        box.http("POST", "/pair", body={"code": shown_code(pairing), "device_name": "iPhone"})

        pairing.wait_for("Grandma's is paired")
        assert pairing.wait_ended() == 0


@pytest.mark.slow
def test_a_strangers_wrong_codes_do_not_end_the_wait(box: Box) -> None:
    """However many; the phone with the right one comes in."""
    with terminal(*pairing_at(box)) as pairing:
        code = shown_code(pairing)
        for _ in range(6):
            box.http("POST", "/pair", body={"code": "0000-0000"}, source="127.0.0.2")
        box.http("POST", "/pair", body={"code": code, "device_name": "Dora"})

        pairing.wait_for("Dora is paired")
        assert pairing.wait_ended() == 0


def test_another_window_ends_the_wait(box: Box) -> None:
    """Exit code 1, and what to do."""
    with terminal(*pairing_at(box)) as pairing:
        shown_code(pairing)
        box.pairing_code()

        assert pairing.wait_ended() == 1
    assert "no device has paired" in pairing.shown


def test_ctrl_c_ends_it_quietly(box: Box) -> None:
    """As a shell expects: 128 + SIGINT, and no trace."""
    with terminal(*pairing_at(box)) as pairing:
        shown_code(pairing)
        pairing.type("\x03")

        assert pairing.wait_ended() == 128 + signal.SIGINT
    assert "Traceback" not in pairing.shown


@pytest.mark.parametrize("name", ["", "\x1b[31m", "x" * 65])
def test_a_name_that_will_not_do_is_a_sentence(box: Box, name: str) -> None:
    """Exit code 1 before a window is opened."""
    ran = box.run("pair", "--name", name)

    assert (ran.returncode, ran.out) == (1, "")
    assert "printable" in ran.err


def test_without_a_daemon_it_says_how_to_start_one(tmp_path: Path) -> None:
    """Exit code 1, at once."""
    config = tmp_path / "config.yaml"
    config.write_text(f"state_dir: {tmp_path}\n")
    began_at = time.monotonic()

    ran = run_inglenook(("pair", "--config", str(config)), {"HOME": str(tmp_path)})

    assert (ran.returncode, ran.out) == (1, "")
    assert "`inglenook up`" in ran.err
    assert time.monotonic() - began_at < 10
