"""The log that SQLite puts beside the journal: on the disk, into the file, and empty. Kind: hands.

SQLite's usual way to empty its log holds up the writer: a commit that finds it long enough
copies it into the file, with two syncs, and the first commit after every such copy syncs the log's
new head (https://sqlite.org/pragma.html#pragma_synchronous). So the writing connection is told to
do neither. Another one copies, in another thread, and the log is emptied only when all of it is
safe in the file: with an old head, old pages would count again after a power cut.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import ExitStack
from pathlib import Path

from inglenook.serving.journal.database import connect


class WriteAheadLog:
    """The log of one open journal.

    `sync`, `checkpoint` and `close` are for the thread that may wait for the card, `truncate` for
    the one that writes; no two at once, except `sync`.
    """

    def __init__(self, path: Path) -> None:
        """Open it, once the file has been written to.

        Raises:
            OSError, sqlite3.Error: If it cannot be.
        """
        with ExitStack() as opened:
            self._copier = connect(path)
            opened.callback(self._copier.close)
            # What another program keeps it from is tried again later; else a write would wait, too.
            self._copier.execute("PRAGMA busy_timeout = 0")
            # While it reads, SQLite begins no log anew.
            self._reader = connect(path)
            opened.callback(self._reader.close)
            # The first question to a connection reads the schema, which could find damage.
            self._reader.execute("SELECT 1 FROM response LIMIT 1").fetchone()
            self._file = os.open(f"{path}-wal", os.O_RDWR | os.O_CLOEXEC)
            opened.pop_all()
        self._copied_writes = -1

    def sync(self) -> int:
        """Bring it onto the disk itself; gives its length in bytes.

        Raises:
            OSError: If the disk fails.
        """
        os.fdatasync(self._file)
        return os.fstat(self._file).st_size

    def checkpoint(self, writes: int) -> None:
        """Copy it into the file; ``writes`` counts begins and ends of writes so far.

        Raises:
            OSError, sqlite3.Error: If the disk fails.
        """
        _end_reading(self._reader)
        self._copied_writes = writes
        self._reader.execute("BEGIN")
        self._reader.execute("SELECT 1 FROM response LIMIT 1").fetchone()
        self._copier.execute("PRAGMA wal_checkpoint(PASSIVE)")

    def truncate(self, writes: int, writer: sqlite3.Connection, *, force: bool) -> bool:
        """Empty it, if nothing was written since it was copied; that costs no sync.

        Args:
            writes: As for `checkpoint`.
            writer: The connection that writes.
            force: Empty it even so, which waits for the disk.

        Returns:
            Whether it is empty.

        Raises:
            OSError, sqlite3.Error: If the disk fails.
        """
        if writes != self._copied_writes and not force:
            # The writes since may be among what was copied. Then the one after this reading's end
            # begins the log anew, and must sync.
            writer.execute("PRAGMA synchronous = NORMAL")
            return False
        _end_reading(self._reader)
        query = "PRAGMA wal_checkpoint(TRUNCATE)"
        [held, _pages, _copied] = self._copier.execute(query).fetchone()
        # If another program is reading the file, SQLite may begin the log anew at the next write.
        # That is the one time when a write has to sync.
        writer.execute(f"PRAGMA synchronous = {'NORMAL' if held else 'OFF'}")
        return not held

    def close(self) -> None:
        """Close it; the last connection to go copies it into the file.

        Raises:
            OSError, sqlite3.Error: If the disk fails; it is closed all the same.
        """
        with ExitStack() as closing:
            closing.callback(self._copier.close)
            closing.callback(self._reader.close)
            closing.callback(os.close, self._file)


def _end_reading(reader: sqlite3.Connection) -> None:
    if reader.in_transaction:
        reader.execute("ROLLBACK")
