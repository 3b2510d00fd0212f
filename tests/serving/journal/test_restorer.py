"""What outlasts a daemon, or a journal: from a desk's point of view."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from inglenook.serving import response_lifecycle as lifecycle_module
from inglenook.serving.dispatcher import Dispatcher
from inglenook.serving.journal import access as access_module
from inglenook.serving.journal import recorder as recorder_module
from inglenook.serving.journal.moments import Moment, read_moment
from inglenook.serving.response import Response
from inglenook.serving.response_parts import Status
from inglenook.serving.settings import ServingSettings
from tests.fakes.engine import FakeEngine
from tests.serving.journal.test_journal import files
from tests.serving.journal.test_recorder import full_disk
from tests.serving.test_dispatcher import (
    ALPHABET,
    answer,
    ask,
    eventually,
    killed,
    open_desk,
    read_back,
    until,
    until_over,
    until_shown,
)

YEAR_S = 3.2e7


@pytest.fixture(autouse=True)
def tried_at_each_question(monkeypatch: pytest.MonkeyPatch) -> None:
    """A journal that failed is tried again at once when somebody asks."""
    monkeypatch.setattr(access_module, "_RETRY_ASKED_S", 0.0)


async def opened_response(desk: Dispatcher, device: str, key: str, **fields: Any) -> Response:
    """Ask, and wait until the journal had its chance."""
    response = desk.submit(device, ask(**fields), key)
    await until(response, lambda: response.opened)
    return response


async def test_when_the_disk_has_room_again_every_answer_survives_a_kill(tmp_path: Path) -> None:
    """Those that ran, waited, ended or were asked while nothing could be kept: whole, once."""
    engine = FakeEngine()
    async with open_desk(engine, tmp_path, max_active=2) as desk:
        early = await opened_response(desk, "ada", "early")
        short = await opened_response(desk, "ben", "short", max_tokens=3)
        waiting = await opened_response(desk, "cy", "waiting")
        engine.step(2)
        await until_shown(early, "ab")
        with full_disk():
            engine.step(2)
            await until_over(short)
            await until_shown(early, "abcd")
            late = await opened_response(desk, "dee", "late", max_tokens=5)
            assert desk.journal_error
            engine.step(3)
            await until_shown(early, "abcdefg")
        # This question finds that there is room again.
        last = await opened_response(desk, "eve", "last", max_tokens=2)
        assert desk.journal_error is None
        asked = {"early": early, "short": short, "waiting": waiting, "late": late, "last": last}
        copies = [(killed(tmp_path, "at once"), seen(asked))]
        engine.step(2)
        await until_shown(early, "abcdefghi")
        copies.append((killed(tmp_path, "later"), seen(asked)))
        for response in asked.values():
            desk.cancel(response)
        engine.step()
    for copy, texts in copies:
        await check_next_life(copy, texts)


Seen = dict[str, tuple[str, str, int]]


def seen(asked: dict[str, Response]) -> Seen:
    """What phones have: whose, the text and the last number, by key."""
    return {key: (r.device_id, answer(r), r.last_seq) for key, r in asked.items()}


async def check_next_life(folder: Path, texts: Seen) -> None:
    """Nothing that was seen is lost, cut or said again, and every answer comes to its end."""
    engine = FakeEngine()
    async with open_desk(engine, folder, max_active=2) as desk:
        ends = {"short": "abc", "late": "abcde", "last": "ab"}
        for key, (device, text, seq) in texts.items():
            response = desk.submit(device, ask("another question"), key)
            assert answer(response) == text
            assert response.cut_for(seq) is None
        engine.step(99)
        for key, (device, text, _seq) in texts.items():
            response = desk.submit(device, ask("another question"), key)
            await until_over(response)
            assert answer(response) == ends.get(key, ALPHABET)
            assert answer(response).startswith(text)


async def test_a_minute_after_the_disk_has_room_again_answers_are_kept_though_nobody_asks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A long answer is safe again before its end."""
    monkeypatch.setattr(access_module, "RETRY_EVERY_S", 0.02)
    engine = FakeEngine()
    async with open_desk(engine, tmp_path) as desk:
        response = await opened_response(desk, "ada", "key")
        with full_disk():
            engine.step(3)
            await until_shown(response, "abc")
            await eventually(lambda: desk.journal_error)
        await eventually(lambda: desk.journal_error is None)
        [saved] = await asyncio.to_thread(read_back, killed(tmp_path, "copy"))
        desk.cancel(response)
        engine.step()
    assert "".join(piece.text for piece in saved.pieces) == "abc"
    assert saved.tokens == (0, 1, 2)


