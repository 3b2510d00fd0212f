"""A state is offered only to the model it was computed by."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from inglenook.engine.worker.prefix import fingerprint as fingerprint_module
from inglenook.engine.worker.prefix.fingerprint import file_id, fingerprint

SIZE_BYTES = 16 * 2**20


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file as large as needed; most of it is a hole."""
    path = tmp_path_factory.mktemp("models") / "a.gguf"
    with path.open("wb") as file:
        file.truncate(SIZE_BYTES)
    return path


def changed(model: Path, folder: Path, place: int, data: bytes = b"\1") -> Path:
    """A copy that is different at one place."""
    copy = folder / "b.gguf"
    with copy.open("wb") as file:
        file.truncate(SIZE_BYTES)
        file.seek(place)
        file.write(data)
    return copy


def test_a_copy_is_the_same_model(model: Path, tmp_path: Path) -> None:
    """Whatever its name and its time."""
    copy = changed(model, tmp_path, 0, b"\0")
    os.utime(copy, (0, 0))

    assert fingerprint(copy, kv_type="f16") == fingerprint(model, kv_type="f16")
    assert len(fingerprint(model)) == 16


@pytest.mark.parametrize(
    "place",
    [0, 2**20 - 1, SIZE_BYTES - 2**20, SIZE_BYTES - 1, SIZE_BYTES * 30 // 65],
)
def test_another_content_is_another_model(model: Path, tmp_path: Path, place: int) -> None:
    """At its beginning, its end, and at places between."""
    assert fingerprint(changed(model, tmp_path, place)) != fingerprint(model)


def test_other_weights_of_the_same_size_are_another_model(model: Path, tmp_path: Path) -> None:
    """A quarter MiB of them is enough, wherever it is."""
    place = SIZE_BYTES // 3
    assert fingerprint(changed(model, tmp_path, place, b"\1" * 2**18)) != fingerprint(model)


def test_another_length_is_another_model(model: Path, tmp_path: Path) -> None:
    """Though it holds nothing else."""
    longer = changed(model, tmp_path, SIZE_BYTES, b"\0")

    assert fingerprint(longer) != fingerprint(model)


@pytest.mark.parametrize("size_bytes", [0, 1, 4096, 2**20])
def test_a_small_file_has_a_fingerprint_too(tmp_path: Path, size_bytes: int) -> None:
    """Toy models are smaller than the samples."""
    path = tmp_path / "toy.gguf"
    path.write_bytes(os.urandom(size_bytes))

    assert fingerprint(path) == fingerprint(path)


def test_circumstances_count(model: Path) -> None:
    """By name and value, in any order."""
    assert fingerprint(model, kv_type="f16", lora=1) == fingerprint(model, lora=1, kv_type="f16")
    prints = [
        fingerprint(model),
        fingerprint(model, kv_type="f16"),
        fingerprint(model, kv_type="q8_0"),
        fingerprint(model, type_kv="q8_0"),
        fingerprint(model, lora=1),
        fingerprint(model, lora="1"),
    ]
    assert len(set(prints)) == len(prints)


def test_our_own_format_counts(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Raising it makes all stored files foreign."""
    before, own = fingerprint(model), file_id(model)
    monkeypatch.setattr(fingerprint_module, "FORMAT", fingerprint_module.FORMAT + 1)

    assert fingerprint(model) != before
    # Unfinished answers go on with the same file, after an update too.
    assert file_id(model) == own


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    """The caller is about to load it."""
    with pytest.raises(FileNotFoundError):
        fingerprint(tmp_path / "none.gguf")
