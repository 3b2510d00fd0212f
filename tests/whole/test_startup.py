"""What keeps a daemon from starting is one clear line, and harms no other that runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.parts.box import Box, made_box, run_inglenook


@pytest.fixture
def second() -> Callable[[dict[str, object]], tuple[int, str]]:
    """Starts another daemon with some settings; returns its exit code and what it said."""

    def start(settings: dict[str, object]) -> tuple[int, str]:
        with made_box(None, settings) as other:
            other.start()
            return other.wait_ended(), other.log()

    return start


def test_a_taken_port_is_named(
    box: Box, second: Callable[[dict[str, object]], tuple[int, str]]
) -> None:
    """Exit code 1, one line; whoever has it goes on."""
    returncode, said = second({"listen": {"port": box.port}})

    assert returncode == 1
    lines = said.strip().splitlines()
    assert len(lines) == 1
    assert f"port {box.port} is taken by another program" in lines[0]
    assert box.health() == 200


def test_a_taken_state_is_named(
    box: Box, second: Callable[[dict[str, object]], tuple[int, str]]
) -> None:
    """Two would each undo what the other writes."""
    returncode, said = second({"state_dir": str(box.state_dir)})

    assert returncode == 1
    lines = said.strip().splitlines()
    assert len(lines) == 1
    assert f"already running, with the state in {box.state_dir}" in lines[0]
    assert box.health() == 200
    assert box.control("POST", "/pair/open")["code"]


@pytest.mark.parametrize("taken", ["file", "below a file"])
def test_a_state_that_cannot_be_is_named(
    second: Callable[[dict[str, object]], tuple[int, str]], tmp_path: Path, taken: str
) -> None:
    """Something else stands in its place."""
    (tmp_path / "state").write_text("")
    path = tmp_path / "state" / ("deeper" if taken == "below a file" else "")

    returncode, said = second({"state_dir": str(path)})

    assert returncode == 1
    assert "state_dir" in said
    assert "Traceback" not in said


def test_a_damaged_device_list_is_named_and_kept(
    second: Callable[[dict[str, object]], tuple[int, str]], tmp_path: Path
) -> None:
    """Rather than a box that knows nobody."""
    devices = tmp_path / "devices.json"
    devices.write_text('{"version": 1, "devices": [')

    returncode, said = second({"state_dir": str(tmp_path)})

    assert returncode == 1
    assert "is damaged" in said
    assert "Traceback" not in said
    assert devices.read_text() == '{"version": 1, "devices": ['


def test_wrong_settings_are_exit_code_78(tmp_path: Path) -> None:
    """All faults at once, nothing else on the screen."""
    config = tmp_path / "config.yaml"
    config.write_text("listen: {port: 99999}\nserving: {queue: none}\nnonsense: 1\n")

    ran = run_inglenook(("run", "--config", str(config)), {"HOME": str(tmp_path)})

    assert (ran.returncode, ran.out) == (78, "")
    assert len(ran.err.splitlines()) == 3
