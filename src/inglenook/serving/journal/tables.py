"""The tables of the journal, and how older ones become these. Kind: hands."""

from __future__ import annotations

import sqlite3

#: Raised with every change to the tables. Older ones are migrated, unknown ones started afresh.
VERSION = 2

_SCHEMA = """
CREATE TABLE response (
    number INTEGER PRIMARY KEY,
    response_id TEXT NOT NULL,
    device_id TEXT NOT NULL,
    idempotency_key TEXT,
    model TEXT NOT NULL,
    start BLOB NOT NULL,
    ended_at REAL,
    ending BLOB,
    ended_boottime REAL,
    ended_boot TEXT,
    model_id TEXT
);
CREATE TABLE piece (
    response INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    channel TEXT NOT NULL,
    text TEXT NOT NULL,
    tokens BLOB
);
CREATE TABLE written (
    id INTEGER PRIMARY KEY,
    wall REAL NOT NULL,
    boottime REAL NOT NULL,
    boot TEXT NOT NULL
);
"""

#: By the version they begin with: what brings the tables one version further.
_MIGRATIONS = {
    1: """
ALTER TABLE response ADD COLUMN ended_boottime REAL;
ALTER TABLE response ADD COLUMN ended_boot TEXT;
ALTER TABLE response ADD COLUMN model_id TEXT;
CREATE TABLE written (
    id INTEGER PRIMARY KEY,
    wall REAL NOT NULL,
    boottime REAL NOT NULL,
    boot TEXT NOT NULL
);
""",
}


def make_tables(database: sqlite3.Connection) -> None:
    """Make the tables in a new file; bring those of an older version up to date.

    Raises:
        ValueError: If they are of a version that is unknown.
        sqlite3.Error: If they cannot be.
    """
    version = database.execute("PRAGMA user_version").fetchone()[0]
    tables = database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if version == 0 and tables == 0:
        database.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {VERSION}; COMMIT;")
        return
    while version != VERSION:
        if version not in _MIGRATIONS:
            raise ValueError(f"version {version}, not {VERSION}")
        script = _MIGRATIONS[version]
        version += 1
        database.executescript(f"BEGIN; {script} PRAGMA user_version = {version}; COMMIT;")
