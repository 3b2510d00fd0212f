from __future__ import annotations

import dataclasses
import random
import shutil
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pytest

from inglenook.chat.thinking import Channel
from inglenook.common.errors import Code, Problem
from inglenook.engine.orders import ChatMessage, Sampling, StartJob
from inglenook.serving.journal.journal import Journal
from inglenook.serving.journal.moments import Moment
from inglenook.serving.journal.saved import ResponseOpening, SavedResponse
from inglenook.serving.response_parts import Change, Ending, Outcome, Status, TextPiece

ANSWER, THINKING = Channel.ANSWER, Channel.THINKING

SAMPLING = Sampling(0.7, 40, 0.9, 0.05, 1.1, 0.0, 0.0, 64, 7)

NOW = Moment(1_700_000_000.0, 5000.0, "this boot")
LATER = NOW.before(-5)


def opening(
    response_id: str = "r1", device_id: str = "ada", question: str = "Why?"
) -> ResponseOpening:
    """A new response."""
    messages = (ChatMessage("system", "Be kind."), ChatMessage("user", question))
    start = StartJob(0, messages, SAMPLING, 100, ("\n\n",), False)
    return ResponseOpening(response_id, device_id, f"key-{response_id}", "tiny", start)


def change(
    response_id: str,
    *pieces: TextPiece,
    tokens: tuple[int, ...] = (),
    ending: Ending | None = None,
) -> Change:
    """Something added to a response."""
    return Change(response_id, False, pieces, tokens, ending)


@contextmanager
def opened(folder: Path) -> Iterator[tuple[Journal, list[SavedResponse]]]:
    """An open journal in ``folder``, and what it held."""
    journal = Journal(folder / "journal.db")
    saved, _written_at = journal.load()
    try:
        yield journal, saved
    finally:
        journal.close()


def files(folder: Path) -> list[Path]:
    """The journal's own files."""
    return sorted(folder.glob("journal.db*"))


def emptied(journal: Journal) -> None:
    """Have what was forgotten leave the log, too."""
    journal.checkpoint()
    assert journal.truncate()


def raw(folder: Path) -> bytes:
    """Every byte that the journal has on disk."""
    return b"".join(path.read_bytes() for path in files(folder))


def copied(folder: Path, name: str) -> Path:
    """A copy of the files as they are: what a killed process would leave."""
    copy = folder / name
    copy.mkdir()
    for path in files(folder):
        shutil.copyfile(path, copy / path.name)
    return copy


def test_what_was_written_is_read_back_whole(tmp_path: Path) -> None:
    """The order with its question and sampling, text by channel, tokens, and how it ended."""
    problem = Problem(Code.ENGINE_FAILED, "It broke.")
    outcome = Outcome("stop", 10, 5, 2, 0.5, 1.5, 100.0, 8.25, problem)
    ending = Ending(9, Status.FAILED, outcome)
    with opened(tmp_path) as (journal, saved):
        assert saved == []
        journal.write([opening("r1"), opening("r2", "ben")], [], NOW)
        first = TextPiece(1, THINKING, 0, "hm\0é"), TextPiece(2, ANSWER, 0, "a")
        journal.write([], [change("r1", *first, tokens=(1, 2))], NOW)
        second = TextPiece(7, ANSWER, 1, "b")
        journal.write([], [change("r1", second, tokens=(3,), ending=ending)], LATER)
    with opened(tmp_path) as (_journal, saved):
        [one, two] = saved

    # What has ended needs no order any more; the other still has it all.
    assert dataclasses.replace(one.opening, start=opening("r1").start) == opening("r1")
    assert one.opening.start.messages == ()
    assert two.opening == opening("r2", "ben")
    assert one.pieces == (*first, second)
    assert one.tokens == (1, 2, 3)
    assert one.ended_at == LATER
    assert one.ending is not None
    assert str(one.ending.outcome.problem) == str(problem)
    assert one.ending.seq == 9
    assert (one.ending.status, one.ending.outcome.decode_tok_s) == (Status.FAILED, 8.25)
    assert two == SavedResponse(opening("r2", "ben"), (), (), None, None)


