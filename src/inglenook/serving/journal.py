"""Answers on disk: what phones have been shown, and what it takes to go on. Kind: hands.

A SQLite file in WAL mode. A write is a system call and no more: it survives the death of this
process, however sudden, but not that of the machine until `Journal.sync`. Every method blocks; all
but `Journal.sync` must be called from one thread.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from inglenook.chat.thinking import Channel
from inglenook.engine.orders import Sampling, Start
from inglenook.errors import Code, Problem
from inglenook.serving.response import Change, Ending, Outcome, Piece, Status

log = logging.getLogger(__name__)

#: Raised with every change to the tables; a journal of another version is started afresh.
_VERSION = 1

#: Each write costs a page of this size at least, and SD cards wear out by writing. 1 KiB holds a
#: frame's text and tokens with room to spare; SQLite's usual 4 KiB would quadruple the wear.
_PAGE_BYTES = 1024

_SCHEMA = """
CREATE TABLE response (
    number INTEGER PRIMARY KEY,
    response_id TEXT NOT NULL,
    device_id TEXT NOT NULL,
    idempotency_key TEXT,
    model TEXT NOT NULL,
    start BLOB NOT NULL,
    ended_at REAL,
    ending BLOB
);
CREATE TABLE piece (
    response INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    channel TEXT NOT NULL,
    text TEXT NOT NULL,
    tokens BLOB
);
"""


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


_encode = msgspec.msgpack.encode

#: In the place of an order that has been carried out: a conversation of 250 KiB is not kept for it.
_NOTHING = _encode(Start(0, (), Sampling(0, 0, 1, 0, 1, 0, 0, 0, 0), None, (), False))


class _ResponseRow(msgspec.Struct, frozen=True, array_like=True):
    """A row of ``response``; SQLite itself would let anything stand in any column."""

    number: int
    response_id: str
    device_id: str
    idempotency_key: str | None
    model: str
    start: bytes
    ended_at: float | None
    ending: bytes | None


class _PieceRow(msgspec.Struct, frozen=True, array_like=True):
    """A row of ``piece``."""

    response: int
    seq: int
    channel: Channel
    text: str
    tokens: bytes | None


class _Ending(msgspec.Struct, frozen=True, array_like=True):
    """An `Ending` as it is stored."""

    seq: int
    status: Status
    finish_reason: str | None
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    queued_s: float | None
    ttft_s: float | None
    prefill_tok_s: float | None
    decode_tok_s: float | None
    code: Code | None
    text: str


@dataclass(frozen=True, slots=True)
class Opening:
    """A response that is new.

    Attributes:
        start: What the engine has to do for it; of one read back that has ended, nothing.
    """

    response_id: str
    device_id: str
    idempotency_key: str | None
    model: str
    start: Start


@dataclass(frozen=True, slots=True)
class Saved:
    """A response as it was read back.

    Attributes:
        tokens: Tokens of the answer so far.
        ended_at: Seconds since 1970; None if it has not ended.
    """

    opening: Opening
    pieces: tuple[Piece, ...]
    tokens: tuple[int, ...]
    ending: Ending | None
    ended_at: float | None


class Journal:
    """One open journal."""

    def __init__(self, path: Path) -> None:
        """Nothing is opened before `load`."""
        self._path = path
        self._database: sqlite3.Connection | None = None
        self._numbers: dict[str, int] = {}
        self._wal: int | None = None

    def load(self) -> tuple[list[Saved], float]:
        """Open the file and read it, oldest response first; a bad one is started afresh.

        Returns:
            What it holds, and when it was last written, seconds since 1970.

        Raises:
            OSError, sqlite3.Error: If no journal can be kept there at all.
        """
        written_at = self._written_at()
        try:
            saved = self._open_and_read()
        except (sqlite3.DatabaseError, msgspec.MsgspecError, ValueError) as exc:
            if isinstance(exc, sqlite3.Error) and not _tells_of_damage(exc):
                raise
            log.warning("%s is damaged (%s); it is started afresh", self._path, exc)
            self.delete()
            saved = self._open_and_read()
        return saved, written_at

    def write(self, openings: Sequence[Opening], changes: Sequence[Change], now: float) -> None:
        """Keep what is new, all or nothing; ``now`` is seconds since 1970.

        Raises:
            OSError, sqlite3.Error: If it cannot be kept.
        """
        database = self._opened()
        with database:
            database.execute("BEGIN")
            ended = {change.response_id for change in changes if change.ending is not None}
            for opening in openings:
                start = _NOTHING if opening.response_id in ended else _encode(opening.start)
                self._numbers[opening.response_id] = _insert(database, opening, start)
            for change in changes:
                number = self._numbers.get(change.response_id)
                if number is not None:
                    _append(database, number, change, now)

    def forget(self, response_ids: Iterable[str], *, purge: bool = False) -> None:
        """Remove responses; their bytes are overwritten, in the log too.

        Args:
            response_ids: Which; unknown ones are ignored.
            purge: Rewrite the file. When SQLite moves rows from page to page it can leave copies,
                which else stay until the journal is empty.

        Raises:
            OSError, sqlite3.Error: If they cannot be.
        """
        database = self._opened()
        numbers = [
            (self._numbers.pop(response_id),)
            for response_id in response_ids
            if response_id in self._numbers
        ]
        with database:
            database.execute("BEGIN")
            database.executemany("DELETE FROM piece WHERE response = ?", numbers)
            database.executemany("DELETE FROM response WHERE number = ?", numbers)
        if purge or not self._numbers:
            database.execute("VACUUM")
        # Or the log would keep the text until it happens to be written over.
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def sync(self) -> None:
        """Bring everything written onto the disk itself.

        Raises:
            OSError: If the disk fails.
        """
        if self._wal is not None:
            os.fdatasync(self._wal)

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
        """Close the file; everything is on the disk then."""
        if self._wal is not None:
            os.close(self._wal)
            self._wal = None
        if self._database is not None:
            self._database.close()
            self._database = None
        self._numbers.clear()

    def _open_and_read(self) -> list[Saved]:
        # The log and the index that SQLite puts beside it take their permissions from this file.
        os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        self._path.chmod(0o600)
        database = sqlite3.connect(self._path, isolation_level=None)
        self._database = database
        database.execute(f"PRAGMA page_size = {_PAGE_BYTES}")
        database.execute("PRAGMA journal_mode = WAL")
        # In WAL mode this syncs at checkpoints only, which is what keeps the file itself whole.
        database.execute("PRAGMA synchronous = NORMAL")
        database.execute("PRAGMA secure_delete = ON")
        # Or `forget` would leave a copy of everything among the temporary files.
        database.execute("PRAGMA temp_store = MEMORY")
        version = database.execute("PRAGMA user_version").fetchone()[0]
        tables = database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if version == 0 and tables == 0:
            database.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {_VERSION}; COMMIT;")
        elif version != _VERSION:
            raise ValueError(f"version {version}, not {_VERSION}")
        [verdict] = database.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise ValueError(str(verdict))
        saved = self._read(database)
        # A file that damage made read-only shows it only when it is written.
        database.execute(f"PRAGMA user_version = {_VERSION}")
        self._wal = os.open(f"{self._path}-wal", os.O_RDWR | os.O_CLOEXEC)
        return saved

    def _read(self, database: sqlite3.Connection) -> list[Saved]:
        pieces: dict[int, list[Piece]] = {}
        tokens: dict[int, list[int]] = {}
        lengths: dict[tuple[int, str], int] = {}
        for values in database.execute(
            "SELECT response, seq, channel, text, tokens FROM piece ORDER BY rowid"
        ):
            row = msgspec.convert(values, _PieceRow)
            known = pieces.setdefault(row.response, [])
            if row.seq <= (known[-1].seq if known else 0):
                raise ValueError(f"frame {row.seq} is out of order")
            offset = lengths.get((row.response, row.channel), 0)
            lengths[row.response, row.channel] = offset + len(row.text)
            known.append(Piece(row.seq, row.channel, offset, row.text))
            if row.tokens is not None:
                more = msgspec.msgpack.decode(row.tokens, type=list[int])
                tokens.setdefault(row.response, []).extend(more)
        saved = []
        for values in database.execute(
            "SELECT number, response_id, device_id, idempotency_key, model, start, ended_at, ending"
            " FROM response ORDER BY number"
        ):
            of = msgspec.convert(values, _ResponseRow)
            start = msgspec.msgpack.decode(of.start, type=Start)
            ending = None if of.ending is None else _read_ending(of.ending)
            opening = Opening(of.response_id, of.device_id, of.idempotency_key, of.model, start)
            spoken = tuple(pieces.get(of.number, ()))
            produced = tuple(tokens.get(of.number, ()))
            saved.append(Saved(opening, spoken, produced, ending, of.ended_at))
            self._numbers[of.response_id] = of.number
        return saved

    def _opened(self) -> sqlite3.Connection:
        assert self._database is not None
        return self._database

    def _files(self) -> list[Path]:
        return [self._path.with_name(self._path.name + end) for end in ("", "-wal", "-shm")]

    def _written_at(self) -> float:
        moments = [0.0]
        for path in self._files()[:2]:
            with contextlib.suppress(FileNotFoundError):
                moments.append(path.stat().st_mtime)
        return max(moments)


def _tells_of_damage(exc: sqlite3.Error) -> bool:
    # Errors that Python's module finds by itself, such as text that is not UTF-8, have no code.
    return getattr(exc, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF not in _NO_DAMAGE


def _insert(database: sqlite3.Connection, opening: Opening, start: bytes) -> int:
    cursor = database.execute(
        "INSERT INTO response (response_id, device_id, idempotency_key, model, start)"
        " VALUES (?, ?, ?, ?, ?)",
        (
            opening.response_id,
            opening.device_id,
            opening.idempotency_key,
            opening.model,
            start,
        ),
    )
    assert cursor.lastrowid is not None
    return cursor.lastrowid


def _append(database: sqlite3.Connection, number: int, change: Change, now: float) -> None:
    tokens = msgspec.msgpack.encode(change.tokens) if change.tokens else None
    for piece in change.pieces:
        database.execute(
            "INSERT INTO piece VALUES (?, ?, ?, ?, ?)",
            (number, piece.seq, piece.channel, piece.text, tokens),
        )
        tokens = None
    if change.ending is not None:
        database.execute(
            "UPDATE response SET ended_at = ?, ending = ?, start = ? WHERE number = ?",
            (now, _write_ending(change.ending), _NOTHING, number),
        )


def _write_ending(ending: Ending) -> bytes:
    outcome = ending.outcome
    problem = outcome.problem
    return msgspec.msgpack.encode(
        _Ending(
            ending.seq,
            ending.status,
            outcome.finish_reason,
            outcome.prompt_tokens,
            outcome.completion_tokens,
            outcome.cached_tokens,
            outcome.queued_s,
            outcome.ttft_s,
            outcome.prefill_tok_s,
            outcome.decode_tok_s,
            None if problem is None else problem.code,
            "" if problem is None else problem.text,
        )
    )


def _read_ending(blob: bytes) -> Ending:
    stored = msgspec.msgpack.decode(blob, type=_Ending)
    if not stored.status.over:
        raise ValueError(f"an answer ended {stored.status}")
    outcome = Outcome(
        stored.finish_reason,
        stored.prompt_tokens,
        stored.completion_tokens,
        stored.cached_tokens,
        stored.queued_s,
        stored.ttft_s,
        stored.prefill_tok_s,
        stored.decode_tok_s,
        None if stored.code is None else Problem(stored.code, stored.text),
    )
    return Ending(stored.seq, stored.status, outcome)
