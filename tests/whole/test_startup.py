"""What keeps a daemon from starting is one clear line, and harms no other that runs."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed

from inglenook.auth.tokens import mint
from tests.parts.box import Box, made_box, run_inglenook
from tests.parts.phone import connected, knocking


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


async def test_a_damaged_device_list_is_named_and_kept() -> None:
    """The box runs; phones it cannot know are not told that they are unknown, and keep tokens."""
    with made_box(None) as box:
        box.state_dir.mkdir(parents=True)
        devices = box.state_dir / "devices.json"
        devices.write_text('{"version": 1, "devices": [')
        box.start()
        await asyncio.to_thread(box.wait, box.health, "it does not serve", 30.0)

        assert "devices.json is damaged" in box.log()
        assert "Traceback" not in box.log()
        async with knocking(box.url) as phone:
            with pytest.raises(ConnectionClosed):
                await phone.authenticate(mint(os.urandom).token)
            assert await phone.wait_closed() == 1011
        reply = await asyncio.to_thread(box.http, "GET", "/v1/state", token=mint(os.urandom).token)
        assert (reply.status, reply.code) == (500, "internal")
        assert devices.read_text() == '{"version": 1, "devices": ['

        token = await asyncio.to_thread(box.pair, "Anna")

        assert devices.with_name("devices.json.damaged").read_text().endswith("[")
        async with connected(box.url, token), knocking(box.url) as other:
            answer = await other.authenticate(mint(os.urandom).token)
            assert answer["code"] == "not_paired"


def test_wrong_settings_are_exit_code_78(tmp_path: Path) -> None:
    """All faults at once, nothing else on the screen."""
    config = tmp_path / "config.yaml"
    config.write_text("listen: {port: 99999}\nserving: {queue: none}\nnonsense: 1\n")

    ran = run_inglenook(("run", "--config", str(config)), {"HOME": str(tmp_path)})

    assert (ran.returncode, ran.out) == (78, "")
    assert len(ran.err.splitlines()) == 3
