"""A state folder on a file system of its own, which is filled up and has room again."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from benchmarks.follower import Follower, counting, whole_text
from tests.parts.box import Box, made_box
from tests.parts.phone import long_chat

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]

SOON_S = 60.0

_SIZE = "8m"


@pytest.fixture
def box(starter_model: Path) -> Iterator[Box]:
    """A daemon whose state folder has 8 MiB."""
    with made_box(starter_model) as box:
        box.state_dir.mkdir()
        with mounted(box.state_dir):
            box.start()
            box.wait_ready()
            try:
                yield box
            finally:
                box.give_up()


@contextmanager
def mounted(folder: Path) -> Iterator[None]:
    """A small file system there, until the end of the block."""
    words = ("mount", "-t", "tmpfs", "-o", f"size={_SIZE},mode=0700", "tmpfs", folder)
    subprocess.run(words, check=True)
    try:
        yield
    finally:
        subprocess.run(("umount", folder), check=True)


def fill(folder: Path) -> None:
    """Leave no byte free."""
    with suppress(OSError), (folder / "filler").open("wb", buffering=0) as file:
        while True:
            file.write(bytes(64 * 1024))
    with suppress(OSError), (folder / "filler").open("ab", buffering=0) as file:
        while True:
            file.write(b"\0")


def free(folder: Path) -> None:
    """Have room again."""
    (folder / "filler").unlink()


async def test_a_full_file_system_that_has_room_again_loses_nothing(box: Box) -> None:
    """Filled in the middle of an answer, freed, asked again, killed: resumed, it is whole."""
    token = box.pair("Ada's phone")
    # So long that it is still being written when the disk has filled up and has room again.
    phone = Follower(box.url, token, long_chat(1500))
    async with asyncio.TaskGroup() as tasks:
        following = tasks.create_task(phone.follow(), name="phone")
        await _until_frames(phone, 3)
        await asyncio.to_thread(fill, box.state_dir)
        await asyncio.to_thread(
            box.wait, lambda: box.state()["journal_error"], "the journal never failed", SOON_S
        )
        await _until_frames(phone, phone.told.frames + 3)
        await asyncio.to_thread(free, box.state_dir)
        await Follower(box.url, token, counting(2)).follow()
        await asyncio.to_thread(
            box.wait, lambda: not box.state()["journal_error"], "it stayed so", SOON_S
        )
        assert not phone.told.over, "too short for this machine"
        seen = phone.told.text
        await asyncio.to_thread(box.kill)
        box.start()
        await following
    told = phone.told
    assert told.text.startswith(seen)
    assert (told.breaches, told.rewinds, told.gone) == ([], 0, False)
    assert told.text == await whole_text(box.url, token, told.response_id)
    assert "database or disk is full" in box.log()


async def _until_frames(phone: Follower, frames: int) -> None:
    async with asyncio.timeout(SOON_S):
        while phone.told.frames < frames:  # noqa: ASYNC110 phones tell nobody
            await asyncio.sleep(0.01)