def test_a_write_survives_without_a_sync_or_a_close(tmp_path: Path) -> None:
    """What kill -9 leaves behind is all that was written, at any moment."""
    with opened(tmp_path) as (journal, _saved):
        journal.write([opening()], [], NOW)
        for seq in range(1, 30):
            journal.write(
                [], [change("r1", TextPiece(seq, ANSWER, seq - 1, "x"), tokens=(seq,))], NOW
            )
            with opened(copied(tmp_path, str(seq))) as (_copy, [saved]):
                assert len(saved.pieces) == len(saved.tokens) == seq


def test_a_write_is_kept_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    """A change that cannot be kept takes the others of its write with it."""
    bad = TextPiece(2, ANSWER, 1, "\ud800")
    with opened(tmp_path) as (journal, _saved):
        journal.write([opening("r1"), opening("r2")], [], NOW)
        with pytest.raises(UnicodeEncodeError):
            journal.write(
                [opening("r3")],
                [change("r1", TextPiece(1, ANSWER, 0, "a")), change("r2", bad)],
                NOW,
            )
    with opened(tmp_path) as (_journal, saved):
        assert [(item.opening.response_id, item.pieces) for item in saved] == [
            ("r1", ()),
            ("r2", ()),
        ]


def test_a_change_of_a_response_that_was_forgotten_is_not_kept(tmp_path: Path) -> None:
    """An answer of a revoked device may go on for a step."""
    with opened(tmp_path) as (journal, _saved):
        journal.write([opening()], [], NOW)
        journal.forget(["r1", "unknown"])
        journal.write([], [change("r1", TextPiece(1, ANSWER, 0, "secret"))], NOW)
        emptied(journal)
        assert b"secret" not in raw(tmp_path)


def test_only_the_owner_may_read_the_files(tmp_path: Path) -> None:
    """The file, its log and its index: all hold what people said."""
    with opened(tmp_path) as (journal, _saved):
        journal.write([opening()], [], NOW)
        assert [path.name for path in files(tmp_path)] == [
            "journal.db",
            "journal.db-shm",
            "journal.db-wal",
        ]
        assert {stat.S_IMODE(path.stat().st_mode) for path in files(tmp_path)} == {0o600}


def test_permissions_that_were_too_wide_are_narrowed(tmp_path: Path) -> None:
    """A file that was copied back from a backup, say."""
    with opened(tmp_path):
        pass
    (tmp_path / "journal.db").chmod(0o644)
    with opened(tmp_path):
        assert {stat.S_IMODE(path.stat().st_mode) for path in files(tmp_path)} == {0o600}


def test_after_a_close_one_file_is_left(tmp_path: Path) -> None:
    """A clean shutdown leaves nothing to recover."""
    with opened(tmp_path) as (journal, _saved):
        journal.write([opening()], [], NOW)
        journal.sync()

    assert [path.name for path in files(tmp_path)] == ["journal.db"]


@pytest.mark.parametrize("seed", range(6))
def test_what_was_purged_is_in_none_of_its_bytes(tmp_path: Path, seed: int) -> None:
    """Question and answer, in the file, the log and the gaps SQLite leaves when it moves rows."""
    rng = random.Random(seed)
    devices = ("ada", "ben", "cy")
    owners = {f"r{number}": rng.choice(devices) for number in range(9)} | {"r9": "ada"}
    with opened(tmp_path) as (journal, _saved):
        sizes = (5, 50, 3000)
        journal.write(
            [
                opening(response_id, owner, f"secret-{owner}" + "?" * rng.choice(sizes))
                for response_id, owner in owners.items()
            ],
            [],
            NOW,
        )
        for seq in range(1, 80):
            text = [f"secret-{owner}" + "x" * rng.choice(sizes) for owner in owners.values()]
            journal.write(
                [],
                [
                    change(response_id, TextPiece(seq, ANSWER, 0, said), tokens=(1, 2, 3))
                    for response_id, said in zip(owners, text, strict=True)
                    if rng.random() < 0.5
                ],
                NOW,
            )
        assert b"secret-ada" in raw(tmp_path)
        journal.forget([r for r, owner in owners.items() if owner == "ada"], purge=True)
        emptied(journal)

        assert b"secret-ada" not in raw(tmp_path)
        journal.forget([r for r, owner in owners.items() if owner != "ada"])
        emptied(journal)
        assert b"secret" not in raw(tmp_path)
    assert (tmp_path / "journal.db").stat().st_size <= 8 * 1024


