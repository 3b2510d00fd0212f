"""Own blocks are found, damaged files are deleted, all other files are left alone."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from inglenook.engine.worker.prefix.blockfile import write_block
from inglenook.engine.worker.prefix.blocks import Block
from inglenook.engine.worker.prefix.folder import SPARE_BYTES, room_bytes, scan_folder
from tests.engine.worker.prefix.keeping import (
    MIB,
    OTHER_ROOT,
    ROOT,
    blocks_of,
    file_system,
    files,
    prompt,
)

OWN = ROOT.hex()
[FIRST, TAIL] = blocks_of(prompt(200))


def write(folder: Path, block: Block, used_ns: int, *, owner: str = OWN) -> Path:
    """A block's file that was last used at a certain time."""
    path = folder / owner / f"{block.key.hex()}.kv"
    path.parent.mkdir(exist_ok=True)
    for _piece in write_block(path, block, b"state"):
        pass
    os.utime(path, ns=(used_ns, used_ns))
    return path


def test_blocks_are_found_with_their_size_and_time(tmp_path: Path) -> None:
    """That is all that is needed of them for now."""
    sizes = [
        write(tmp_path, FIRST, 1000).stat().st_size,
        write(tmp_path, TAIL, 2000).stat().st_size,
    ]
    kept, foreign = scan_folder(tmp_path, OWN)

    # In which order a folder names its files is its file system's affair.
    assert sorted((file.used_ns, file.block, file.file_bytes) for file in kept) == [
        (1000, FIRST, sizes[0]),
        (2000, TAIL, sizes[1]),
    ]
    assert foreign == []


def test_other_models_files_are_told_oldest_first(tmp_path: Path) -> None:
    """Unread: they may be of any format."""
    other = OTHER_ROOT.hex()
    paths = [
        write(tmp_path, block, used_ns, owner=other) for block, used_ns in ((TAIL, 7), (FIRST, 3))
    ]
    paths[0].write_bytes(b"a format of tomorrow")
    os.utime(paths[0], ns=(7, 7))
    kept, foreign = scan_folder(tmp_path, OWN)

    assert kept == []
    assert [file.path for file in foreign] == paths[::-1]
    assert foreign[1].file_bytes == 20


def test_what_was_never_finished_is_removed(tmp_path: Path) -> None:
    """A power cut left it, here or in another model's folder."""
    for owner in (ROOT, OTHER_ROOT):
        (tmp_path / owner.hex()).mkdir()
        (tmp_path / owner.hex() / f"{FIRST.key.hex()}.tmp").write_bytes(b"half")
    scan_folder(tmp_path, OWN)

    assert files(tmp_path) == []


def test_a_damaged_file_is_removed(tmp_path: Path) -> None:
    """It would never be of use."""
    write(tmp_path, FIRST, 0).write_bytes(b"nonsense")

    assert scan_folder(tmp_path, OWN) == ([], [])
    assert files(tmp_path) == []


def test_foreign_files_are_left_alone(tmp_path: Path) -> None:
    """Whatever they are: we did not put them there."""
    own = tmp_path / OWN
    own.mkdir()
    (tmp_path / "readme.txt").write_text("mine")
    (own / "readme.txt").write_text("mine")
    (own / "ABCDEF.kv").write_text("mine")
    (own / f"{FIRST.key.hex()}.kv").mkdir()
    (own / f"{TAIL.key.hex()}.kv").symlink_to(tmp_path / "readme.txt")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / f"{FIRST.key.hex()}.kv").write_text("mine")
    before = files(tmp_path)

    assert scan_folder(tmp_path, OWN) == ([], [])
    assert files(tmp_path) == before


def test_a_folder_that_is_not_there_has_nothing(tmp_path: Path) -> None:
    """The first start."""
    assert scan_folder(tmp_path / "none", OWN) == ([], [])


@pytest.mark.parametrize(
    ("size_bytes", "spare_bytes"), [(600 * MIB, SPARE_BYTES), (20_000 * MIB, 1000 * MIB)]
)
def test_some_room_is_left_to_others(tmp_path: Path, size_bytes: int, spare_bytes: int) -> None:
    """512 MiB, or a twentieth of a large file system."""
    with file_system(tmp_path / "small", size_bytes) as folder:
        assert room_bytes(folder) == size_bytes - spare_bytes
        (folder / "theirs").write_bytes(bytes(MIB))
        assert room_bytes(folder) == size_bytes - spare_bytes - MIB


def test_room_that_others_took_is_below_zero(tmp_path: Path) -> None:
    """So that we know how much to give back."""
    with file_system(tmp_path / "small", 500 * MIB) as folder:
        assert room_bytes(folder) == -12 * MIB
