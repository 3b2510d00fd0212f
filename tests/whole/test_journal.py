"""What the real daemon keeps on disk, and what becomes of it; real model, real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import sqlite3
import stat
from pathlib import Path

import psutil
import pytest

from benchmarks.follower import Follower, whole_text
from benchmarks.scenarios import power_cuts
from tests.parts.box import Box, running_box
from tests.parts.phone import chat, connected, long_chat
from tests.parts.starter import CAPITAL
from tests.whole.conftest import ENDLESS_TOKENS, TokensIn

NAMES = ("journal.db", "journal.db-shm", "journal.db-wal")


def raw(box: Box) -> bytes:
    """Every byte of the journal."""
    paths = [box.state_dir / name for name in NAMES]
    return b"".join(path.read_bytes() for path in paths if path.exists())


async def test_a_power_cut_rewinds_phones_and_their_answers_go_on(
    fresh_box: Box, tokens_in: TokensIn
) -> None:
    """The journal as it was some frames ago: phones cut their text, and get a whole answer."""
    tally = await power_cuts(fresh_box, 1, tokens=tokens_in(1.5))

    assert tally.good, tally


async def test_only_the_owner_of_the_box_may_read_the_journal(box: Box, token: str) -> None:
    """All three files, while an answer is written."""
    async with connected(box.url, token) as phone:
        answer = await phone.begin(long_chat(20))
        modes = {stat.S_IMODE((box.state_dir / name).stat().st_mode) for name in NAMES}
        await phone.finish(answer)
    assert modes == {0o600}


@pytest.mark.parametrize("damage", ["torn log", "no database"])
async def test_a_damaged_journal_costs_no_more_than_what_it_held(
    fresh_box: Box, damage: str, tokens_in: TokensIn
) -> None:
    """Devices stay paired, new questions are answered, and what is still known goes on."""
    token = fresh_box.pair("Ada's phone")
    phone = Follower(fresh_box.url, token, long_chat(tokens_in(1.5)))
    await phone.follow(lambda told: told.frames >= 4)
    assert not phone.told.over
    await asyncio.to_thread(fresh_box.kill)
    log = fresh_box.state_dir / "journal.db-wal"
    if damage == "torn log":
        log.write_bytes(log.read_bytes()[:-1500])
    else:
        # All of it: the log alone would be enough to bring the file back.
        log.write_bytes(b"\xff" * 4096)
        (fresh_box.state_dir / "journal.db").write_bytes(b"\xff" * 4096)
    await asyncio.to_thread(fresh_box.restart)
    async with connected(fresh_box.url, token) as other:
        fresh = await other.ask(chat(CAPITAL, max_tokens=20, temperature=0))
    assert "Paris" in fresh.text
    told = await phone.follow()
    assert not told.breaches
    if damage == "torn log":
        assert told.text == await whole_text(fresh_box.url, token, told.response_id)
    else:
        assert told.gone
        assert "started afresh" in fresh_box.log()


async def test_a_revoked_devices_words_are_in_no_byte_of_the_journal(box: Box) -> None:
    """Questions, answers and their copies: gone within seconds."""
    token = box.add_device("Lodger")
    async with connected(box.url, token) as phone:
        await phone.ask(chat("My secret word is xyzzyplugh.", max_tokens=5))
        # Long enough for the daemon to have seen its device on the list.
        answer = await phone.begin(
            chat("Say xyzzyplugh.", max_tokens=1900, ignore_eos=True, temperature=0), deltas=16
        )
        assert b"xyzzyplugh" in raw(box)
        revoked = await asyncio.to_thread(box.run, "devices", "revoke", "Lodger")
        assert revoked.returncode == 0, revoked.err
        assert await phone.wait_closed() == 4401
    assert answer.done is None
    await asyncio.to_thread(
        box.wait, lambda: b"xyzzyplugh" not in raw(box), "the text is still there", 20.0
    )


async def test_a_full_disk_is_told_once_and_answers_go_on(fresh_box: Box) -> None:
    """The journal is what can be done without."""
    token = fresh_box.pair("Ada's phone")
    limit_bytes = 64 * 1024
    before = fresh_box.log().count("no longer kept on disk")
    async with connected(fresh_box.url, token) as phone:
        wal_bytes = (fresh_box.state_dir / "journal.db-wal").stat().st_size
        assert wal_bytes < limit_bytes
        limits = (wal_bytes + 2048, resource.RLIM_INFINITY)
        # The log is a file too: its lines go on being written only while it is the shorter one.
        if len(fresh_box.log()) + 1000 > limits[0]:
            limits = (limit_bytes, resource.RLIM_INFINITY)
        psutil.Process(fresh_box.pid).rlimit(psutil.RLIMIT_FSIZE, limits)
        answers = [await phone.generate(long_chat(40)) for _ in range(3)]
        await phone.finish(*answers)
    assert all(answer.done and answer.done["status"] == "incomplete" for answer in answers)
    await asyncio.to_thread(fresh_box.restart)
    assert fresh_box.log().count("no longer kept on disk") == before + 1


async def test_without_a_journal_nothing_is_on_disk_and_a_stop_ends_answers(
    starter_model: Path,
) -> None:
    """``serving.journal: false``: phones are told that the box is shutting down."""
    serving = {"journal": False, "unread_grace": "1s"}
    with running_box(starter_model, {"serving": serving}) as box:
        token = box.pair("Ada's phone")
        async with connected(box.url, token) as phone:
            left = await phone.begin(long_chat(1900))
        await asyncio.to_thread(
            box.wait_log, f"answer {left.response_id} is cancelled: nobody reads it"
        )
        await asyncio.to_thread(box.wait_log, f"answer {left.response_id} device=.* end=cancelled")
        async with connected(box.url, token) as phone:
            answer = await phone.begin(long_chat(ENDLESS_TOKENS))
            code, _ = await asyncio.gather(phone.wait_closed(), asyncio.to_thread(box.stop))
            assert code == 1012
        assert answer.done is not None
        assert answer.done["error"]["code"] == "shutting_down"
        assert not (box.state_dir / "journal.db").exists()


async def test_a_device_shut_out_while_the_box_was_off_leaves_nothing(
    fresh_box: Box,
) -> None:
    """Nobody was there to hear of it; the next life removes what belonged to it."""
    token = await asyncio.to_thread(fresh_box.pair, "Eve's phone")
    async with connected(fresh_box.url, token) as phone:
        await phone.ask(long_chat(12))
    await asyncio.to_thread(fresh_box.stop)
    assert rows(fresh_box.state_dir / "journal.db") > 1
    ran = await asyncio.to_thread(fresh_box.run, "devices", "revoke", "Eve's phone")
    assert ran.returncode == 0
    await asyncio.to_thread(fresh_box.restart)
    await asyncio.to_thread(fresh_box.stop)

    assert rows(fresh_box.state_dir / "journal.db") == 0


def rows(journal: Path) -> int:
    """How much stands in a journal that nobody uses."""
    with contextlib.closing(sqlite3.connect(journal)) as database:
        query = "SELECT (SELECT count(*) FROM response) + (SELECT count(*) FROM piece)"
        count: int = database.execute(query).fetchone()[0]
        return count
