"""Results of ``inglenook tune``, in the state folder. Kind: hands.

One entry a model. Measurements of another board, or with another version of the library, are not
used.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from inglenook.common.errors import StartupError
from inglenook.common.state_file import NewerFile, StateFile
from inglenook.models.board_identity import BoardIdentity
from inglenook.models.info import KvType, ModelInfo

log = logging.getLogger(__name__)

_FILE_NAME = "tuning.json"

_VERSION: Literal[1] = 1

_AGAIN = "`inglenook tune` measures again"


@dataclass(frozen=True, slots=True)
class Tuning:
    """The fastest settings, for ``engine.messages.LoadModel``.

    Attributes:
        threads: Compute threads.
        ubatch_tokens: Tokens that the library computes in one pass through the weights.
        flash_attention: For a pool of f16; one of q8_0 has it always.
        kv_type: The faster type for the pool.
    """

    threads: Annotated[int, msgspec.Meta(ge=1, le=256)]
    ubatch_tokens: Annotated[int, msgspec.Meta(ge=1, le=65536)]
    flash_attention: Literal["auto", "on", "off"]
    kv_type: KvType


@dataclass(frozen=True, slots=True)
class _Measured:
    """A model file; its size stands in for its content, which takes long to read."""

    architecture: str
    name: str
    quantization: str
    file_bytes: int


@dataclass(frozen=True, slots=True)
class _Entry:
    model: _Measured
    tuning: Tuning


@dataclass(frozen=True, slots=True)
class _File:
    version: Literal[1]
    board: BoardIdentity
    library: str
    entries: tuple[_Entry, ...]


def read_tuning(state_dir: Path, info: ModelInfo, board: BoardIdentity) -> Tuning | None:
    """Return the result for this model on this board, or None; logs why a stored one is not used.

    Blocks on a small file; call it in a thread.
    """
    _, kept = _read(state_dir)
    if kept is None:
        return None
    if kept.board != board:
        log.warning("the tuning is that of another board and is not used; %s", _AGAIN)
        return None
    if kept.library != _library():
        log.warning("the tuning is that of another llama.cpp and is not used; %s", _AGAIN)
        return None
    model = _measured(info)
    return next((entry.tuning for entry in kept.entries if entry.model == model), None)


def write_tuning(state_dir: Path, info: ModelInfo, board: BoardIdentity, tuning: Tuning) -> None:
    """Store a result; those of other models on this board stay.

    Raises:
        StartupError: If it cannot be written; the old file is then untouched.
    """
    entry = _Entry(_measured(info), tuning)
    file, kept = _read(state_dir)
    others: tuple[_Entry, ...] = ()
    if kept is not None and (kept.board, kept.library) == (board, _library()):
        others = tuple(other for other in kept.entries if other.model != entry.model)
    data = msgspec.json.encode(_File(_VERSION, board, _library(), (*others, entry)))
    try:
        # It is no secret; and the daemon must read what ``sudo inglenook tune`` has written.
        file.write(msgspec.json.format(data) + b"\n")
    except OSError as exc:
        raise StartupError(f"{file.path}: cannot be written: {exc.strerror}") from exc


def _measured(info: ModelInfo) -> _Measured:
    return _Measured(info.architecture, info.name, info.quantization, info.file_bytes)


def _library() -> str:
    return version("llama-cpp-python")


def _read(state_dir: Path) -> tuple[StateFile, _File | None]:
    file = StateFile(state_dir / _FILE_NAME, _VERSION, mode=0o644)
    try:
        content = file.read()
        return file, msgspec.convert(content, _File) if content else None
    except OSError as exc:
        log.warning("%s cannot be read (%s), so the defaults are used", file.path, exc.strerror)
    except (NewerFile, msgspec.ValidationError) as exc:
        file.damaged(str(exc))
    return file, None