def test_forgetting_some_keeps_the_others(tmp_path: Path) -> None:
    """And they go on as before."""
    with opened(tmp_path) as (journal, _saved):
        journal.write([opening("r1"), opening("r2")], [], NOW)
        journal.write([], [change(r, TextPiece(1, ANSWER, 0, r)) for r in ("r1", "r2")], NOW)
        journal.forget(["r1"])
        journal.write([], [change("r2", TextPiece(2, ANSWER, 2, "!"))], NOW)
    with opened(tmp_path) as (_journal, [saved]):
        assert "".join(piece.text for piece in saved.pieces) == "r2!"


def test_it_says_when_it_was_last_written(tmp_path: Path) -> None:
    """So a restarted daemon knows for how long nobody could go on."""
    with opened(tmp_path) as (journal, _saved):
        journal.write([opening()], [], NOW)
        # Too soon after to be worth a page of the card.
        journal.write([], [change("r1", TextPiece(1, ANSWER, 0, "a"))], NOW.before(-4))
    assert last_written(tmp_path) == NOW
    with opened(tmp_path) as (journal, _saved):
        journal.write([], [change("r1", TextPiece(2, ANSWER, 1, "b"))], NOW.before(-9))
    assert last_written(tmp_path) == NOW.before(-9)
    with opened(tmp_path) as (journal, _saved):
        journal.note(NOW.before(-99))
    assert last_written(tmp_path) == NOW.before(-99)


def last_written(folder: Path) -> Moment:
    """What a journal says of that."""
    journal = Journal(folder / "journal.db")
    _saved, last = journal.load()
    journal.close()
    return last


def filled(folder: Path) -> Path:
    """A journal of some size as a killed process leaves it; returns its folder."""
    with opened(folder) as (journal, _saved):
        journal.write([opening(f"r{number}") for number in range(4)], [], NOW)
        for seq in range(1, 60):
            changes = [
                change(f"r{number}", TextPiece(seq, ANSWER, seq - 1, "word "), tokens=(seq,))
                for number in range(4)
            ]
            journal.write([], changes, NOW)
            if seq == 30:
                # Half in the file, half in the log.
                emptied(journal)
        return copied(folder, "killed")


def test_a_torn_log_costs_its_end_only(tmp_path: Path) -> None:
    """Cut at any place, what stands before it is read, and more can be written."""
    killed = filled(tmp_path)
    whole = (killed / "journal.db-wal").read_bytes()
    counts = []
    for size in range(0, len(whole), 997):
        (folder := tmp_path / f"cut{size}").mkdir()
        shutil.copyfile(killed / "journal.db", folder / "journal.db")
        (folder / "journal.db-wal").write_bytes(whole[:size])
        with opened(folder) as (journal, saved):
            counts.append(sum(len(item.pieces) for item in saved))
            journal.write([opening("later")], [], NOW)
    assert counts[0] > 0
    assert counts[-1] > counts[0]
    assert all(later >= earlier for earlier, later in pairwise(counts))


