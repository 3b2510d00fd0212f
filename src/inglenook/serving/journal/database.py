"""Opens the journal's SQLite file, checks it, and tells damage from trouble. Kind: hands."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path

from inglenook.serving.journal.tables import make_tables

#: Each write costs a page of this size at least, and SD cards wear out by writing. 1 KiB holds a
#: frame's text and tokens with room to spare; SQLite's usual 4 KiB would quadruple the wear.
_PAGE_BYTES = 1024

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


def connect(path: Path) -> sqlite3.Connection:
    """Open a connection to the file, which leaves its log as it is; syncs where that is needed.

    It may be used in any thread, but in no two at once.

    Raises:
        sqlite3.Error: If it cannot be opened.
    """
    database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    database.execute("PRAGMA wal_autocheckpoint = 0")
    # In WAL mode this syncs where it keeps the file whole, and not at every commit.
    database.execute("PRAGMA synchronous = NORMAL")
    return database


def open_database(path: Path) -> sqlite3.Connection:
    """Open the connection that writes; the file is made if it is not there.

    Raises:
        OSError, sqlite3.Error: If it cannot be opened.
    """
    # The log and the index that SQLite puts beside it take their permissions from this file.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    path.chmod(0o600)
    return connect(path)


def check(database: sqlite3.Connection) -> None:
    """Set it up, make the tables that are missing, and look for damage.

    Raises:
        ValueError, sqlite3.Error: If it is damaged, or cannot be read.
    """
    database.execute(f"PRAGMA page_size = {_PAGE_BYTES}")
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA secure_delete = ON")
    # Or `Journal.forget` would leave a copy of everything among the temporary files.
    database.execute("PRAGMA temp_store = MEMORY")
    make_tables(database)
    [verdict] = database.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        raise ValueError(str(verdict))


def database_files(path: Path) -> list[Path]:
    """The file, its log, and the log's index."""
    return [path.with_name(path.name + end) for end in ("", "-wal", "-shm")]


def last_changed_s(path: Path) -> float:
    """When the file or its log was last changed, seconds since 1970; 0 without one.

    Raises:
        OSError: If that cannot be read.
    """
    moments = [0.0]
    for each in database_files(path)[:2]:
        with contextlib.suppress(FileNotFoundError):
            moments.append(each.stat().st_mtime)
    return max(moments)


def tells_of_damage(exc: sqlite3.Error) -> bool:
    """Whether an error is about what stands in the file, not about the disk or another program."""
    # Errors that Python's module finds by itself, such as text that is not UTF-8, have no code.
    return getattr(exc, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF not in _NO_DAMAGE