async def test_what_could_not_be_read_at_the_start_is_brought_back_later(tmp_path: Path) -> None:
    """The disk was full, say, when the box was started: what it held was true all the time."""
    engine = FakeEngine()
    async with open_desk(engine, tmp_path) as desk:
        before = await opened_response(desk, "ada", "before")
        engine.step(3)
        await until_shown(before, "abc")
    (barrier := tmp_path / "journal.db-wal").mkdir()
    engine = FakeEngine()
    async with open_desk(engine, tmp_path) as desk:
        assert desk.find("ada", before.response_id) is None
        meanwhile = await opened_response(desk, "ben", "meanwhile", max_tokens=2)
        barrier.rmdir()
        await opened_response(desk, "cy", "asked", max_tokens=1)
        back = desk.find("ada", before.response_id)
        assert back is not None
        assert answer(back) == "abc"
        engine.step(30)
        await until_over(back, meanwhile)
        assert answer(back) == ALPHABET
        kept = await asyncio.to_thread(read_back, killed(tmp_path, "copy"))
    assert {saved.opening.device_id for saved in kept} == {"ada", "ben", "cy"}


async def test_a_journal_damaged_under_way_is_written_anew(tmp_path: Path) -> None:
    """What it lost is in memory."""
    engine = FakeEngine()
    async with open_desk(engine, tmp_path) as desk:
        response = await opened_response(desk, "ada", "key")
        engine.step(2)
        await until_shown(response, "ab")
        with full_disk():
            engine.step()
            await until_shown(response, "abc")
        await eventually(lambda: desk.journal_error)
        await asyncio.to_thread(spoil, tmp_path)
        await opened_response(desk, "ben", "next")
        [saved, _next] = await asyncio.to_thread(read_back, killed(tmp_path, "copy"))
        engine.step(30)
        await until_over(response)
    assert "".join(piece.text for piece in saved.pieces) == "abc"


def spoil(folder: Path) -> None:
    """Put files that are no database in place of the journal's.

    Those may still be mapped: to shorten one would end this process by SIGBUS.
    """
    for path in files(folder):
        spoilt = path.with_suffix(".spoilt")
        spoilt.write_bytes(b"\xff" * 4096)
        spoilt.rename(path)


@pytest.mark.parametrize("jump_s", [-YEAR_S, 5.0, YEAR_S])
async def test_a_clock_that_jumps_between_two_lives_ages_no_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jump_s: float
) -> None:
    """Finished or not: a board without a battery clock is set minutes after its start."""
    engine = FakeEngine()
    async with open_desk(engine, tmp_path) as desk:
        finished = await opened_response(desk, "ada", "finished", max_tokens=1)
        unfinished = await opened_response(desk, "ada", "unfinished")
        engine.step(3)
        await until_over(finished)
        await until_shown(unfinished, "abc")
    for module in (lifecycle_module, recorder_module):
        monkeypatch.setattr(module, "read_moment", partial(jumped, jump_s))
    engine = FakeEngine()
    async with open_desk(engine, tmp_path) as desk:
        back = desk.find("ada", finished.response_id)
        assert back is not None
        assert answer(back) == "a"
        back = desk.find("ada", unfinished.response_id)
        assert back is not None
        engine.step(30)
        await until_over(back)
        assert answer(back) == ALPHABET


