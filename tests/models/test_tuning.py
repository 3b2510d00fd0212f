"""What was measured is kept for the board, the model and the library it was measured with."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from inglenook.common.errors import StartupError
from inglenook.models.board_identity import BoardIdentity
from inglenook.models.info import ModelInfo
from inglenook.models.inspect import inspect_model
from inglenook.models.tuning import Tuning, read_tuning, write_tuning
from tests.parts.gguf_files import small_model

BOARD = BoardIdentity("Raspberry Pi 5 Model B Rev 1.0", 4, 2_400_000)
TUNING = Tuning(threads=3, ubatch_tokens=128, flash_attention="off", kv_type="q8_0")
OTHER = Tuning(threads=4, ubatch_tokens=512, flash_attention="auto", kv_type="f16")


@pytest.fixture
def info(tmp_path: Path) -> ModelInfo:
    path = tmp_path / "small.gguf"
    path.write_bytes(small_model())
    return inspect_model(path)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tuning.json"


def test_what_was_found_is_read_again(tmp_path: Path, info: ModelInfo) -> None:
    """Also when the model's file has moved: it is known by what it is."""
    write_tuning(tmp_path, info, BOARD, TUNING)
    moved = replace(info, path=Path("/elsewhere.gguf"))

    assert read_tuning(tmp_path, info, BOARD) == TUNING
    assert read_tuning(tmp_path, moved, BOARD) == TUNING


def test_nothing_was_found_yet(
    tmp_path: Path, info: ModelInfo, caplog: pytest.LogCaptureFixture
) -> None:
    """That is no reason for a word."""
    assert read_tuning(tmp_path, info, BOARD) is None
    assert caplog.text == ""


@pytest.mark.parametrize(
    "change",
    [
        {"file_bytes": 1},
        {"name": "Another"},
        {"architecture": "qwen2"},
        {"quantization": "Q8_0"},
    ],
)
def test_another_model_has_its_own(tmp_path: Path, info: ModelInfo, change: dict[str, Any]) -> None:
    """A finer quantisation of the same weights is another, too; both are kept."""
    other = replace(info, **change)
    write_tuning(tmp_path, info, BOARD, TUNING)
    assert read_tuning(tmp_path, other, BOARD) is None

    write_tuning(tmp_path, other, BOARD, OTHER)
    assert read_tuning(tmp_path, other, BOARD) == OTHER
    assert read_tuning(tmp_path, info, BOARD) == TUNING


def test_measuring_again_replaces_what_was_found(
    tmp_path: Path, info: ModelInfo, path: Path
) -> None:
    """The file does not grow."""
    write_tuning(tmp_path, info, BOARD, TUNING)
    size_bytes = path.stat().st_size
    write_tuning(tmp_path, info, BOARD, TUNING)
    assert path.stat().st_size == size_bytes

    write_tuning(tmp_path, info, BOARD, OTHER)
    assert read_tuning(tmp_path, info, BOARD) == OTHER


@pytest.mark.parametrize(
    "board",
    [
        replace(BOARD, cpu="Raspberry Pi 4 Model B"),
        replace(BOARD, cores=3),
        replace(BOARD, max_khz=3_000_000),
    ],
)
def test_another_boards_tuning_is_not_used(
    tmp_path: Path, info: ModelInfo, board: BoardIdentity, caplog: pytest.LogCaptureFixture
) -> None:
    """The card was moved, a core was taken away, the clock was raised: one sentence says so."""
    write_tuning(tmp_path, info, BOARD, TUNING)

    assert read_tuning(tmp_path, info, board) is None
    assert caplog.messages == [
        "the tuning is that of another board and is not used; `inglenook tune` measures again"
    ]


