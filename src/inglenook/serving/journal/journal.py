"""Responses on disk: the text that phones have been sent, and the state to go on. Kind: hands.

A SQLite file in WAL mode. A write is a system call and no more: it survives the death of this
process, however sudden, but not that of the machine until `Journal.sync`.

No write may wait for the card: the writing connection never syncs, and never empties SQLite's log;
`WriteAheadLog` does both.

Every method blocks. `write`, `rewrite`, `forget`, `note` and `truncate` are for the writing thread,
the others for the one that may wait for the card; no two of the latter at once.
"""

from __future__ import annotations

import contextlib
import logging
import math
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from inglenook.serving.journal.database import (
    check,
    database_files,
    last_changed_s,
    open_database,
    tells_of_damage,
)
from inglenook.serving.journal.moments import Moment
from inglenook.serving.journal.rows import append, insert, note_written, read_all, read_written
from inglenook.serving.journal.saved import ResponseOpening, SavedResponse
from inglenook.serving.journal.tables import VERSION
from inglenook.serving.journal.write_ahead_log import WriteAheadLog
from inglenook.serving.response_parts import Change

log = logging.getLogger(__name__)

#: How exactly the journal knows when it was last written, seconds: to note it costs a page.
_NOTED_EVERY_S = 5.0


class Journal:
    """One open journal."""

    def __init__(self, path: Path) -> None:
        """Nothing is opened before `load`."""
        self._path = path
        self._writer: sqlite3.Connection | None = None
        self._log: WriteAheadLog | None = None
        self._numbers: dict[str, int] = {}
        self._noted_s = -math.inf
        # Rises at the begin and at the end of every write.
        self._writes = 0

    def load(self) -> tuple[list[SavedResponse], Moment]:
        """Open the file and read it, oldest response first; a bad one is started afresh.

        Returns:
            What it holds, and when it was last written.

        Raises:
            OSError, sqlite3.Error: If no journal can be kept there at all.
        """
        written_at = last_changed_s(self._path)
        # What an earlier try has left open, if it did not come to its end.
        self.close()
        try:
            return self._open_and_read(written_at)
        except (sqlite3.DatabaseError, msgspec.MsgspecError, ValueError) as exc:
            if isinstance(exc, sqlite3.Error) and not tells_of_damage(exc):
                raise
            log.warning("%s is damaged (%s); it is started afresh", self._path, exc)
            self.delete()
            return self._open_and_read(written_at)

    def write(
        self, openings: Sequence[ResponseOpening], changes: Sequence[Change], now: Moment
    ) -> None:
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

    def rewrite(self, saved: Iterable[SavedResponse], now: Moment) -> None:
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
            self._opened().execute("VACUUM")

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
        return 0 if self._log is None else self._log.sync()

    def checkpoint(self) -> None:
        """Copy the log into the file, for `truncate`; writes go on meanwhile.

        Raises:
            OSError, sqlite3.Error: If the disk fails.
        """
        assert self._log is not None
        self._log.checkpoint(self._writes)

    def truncate(self, *, force: bool = False) -> bool:
        """Empty the log if nothing was written since `checkpoint`; costs no sync then.

        Args:
            force: Empty it even so; waits for the disk.

        Returns:
            Whether it is empty.

        Raises:
            OSError, sqlite3.Error: If the disk fails.
        """
        assert self._log is not None
        return self._log.truncate(self._writes, self._opened(), force=force)

    def delete(self) -> None:
        """Close the file and remove it, with all that it holds.

        Raises:
            OSError: If the folder cannot be written.
        """
        with contextlib.suppress(sqlite3.Error):
            self.close()
        for path in database_files(self._path):
            path.unlink(missing_ok=True)

    def close(self) -> None:
        """Close the file; everything is on the disk then.

        Raises:
            OSError, sqlite3.Error: If the disk fails; it is closed all the same.
        """
        self._numbers.clear()
        self._noted_s = -math.inf
        writer, self._writer = self._writer, None
        journal_log, self._log = self._log, None
        try:
            if writer is not None:
                writer.close()
        finally:
            # Last: the last connection to close copies the log, and must sync.
            if journal_log is not None:
                journal_log.close()

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction, all or nothing."""
        database = self._opened()
        self._writes += 1
        try:
            with database:
                database.execute("BEGIN")
                yield database
        finally:
            self._writes += 1

    def _open_and_read(self, written_at: float) -> tuple[list[SavedResponse], Moment]:
        database = self._writer = open_database(self._path)
        check(database)
        saved, self._numbers = read_all(database)
        last = read_written(database) or Moment(written_at)
        # A file that damage made read-only shows it only when it is written.
        database.execute(f"PRAGMA user_version = {VERSION}")
        # Only now: the head of the log, which this write may have made, is on the disk.
        database.execute("PRAGMA synchronous = OFF")
        self._log = WriteAheadLog(self._path)
        return saved, last

    def _opened(self) -> sqlite3.Connection:
        assert self._writer is not None
        return self._writer
