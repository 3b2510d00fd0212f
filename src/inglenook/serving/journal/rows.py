"""Answers as rows of the journal's tables, and back. Kind: hands."""

from __future__ import annotations

import sqlite3

import msgspec

from inglenook.chat.thinking import Channel
from inglenook.common.errors import Code, Problem
from inglenook.engine.orders import StartJob
from inglenook.serving.journal.moments import Moment
from inglenook.serving.journal.saved import NO_START, ResponseOpening, SavedResponse
from inglenook.serving.response_parts import Change, Ending, Outcome, Status, TextPiece

_encode = msgspec.msgpack.encode


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
    ended_boottime: float | None
    ended_boot: str | None
    model_id: str | None


class _PieceRow(msgspec.Struct, frozen=True, array_like=True):
    """A row of ``piece``."""

    response: int
    seq: int
    channel: Channel
    text: str
    tokens: bytes | None


class _WrittenRow(msgspec.Struct, frozen=True, array_like=True):
    """The one row of ``written``."""

    wall: float
    boottime: float
    boot: str


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


def insert(database: sqlite3.Connection, opening: ResponseOpening, *, ended: bool) -> int:
    """Add a response, without its order if it has ``ended``; gives its number."""
    cursor = database.execute(
        "INSERT INTO response (response_id, device_id, idempotency_key, model, start)"
        " VALUES (?, ?, ?, ?, ?)",
        (
            opening.response_id,
            opening.device_id,
            opening.idempotency_key,
            opening.model,
            _encode(NO_START if ended else opening.start),
        ),
    )
    assert cursor.lastrowid is not None
    return cursor.lastrowid


def append(database: sqlite3.Connection, number: int, change: Change, now: Moment) -> None:
    """Add a change to a response; ``now`` is when it ended, if it did."""
    tokens = _encode(change.tokens) if change.tokens else None
    rows = []
    for piece in change.pieces:
        rows.append((number, piece.seq, piece.channel, piece.text, tokens))
        tokens = None
    database.executemany("INSERT INTO piece VALUES (?, ?, ?, ?, ?)", rows)
    if change.model_id:
        database.execute(
            "UPDATE response SET model_id = ? WHERE number = ?", (change.model_id, number)
        )
    if change.ending is not None:
        database.execute(
            "UPDATE response SET ended_at = ?, ended_boottime = ?, ended_boot = ?, ending = ?,"
            " start = ? WHERE number = ?",
            (
                now.wall_s,
                now.boottime_s,
                now.boot_id,
                _write_ending(change.ending),
                _encode(NO_START),
                number,
            ),
        )


def note_written(database: sqlite3.Connection, now: Moment) -> None:
    """Keep when the journal was last written."""
    database.execute(
        "INSERT OR REPLACE INTO written VALUES (1, ?, ?, ?)",
        (now.wall_s, now.boottime_s, now.boot_id),
    )


def read_written(database: sqlite3.Connection) -> Moment | None:
    """When the journal was last written; None if it does not say.

    Raises:
        msgspec.MsgspecError: If that is damaged.
    """
    values = database.execute("SELECT wall, boottime, boot FROM written").fetchone()
    if values is None:
        return None
    row = msgspec.convert(values, _WrittenRow)
    return Moment(row.wall, row.boottime, row.boot)


def read_all(database: sqlite3.Connection) -> tuple[list[SavedResponse], dict[str, int]]:
    """Read every response, oldest first, and their numbers.

    Raises:
        msgspec.MsgspecError, ValueError: If what stands there cannot be.
    """
    pieces, tokens = _read_pieces(database)
    saved, numbers = [], {}
    for values in database.execute(
        "SELECT number, response_id, device_id, idempotency_key, model, start, ended_at, ending,"
        " ended_boottime, ended_boot, model_id FROM response ORDER BY number"
    ):
        of = msgspec.convert(values, _ResponseRow)
        start = msgspec.msgpack.decode(of.start, type=StartJob)
        ending = None if of.ending is None else _read_ending(of.ending)
        opening = ResponseOpening(of.response_id, of.device_id, of.idempotency_key, of.model, start)
        spoken = tuple(pieces.get(of.number, ()))
        produced = tuple(tokens.get(of.number, ()))
        saved.append(
            SavedResponse(opening, spoken, produced, ending, _ended_at(of), of.model_id or "")
        )
        numbers[of.response_id] = of.number
    return saved, numbers


def _read_pieces(
    database: sqlite3.Connection,
) -> tuple[dict[int, list[TextPiece]], dict[int, list[int]]]:
    pieces: dict[int, list[TextPiece]] = {}
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
        known.append(TextPiece(row.seq, row.channel, offset, row.text))
        if row.tokens is not None:
            more = msgspec.msgpack.decode(row.tokens, type=list[int])
            tokens.setdefault(row.response, []).extend(more)
    return pieces, tokens


def _ended_at(row: _ResponseRow) -> Moment | None:
    if row.ended_at is None:
        return None
    return Moment(row.ended_at, row.ended_boottime or 0.0, row.ended_boot or "")


def _write_ending(ending: Ending) -> bytes:
    outcome = ending.outcome
    problem = outcome.problem
    return _encode(
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