def test_another_boards_tunings_go_when_this_one_is_tuned(tmp_path: Path, info: ModelInfo) -> None:
    """Nothing in the file is stale."""
    write_tuning(tmp_path, replace(info, name="Another"), BOARD, OTHER)
    here = replace(BOARD, cores=2)
    write_tuning(tmp_path, info, here, TUNING)

    assert read_tuning(tmp_path, info, here) == TUNING
    assert read_tuning(tmp_path, replace(info, name="Another"), here) is None


def test_another_librarys_tuning_is_not_used(
    tmp_path: Path, info: ModelInfo, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Its next version may be faster elsewhere."""
    write_tuning(tmp_path, info, BOARD, TUNING)
    kept = msgspec.json.decode(path.read_bytes())
    path.write_bytes(msgspec.json.encode(kept | {"library": "0.0.1"}))

    assert read_tuning(tmp_path, info, BOARD) is None
    assert "another llama.cpp" in caplog.text


@pytest.mark.parametrize(
    ("ours", "spoilt"),
    [
        ('"version": 1', '"version": 2'),
        ('"library"', '"book"'),
        ('"board": {', '"board": "a Pi", "rest": {'),
        ('"entries": [', '"entries": null, "rest": ['),
        ('"threads": 3', '"threads": 0'),
        ('"threads": 3', '"threads": 100000'),
        ('"threads": 3', '"threads": "3"'),
        ('"ubatch_tokens": 128', '"ubatch_tokens": -1'),
        ('"flash_attention": "off"', '"flash_attention": "perhaps"'),
        ('"kv_type": "q8_0"', '"kv_type": "q1_0"'),
    ],
)
def test_what_is_not_ours_is_not_used(
    tmp_path: Path,
    info: ModelInfo,
    caplog: pytest.LogCaptureFixture,
    ours: str,
    spoilt: str,
) -> None:
    """The library would abort on some of it; a later version may write another form."""
    path = tmp_path / "tuning.json"
    write_tuning(tmp_path, info, BOARD, TUNING)
    text = path.read_text()
    assert ours in text
    path.write_text(text.replace(ours, spoilt))

    assert read_tuning(tmp_path, info, BOARD) is None
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith(f"{path} is damaged (")


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"\xff\xfe", b"\0" * 100, b"[" * 100_000],
    ids=["empty", "cut off", "no text", "zeros", "endless"],
)
def test_a_spoilt_file_is_not_used_and_can_be_replaced(
    tmp_path: Path, info: ModelInfo, path: Path, caplog: pytest.LogCaptureFixture, data: bytes
) -> None:
    """The card was full, or somebody wrote into it."""
    path.write_bytes(data)

    assert read_tuning(tmp_path, info, BOARD) is None
    assert caplog.messages[0].startswith(f"{path} is damaged (")
    write_tuning(tmp_path, info, BOARD, TUNING)
    assert read_tuning(tmp_path, info, BOARD) == TUNING


def test_a_folder_in_its_place_is_a_sentence(
    tmp_path: Path, info: ModelInfo, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Reading goes on with the defaults; writing cannot, and leaves nothing behind."""
    path.mkdir()
    before = set(tmp_path.iterdir())

    with caplog.at_level(logging.WARNING):
        assert read_tuning(tmp_path, info, BOARD) is None
    assert f"{path} cannot be read (Is a directory)" in caplog.text
    with pytest.raises(StartupError, match="cannot be written: Is a directory"):
        write_tuning(tmp_path, info, BOARD, TUNING)
    assert set(tmp_path.iterdir()) == before


def test_a_missing_folder_is_a_sentence(tmp_path: Path, info: ModelInfo) -> None:
    """It is the caller's to make."""
    with pytest.raises(StartupError, match="No such file"):
        write_tuning(tmp_path / "nowhere", info, BOARD, TUNING)


def test_the_daemons_user_can_read_what_root_wrote(
    tmp_path: Path, info: ModelInfo, path: Path
) -> None:
    """It is no secret."""
    write_tuning(tmp_path, info, BOARD, TUNING)
    assert path.stat().st_mode & 0o777 == 0o644