def jumped(jump_s: float, *, later_s: float = 0.0) -> Moment:
    """Now, on a board whose clock was set by so much."""
    now = read_moment()
    return Moment(now.wall_s + jump_s + later_s, now.boottime_s + later_s, now.boot_id)


async def test_what_is_old_by_the_clock_that_did_not_jump_is_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though the date says that it has just been."""
    async with open_desk(FakeEngine(), tmp_path) as desk:
        unfinished = await opened_response(desk, "ada", "unfinished")
    for module in (lifecycle_module, recorder_module):
        monkeypatch.setattr(module, "read_moment", partial(jumped, -700.0, later_s=700.0))
    async with open_desk(FakeEngine(), tmp_path, ServingSettings(resume_ttl_s=600.0)) as desk:
        assert desk.find("ada", unfinished.response_id) is None


async def test_an_answer_that_waits_in_silence_is_not_too_old_for_the_next_life(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The journal notes that there was a daemon, though it has nothing to write."""
    monkeypatch.setattr(recorder_module, "_NOTE_PART", 0.0)
    engine = FakeEngine()
    async with open_desk(engine, tmp_path) as desk:
        response = await opened_response(desk, "ada", "key")
        engine.step(2)
        await until_shown(response, "ab")
        first = noted(tmp_path)
        await eventually(lambda: noted(tmp_path) > first)
        assert response.status is Status.RUNNING
        desk.cancel(response)
        engine.step()


def noted(folder: Path) -> float:
    """When the journal says it was last written, seconds since the boot."""
    with closing(sqlite3.connect(folder / "journal.db")) as database:
        [boottime_s] = database.execute("SELECT boottime FROM written").fetchone()
        return float(boottime_s)


async def test_a_journal_of_the_version_before_is_taken_over(tmp_path: Path) -> None:
    """An update in the middle of an answer costs nothing."""
    engine = FakeEngine()
    async with open_desk(engine, tmp_path) as desk:
        finished = await opened_response(desk, "ada", "finished", max_tokens=1)
        unfinished = await opened_response(desk, "ada", "unfinished")
        engine.step(3)
        await until_over(finished)
        await until_shown(unfinished, "abc")
    await asyncio.to_thread(make_older, tmp_path)
    engine = FakeEngine()
    async with open_desk(engine, tmp_path) as desk:
        back = desk.find("ada", unfinished.response_id)
        assert back is not None
        engine.step(30)
        await until_over(back)
        assert answer(back) == ALPHABET
        assert desk.find("ada", finished.response_id) is not None


def make_older(folder: Path) -> None:
    """Put a journal back to version 1, as the release before wrote it."""
    with closing(sqlite3.connect(folder / "journal.db", isolation_level=None)) as database:
        for column in ("ended_boottime", "ended_boot", "model_id"):
            database.execute(f"ALTER TABLE response DROP COLUMN {column}")
        database.execute("DROP TABLE written")
        database.execute("PRAGMA user_version = 1")


async def test_the_order_that_is_written_anew_is_the_one_that_was_asked(tmp_path: Path) -> None:
    """Question, sampling and bounds, without the attempts it took meanwhile."""
    engine = FakeEngine()
    async with open_desk(engine, tmp_path) as desk:
        response = await opened_response(desk, "ada", "key", max_tokens=9, temperature=0.3)
        [first] = await asyncio.to_thread(read_back, killed(tmp_path, "first"))
        engine.step(2)
        await until_shown(response, "ab")
        with full_disk():
            engine.step()
            await until_shown(response, "abc")
        engine.die()
        engine.come_back()
        await opened_response(desk, "ben", "next")
        [again, _next] = await asyncio.to_thread(read_back, killed(tmp_path, "again"))
        engine.step(30)
        await until_over(response)
    assert again.opening == first.opening