@pytest.mark.parametrize("seed", range(30))
def test_a_damaged_journal_never_keeps_the_daemon_from_starting(tmp_path: Path, seed: int) -> None:
    """Flipped bytes anywhere: it reads what is right or starts afresh, and can be written."""
    killed = filled(tmp_path)
    rng = random.Random(seed)
    for path in (killed / "journal.db", killed / "journal.db-wal"):
        data = bytearray(path.read_bytes())
        for _ in range(rng.choice((1, 3, 40))):
            data[rng.randrange(len(data))] ^= rng.randrange(1, 256)
        path.write_bytes(data)
    (killed / "journal.db-shm").unlink()

    with opened(killed) as (journal, _saved):
        journal.write([opening("later")], [change("later", TextPiece(1, ANSWER, 0, "x"))], NOW)
    with opened(killed) as (_journal, saved):
        assert saved[-1].opening.response_id == "later"


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE piece SET text = x'05' WHERE seq = 1",
        "UPDATE piece SET seq = 'first' WHERE seq = 1",
        "UPDATE piece SET seq = -1 WHERE seq = 1",
        "UPDATE piece SET seq = 1",
        "UPDATE piece SET channel = 'shout'",
        "UPDATE piece SET tokens = x'c1'",
        "UPDATE piece SET text = CAST(x'ff' AS TEXT)",
        "UPDATE response SET start = x'00'",
        "UPDATE response SET response_id = NULL",
        "UPDATE response SET ending = x'90'",
        "UPDATE response SET ending = x'9c01a772756e6e696e67c0000000c0c0c0c0c0a0'",
        "DROP TABLE piece",
        "PRAGMA user_version = 99",
    ],
)
def test_a_journal_with_wrong_content_is_started_afresh(
    tmp_path: Path, statement: str, caplog: pytest.LogCaptureFixture
) -> None:
    """SQLite finds nothing wrong with any of these; reading them must not go on with nonsense."""
    with opened(tmp_path) as (journal, _saved):
        journal.write([opening()], [change("r1", TextPiece(1, ANSWER, 0, "a"), tokens=(1,))], NOW)
        journal.write([], [change("r1", TextPiece(2, ANSWER, 1, "b"))], NOW)
    database = sqlite3.connect(tmp_path / "journal.db")
    # The column has NOT NULL, which damage does not respect.
    database.execute("PRAGMA writable_schema = ON")
    database.execute("UPDATE sqlite_master SET sql = replace(sql, ' NOT NULL', '')")
    database.commit()
    database.close()
    database = sqlite3.connect(tmp_path / "journal.db")
    database.execute(statement)
    database.commit()
    database.close()

    with opened(tmp_path) as (journal, saved):
        assert saved == []
        journal.write([opening()], [], NOW)
    [record] = caplog.records
    assert "started afresh" in record.getMessage()


def test_a_file_that_is_no_database_is_started_afresh(tmp_path: Path) -> None:
    """Whatever put it there."""
    (tmp_path / "journal.db").write_bytes(b"not a database at all" * 100)
    with opened(tmp_path) as (journal, saved):
        assert saved == []
        journal.write([opening()], [], NOW)


def test_a_journal_that_cannot_be_opened_now_is_not_thrown_away(tmp_path: Path) -> None:
    """Its log cannot be made, or the disk is full: that says nothing about what it holds."""
    with opened(tmp_path) as (journal, _saved):
        journal.write([opening()], [], NOW)
    before = (tmp_path / "journal.db").read_bytes()
    (tmp_path / "journal.db-wal").mkdir()
    barred = Journal(tmp_path / "journal.db")
    with pytest.raises(sqlite3.OperationalError):
        barred.load()
    barred.close()

    assert (tmp_path / "journal.db").read_bytes() == before


def test_a_place_where_no_file_can_be_is_an_os_error(tmp_path: Path) -> None:
    """A folder of that name, say."""
    (tmp_path / "journal.db").mkdir()
    with pytest.raises(OSError, match=r"journal\.db"):
        Journal(tmp_path / "journal.db").load()


def test_a_frame_costs_about_a_page_of_the_card(tmp_path: Path) -> None:
    """docs/limits.md says what an hour of streaming writes; this is what it is counted from."""
    with opened(tmp_path) as (journal, _saved):
        journal.write([opening()], [], NOW)
        before = (tmp_path / "journal.db-wal").stat().st_size
        for seq in range(1, 301):
            journal.write(
                [], [change("r1", TextPiece(seq, ANSWER, seq, " words"), tokens=(9,))], NOW
            )
        written = (tmp_path / "journal.db-wal").stat().st_size - before

    assert written / 300 < 1400
