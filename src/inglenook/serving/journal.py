"""Answers on disk: what phones have been shown, and what it takes to go on. Kind: hands.

A SQLite file in WAL mode. A write is a system call and no more: it survives the death of this
process, however sudden, but not that of the machine until `Journal.sync`.

No write may wait for the card. SQLite's usual way to empty its log would: a commit that finds it
long enough copies it into the file, with two syncs, and the first commit after every such copy
syncs the log's new head. So the writing connection never syncs and never copies. Another one
copies, in another thread, and the log is emptied only when all of it is safe in the file: an old
head could make old pages good again after a power cut.

Every method blocks. `write`, `rewrite`, `forget`, `note` and `truncate` are for the writing thread,
the others for the one that may wait for the card; no two of the latter at once.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from inglenook.serving.journal_rows import (
    VERSION,
    Opening,
    Saved,
    append,
    insert,
    make_tables,
    note_written,
    read_all,
    read_written,
)
from inglenook.serving.moments import Moment
from inglenook.serving.response import Change

__all__ = ["Journal", "Opening", "Saved"]

log = logging.getLogger(__name__)

#: Each write costs a page of this size at least, and SD cards wear out by writing. 1 KiB holds a
#: frame's text and tokens with room to spare; SQLite's usual 4 KiB would quadruple the wear.
_PAGE_BYTES = 1024

#: How exactly the journal knows when it was last written, seconds: to note it costs a page.
_NOTED_EVERY_S = 5.0

#: SQLite's words for trouble with the disk, the folder or another program: no reason to throw away
#: a file that may be whole. All its other errors are about what stands in the file.
_NO_DAMAGE = (
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PERM,
)


class Journal:
    """One open journal."""

    def __init__(self, path: Path) -> None:
        """Nothing is opened before `load`."""
        self._path = path
        self._writer: sqlite3.Connection | None = None
        self._copier: sqlite3.Connection | None = None
        # A reader keeps SQLite from beginning the log anew under it.
        self._reader: sqlite3.Connection | None = None
        self._numbers: dict[str, int] = {}
        self._wal: int | None = None
        self._noted_s = -math.inf
        # Rises at the begin and at the end of every write.
        self._writes = 0
        self._copied_writes = -1

    def load(self) -> tuple[list[Saved], Moment]:
        """Open the file and read it, oldest response first; a bad one is started afresh.

        Returns:
            What it holds, and when it was last written.

        Raises:
            OSError, sqlite3.Error: If no journal can be kept there at all.
        """
        written_at = self._written_at()
        try:
            return self._open_and_read(written_at)
        except (sqlite3.DatabaseError, msgspec.MsgspecError, ValueError) as exc:
            if isinstance(exc, sqlite3.Error) and not _tells_of_damage(exc):
                raise
            log.warning("%s is damaged (%s); it is started afresh", self._path, exc)
            self.delete()
            return self._open_and_read(written_at)

    def write(self, openings: Sequence[Opening], changes: Sequence[Change], now: Moment) -> None:
        """Keep what is new, all or nothing.

        A change of a response that is not there is left out: it was forgotten meanwhile.

        Raises:
            OSError, sqlite3.Error: If it cannot be kept.
        """
        with self._writing() as database:
            ended = {change.response_id for change in changes if change.ending is not None}
            for opening in openings:
                over = opening.response_id in ended
                self._numbers[opening.response_id] = insert(database, opening, ended=over)
            for change in changes:
                number = self._numbers.get(change.response_id)
                if number is not None:
                    append(database, number, change, now)
            if ended or openings or now.boottime_s - self._noted_s >= _NOTED_EVERY_S:
                note_written(database, now)
                self._noted_s = now.boottime_s

    def rewrite(self, saved: Iterable[Saved], now: Moment) -> None:
        """Keep just these responses, all or nothing; what was there before is forgotten.

        Raises:
            OSError, sqlite3.Error: If they cannot be kept.
        """
        numbers = {}
        with self._writing() as database:
            database.execute("DELETE FROM piece")
            database.execute("DELETE FROM response")
            for item in saved:
                opening = item.opening
                number = insert(database, opening, ended=item.ending is not None)
                change = Change(
                    opening.response_id, False, item.pieces, item.tokens, item.ending, item.model_id
                )
                append(database, number, change, item.ended_at or now)
                numbers[opening.response_id] = number
            note_written(database, now)
        self._numbers, self._noted_s = numbers, now.boottime_s

    def forget(self, response_ids: Iterable[str], *, purge: bool = False) -> None:
        """Remove responses. Copies may be in the log until `checkpoint` and `truncate`.

        Args:
            response_ids: Which; unknown ones are ignored.
            purge: Rewrite the file. When SQLite moves rows from page to page it can leave copies,
                which else stay until the journal is empty.

        Raises:
            OSError, sqlite3.Error: If they cannot be.
        """
        numbers = [
            (self._numbers.pop(response_id),)
            for response_id in response_ids
            if response_id in self._numbers
        ]
        with self._writing() as database:
            database.executemany("DELETE FROM piece WHERE response = ?", numbers)
            database.executemany("DELETE FROM response WHERE number = ?", numbers)
        if purge or not self._numbers:
            self._writes += 1
            _opened(self._writer).execute("VACUUM")

    def note(self, now: Moment) -> None:
        """Keep when there was last a daemon to go on with what is unfinished.

        Raises:
            OSError, sqlite3.Error: If it cannot be kept.
        """
        with self._writing() as database:
            note_written(database, now)
            self._noted_s = now.boottime_s

    def sync(self) -> int:
        """Bring everything written onto the disk itself.

        Returns:
            How long the log is, in bytes.

        Raises:
            OSError: If the disk fails.
        """
        if self._wal is None:
            return 0
        os.fdatasync(self._wal)
        return os.fstat(self._wal).st_size

    def checkpoint(self) -> None:
        """Copy the log into the file, for `truncate`; writes go on meanwhile.

        Raises:
            OSError, sqlite3.Error: If the disk fails.
        """
        reader = _opened(self._reader)
        _end_reading(reader)
        self._copied_writes = self._writes
        reader.execute("BEGIN")
        reader.execute("SELECT 1 FROM response LIMIT 1").fetchone()
        _opened(self._copier).execute("PRAGMA wal_checkpoint(PASSIVE)")

    def truncate(self, *, force: bool = False) -> bool:
        """Empty the log if nothing was written since `checkpoint`; costs no sync then.

        Args:
            force: Empty it even so; waits for the disk.

        Returns:
            Whether it is empty.

        Raises:
            OSError, sqlite3.Error: If the disk fails.
        """
        _end_reading(_opened(self._reader))
        if self._writes != self._copied_writes and not force:
            return False
        query = "PRAGMA wal_checkpoint(TRUNCATE)"
        [held, _pages, _copied] = _opened(self._copier).execute(query).fetchone()
        # If another program is reading the file, SQLite may begin the log anew at the next write.
        # That is the one time when a write has to sync.
        _opened(self._writer).execute(f"PRAGMA synchronous = {'NORMAL' if held else 'OFF'}")
        return not held

    def delete(self) -> None:
        """Close the file and remove it, with all that it holds.

        Raises:
            OSError: If the folder cannot be written.
        """
        with contextlib.suppress(sqlite3.Error):
            self.close()
        for path in self._files():
            path.unlink(missing_ok=True)

    def close(self) -> None:
        """Close the file; everything is on the disk then.

        Raises:
            OSError, sqlite3.Error: If the disk fails; it is closed all the same.
        """
        self._numbers.clear()
        self._noted_s = -math.inf
        with contextlib.ExitStack() as closing:
            # Last in, first out: the last to close copies the log, and must be one that syncs.
            for database in (self._copier, self._reader, self._writer):
                if database is not None:
                    closing.callback(database.close)
            if self._wal is not None:
                closing.callback(os.close, self._wal)
            self._writer = self._copier = self._reader = self._wal = None

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction, all or nothing."""
        database = _opened(self._writer)
        self._writes += 1
        try:
            with database:
                database.execute("BEGIN")
                yield database
        finally:
            self._writes += 1

    def _open_and_read(self, written_at: float) -> tuple[list[Saved], Moment]:
        # The log and the index that SQLite puts beside it take their permissions from this file.
        os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        self._path.chmod(0o600)
        database = self._writer = self._connect()
        database.execute(f"PRAGMA page_size = {_PAGE_BYTES}")
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA secure_delete = ON")
        # Or `forget` would leave a copy of everything among the temporary files.
        database.execute("PRAGMA temp_store = MEMORY")
        make_tables(database)
        [verdict] = database.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise ValueError(str(verdict))
        saved, self._numbers = read_all(database)
        last = read_written(database) or Moment(written_at)
        # A file that damage made read-only shows it only when it is written.
        database.execute(f"PRAGMA user_version = {VERSION}")
        # Only now: the head of the log, which this write may have made, is on the disk.
        database.execute("PRAGMA synchronous = OFF")
        self._copier, self._reader = self._connect(), self._connect()
        # The first question to a connection reads the schema, which could find the file damaged.
        self._reader.execute("SELECT 1 FROM response LIMIT 1").fetchone()
        self._wal = os.open(f"{self._path}-wal", os.O_RDWR | os.O_CLOEXEC)
        return saved, last

    def _connect(self) -> sqlite3.Connection:
        # Opened in one thread and used in another, but never in two at once.
        database = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        database.execute("PRAGMA wal_autocheckpoint = 0")
        # In WAL mode this syncs where it keeps the file whole, and not at every commit.
        database.execute("PRAGMA synchronous = NORMAL")
        return database

    def _files(self) -> list[Path]:
        return [self._path.with_name(self._path.name + end) for end in ("", "-wal", "-shm")]

    def _written_at(self) -> float:
        moments = [0.0]
        for path in self._files()[:2]:
            with contextlib.suppress(FileNotFoundError):
                moments.append(path.stat().st_mtime)
        return max(moments)


def _opened(database: sqlite3.Connection | None) -> sqlite3.Connection:
    assert database is not None
    return database


def _end_reading(reader: sqlite3.Connection) -> None:
    if reader.in_transaction:
        reader.execute("ROLLBACK")


def _tells_of_damage(exc: sqlite3.Error) -> bool:
    # Errors that Python's module finds by itself, such as text that is not UTF-8, have no code.
    return getattr(exc, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF not in _NO_DAMAGE
