"""The models directory."""

from __future__ import annotations

from pathlib import Path

from inglenook.models.inspect import examine, list_models, resolve_model
from tests.parts.gguf_files import small_model


def test_sound_and_bad_files_are_listed_by_name(tmp_path: Path) -> None:
    """A bad file is shown with its fault, not left out; other files are not looked at."""
    (tmp_path / "b.gguf").write_bytes(small_model())
    (tmp_path / "a.gguf").write_bytes(b"<html>")
    (tmp_path / "notes.txt").write_text("not a model")
    (tmp_path / ".pull-1234").mkdir()

    bad, sound = list_models(tmp_path)

    assert bad.path == tmp_path / "a.gguf"
    assert bad.info is None
    assert bad.fault is not None
    assert "is a web page" in bad.fault
    assert sound.path == tmp_path / "b.gguf"
    assert sound.info is not None
    assert sound.info.name == "Small Test Model"
    assert sound.fault is None


def test_a_directory_that_is_not_there_yet_has_no_models(tmp_path: Path) -> None:
    """So it is before the first pull."""
    assert list_models(tmp_path / "models") == []


def test_no_path_means_the_starter_model(tmp_path: Path) -> None:
    """A configured path is taken as it is, wherever it is."""
    assert resolve_model(None, tmp_path) == tmp_path / "SmolLM2-135M-Instruct.Q4_1.gguf"
    assert resolve_model(Path("/usb/model.gguf"), tmp_path) == Path("/usb/model.gguf")


def test_a_file_that_is_missing_is_an_entry_with_a_fault(tmp_path: Path) -> None:
    """The configured one is shown even then."""
    entry = examine(tmp_path / "gone.gguf")

    assert (entry.path.name, entry.info) == ("gone.gguf", None)
    assert entry.fault is not None
    assert "does not exist" in entry.fault
