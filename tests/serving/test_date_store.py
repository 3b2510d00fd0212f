"""When conversations began is still known in the daemon's next life, where that is needed."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

from inglenook.engine.orders import ChatMessage
from inglenook.serving import date_store as dating_module
from inglenook.serving.date_store import DateStore
from inglenook.serving.journal.moments import Moment

HI, MORE = ChatMessage("user", "Hi"), ChatMessage("user", "And?")
HELLO = ChatMessage("assistant", "Hello.")

EVENING, NIGHT = Moment(1.8e9, 1000.0, "A"), Moment(1.8e9 + 600, 20.0, "B")

SOON_S = 20.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "prefix" / "dates"


def is_there(path: Path) -> bool:
    return path.exists()


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def content(path: Path) -> bytes:
    return path.read_bytes()


def put(path: Path, data: bytes) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)


def remove(path: Path) -> None:
    path.unlink()


async def dating_at(path: Path | None, moment: Moment, *, needed: bool = True) -> DateStore:
    """One that has read what there is."""
    dating = DateStore(path, lambda: moment)
    dating.needed = needed
    await dating.load()
    return dating


async def test_the_next_life_knows(path: Path) -> None:
    """Only who may read the conversations may read the file, and it says nothing of them."""
    dating = await dating_at(path, EVENING)
    dating.began([HI])
    await dating.write()

    assert (mode(path), mode(path.parent)) == (0o600, 0o700)
    assert b"Hi" not in content(path)
    later = await dating_at(path, NIGHT)
    assert later.began([HI, HELLO, MORE]) == EVENING.wall_s


@pytest.mark.parametrize("needed", [True, False])
async def test_it_is_written_only_where_the_model_is_told_the_date(
    path: Path, needed: bool
) -> None:
    """Cards wear out."""
    dating = await dating_at(path, EVENING, needed=needed)
    dating.began([HI])
    await dating.write()

    assert is_there(path) is needed


async def test_what_is_known_already_is_not_written_again(path: Path) -> None:
    """Each turn is another use of it."""
    dating = await dating_at(path, EVENING)
    dating.began([HI])
    dating.began([HI, HELLO, MORE])
    await dating.write()
    remove(path)
    dating.began([HI, HELLO, MORE])
    await dating.write()

    assert not is_there(path)


@pytest.mark.parametrize(
    "data", [b"", b"\xc1", msgspec.msgpack.encode([["x"]]), b"\x91" * 2**21], ids=str
)
async def test_a_damaged_file_says_nothing(path: Path, data: bytes) -> None:
    """And is replaced by the next."""
    put(path, data)
    dating = await dating_at(path, EVENING)
    assert dating.began([HI, HELLO, MORE]) == EVENING.wall_s
    await dating.write()

    later = await dating_at(path, NIGHT)
    assert later.began([HI, HELLO, MORE]) == EVENING.wall_s


async def test_what_is_forgotten_is_gone_from_the_disk_at_once(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not at the next write: somebody was shut out."""
    monkeypatch.setattr(dating_module, "_WRITE_EVERY_S", 3600.0)
    dating = await dating_at(path, EVENING)
    dating.began([HI])
    await dating.write()
    assert is_there(path)
    async with asyncio.timeout(SOON_S), asyncio.TaskGroup() as tasks:
        running = tasks.create_task(dating.run())
        dating.forget()
        while is_there(path):  # noqa: ASYNC110 a file tells nobody
            await asyncio.sleep(0.005)
        running.cancel()
    assert dating.began([HI, HELLO, MORE]) == EVENING.wall_s


async def test_what_is_new_is_written_in_the_end(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it runs."""
    monkeypatch.setattr(dating_module, "_WRITE_EVERY_S", 0.01)
    dating = await dating_at(path, EVENING)
    async with asyncio.timeout(SOON_S), asyncio.TaskGroup() as tasks:
        running = tasks.create_task(dating.run())
        dating.began([HI])
        while not is_there(path):  # noqa: ASYNC110 a file tells nobody
            await asyncio.sleep(0.005)
        running.cancel()


async def test_a_disk_that_fails_costs_nothing_else(tmp_path: Path) -> None:
    """It is tried again at the next write."""
    put(tmp_path / "prefix", b"")
    dating = await dating_at(tmp_path / "prefix" / "dates", EVENING)
    dating.began([HI])
    await dating.write()
    remove(tmp_path / "prefix")
    await dating.write()

    assert is_there(tmp_path / "prefix" / "dates")


async def test_without_a_file_it_is_known_in_this_life() -> None:
    """``cache.disk: 0`` keeps nothing on disk."""
    dating = await dating_at(None, EVENING)
    dating.began([HI])
    await dating.write()
    assert dating.began([HI, HELLO, MORE]) == EVENING.wall_s
