"""When the log is emptied, and what must not wait for it."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from inglenook.serving.journal import write_ahead_log
from inglenook.serving.response_parts import Change, TextPiece
from tests.serving.journal.test_journal import ANSWER, NOW, change, opened, opening

_HEAD_BYTES = 32


def said(seq: int, text: str = "x" * 3000) -> Change:
    """A piece of text."""
    return change("r1", TextPiece(seq, ANSWER, 0, text))


def head(log: Path) -> bytes:
    """What tells one beginning of the log from the next."""
    return log.read_bytes()[:_HEAD_BYTES]


def test_a_write_at_the_moment_of_copying_does_not_begin_the_log_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be copied and still count as newer; under an old head old pages would count again."""
    log = tmp_path / "journal.db-wal"
    with opened(tmp_path) as (journal, _saved):
        journal.write([opening()], [], NOW)
        end_reading = write_ahead_log._end_reading

        def write_meanwhile(reader: sqlite3.Connection) -> None:
            end_reading(reader)
            journal.write([], [said(1)], NOW)

        with monkeypatch.context() as patched:
            patched.setattr(write_ahead_log, "_end_reading", write_meanwhile)
            journal.checkpoint()
        assert not journal.truncate()
        before = head(log)
        journal.write([], [said(2)], NOW)
        assert head(log) == before

        journal.checkpoint()
        assert journal.truncate()
        journal.write([], [said(3)], NOW)
        assert head(log) != before
    with opened(tmp_path) as (_journal, [saved]):
        assert [piece.seq for piece in saved.pieces] == [1, 2, 3]


@pytest.mark.parametrize("force", [False, True])
def test_nobody_waits_for_another_program_that_reads_the_file(tmp_path: Path, force: bool) -> None:
    """A backup, say: the log is emptied when it is done. SQLite would wait for five seconds."""
    with opened(tmp_path) as (journal, _saved):
        journal.write([opening()], [said(1)], NOW)
        with closing(sqlite3.connect(tmp_path / "journal.db")) as other:
            other.execute("BEGIN")
            other.execute("SELECT * FROM piece").fetchall()
            journal.write([], [said(2)], NOW)
            journal.checkpoint()
            began_s = time.monotonic()
            assert not journal.truncate(force=force)
            assert time.monotonic() - began_s < 2.5
        journal.checkpoint()
        assert journal.truncate()
