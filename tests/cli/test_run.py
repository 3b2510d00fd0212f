"""`inglenook up` shows its owner how to begin."""

from __future__ import annotations

import re
import signal
from pathlib import Path

import pytest

from tests.parts.board import virtual_machine
from tests.parts.box import made_box, terminal
from tests.parts.gguf_files import small_model


@pytest.mark.slow
def test_up_says_where_the_page_is_and_how_to_pair(starter_model: Path) -> None:
    """A code that works; once a device is paired it shows none; Ctrl-C ends it with 0.

    No model is named, and the starter is where it would be fetched to.
    """
    with made_box(None) as box:
        (box.state_dir / "models").mkdir(parents=True)
        (box.state_dir / "models" / starter_model.name).symlink_to(starter_model)
        box.write_config()
        with terminal(["up", "--config", str(box.config)], box.environ()) as up:
            up.wait_for("Kitchen is ready.")
            up.wait_for(box.url)
            shown = up.wait_for("lets more devices in.")
            # Without the file that was named it would let a phone into another box.
            assert f"pair --config {box.config}` " in " ".join(shown.split())
            code = re.search(r"[0-9A-Z]{4}-[0-9A-Z]{4}", shown)
            assert code is not None
            reply = box.http("POST", "/pair", body={"code": code[0], "device_name": "Phone"})
            assert reply.status == 200
            up.type("\x03")
            assert up.wait_ended() == 0
        with terminal(["up", "--config", str(box.config)], box.environ()) as again:
            again.wait_for("Kitchen is ready.")
            assert "type the code" not in again.wait_for("Ctrl-C stops the box")
            again.type("\x03")
            assert again.wait_ended() == 0

    assert "Traceback" not in up.shown + again.shown


@pytest.mark.slow
def test_a_terminal_that_is_closed_ends_it() -> None:
    """It would go on unseen otherwise, and keep the ports from the next one."""
    with made_box(None) as box:
        box.write_config()
        with terminal(["run", "--config", str(box.config)], box.environ()) as run:
            run.wait_for("no model")
            run.process.send_signal(signal.SIGHUP)
            assert run.wait_ended() == 0


@pytest.mark.slow
def test_up_says_what_the_model_lacks_if_there_is_no_room_for_it(tmp_path: Path) -> None:
    """It does not wait for ever for an engine that waits for memory."""
    model, board = tmp_path / "model.gguf", virtual_machine(tmp_path / "board")
    model.write_bytes(small_model())
    board.memory(MemAvailable=420 * 1024)
    with made_box(model, {"governor": {"root": str(board.root)}}) as box:
        box.write_config()
        with terminal(["up", "--config", str(box.config)], box.environ()) as up:
            up.wait_for("Kitchen is on, but cannot answer yet.")
            up.wait_for("No answers yet: this model needs")
            up.wait_for("420.0 MiB are free")
            up.type("\x03")
            assert up.wait_ended() == 0
