"""`inglenook model` tells what a file is, or in one sentence why it will not do."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Inglenook
from tests.parts.gguf_files import corrupt_variants, model_bytes, small_model


@pytest.fixture
def models_dir(tmp_path: Path) -> Path:
    """Where the box keeps its models."""
    folder = tmp_path / "state" / "models"
    folder.mkdir(parents=True)
    return folder


def test_without_a_model_it_says_how_to_get_one(inglenook: Inglenook) -> None:
    """On stderr: a script reads no model."""
    ran = inglenook("model")

    assert (ran.returncode, ran.out) == (0, "")
    assert "`inglenook model pull starter`" in ran.err


def test_good_and_bad_files_are_listed(inglenook: Inglenook, models_dir: Path) -> None:
    """Each with what it is, or what is wrong with it."""
    (models_dir / "good.gguf").write_bytes(small_model())
    (models_dir / "bad.gguf").write_bytes(b"<!DOCTYPE html><html>404</html>")

    rows = dict(line.split("\t") for line in inglenook("model", "list").out.splitlines())

    assert list(rows) == ["bad.gguf", "good.gguf"]
    assert "web page" in rows["bad.gguf"]
    assert "Q4_0" in rows["good.gguf"]


def test_a_file_is_examined_by_name(inglenook: Inglenook, tmp_path: Path) -> None:
    """What it is called, how large it is, and what a conversation in it costs."""
    path = tmp_path / "some.gguf"
    path.write_bytes(small_model())

    ran = inglenook("model", "info", str(path))
    facts = dict(line.split(maxsplit=1) for line in ran.out.splitlines())

    assert ran.returncode == 0
    assert facts["file"] == str(path)
    assert facts["name"] == "Small Test Model"
    assert facts["context"] == "256 tokens"


def test_a_files_own_words_cannot_command_the_terminal(
    inglenook: Inglenook, models_dir: Path
) -> None:
    """Whoever wrote the file may have put anything into its name."""
    (models_dir / "odd.gguf").write_bytes(model_bytes({"general.name": "\x1b[2J\x07odd\n\rname"}))

    ran = inglenook("model", "info", str(models_dir / "odd.gguf"))
    listed = inglenook("model", "list")

    assert ran.returncode == 0
    for text in (ran.out.replace("\n", ""), listed.out.replace("\n", "").replace("\t", "")):
        assert text.isprintable()


def test_every_corrupt_file_is_a_sentence(inglenook: Inglenook, tmp_path: Path) -> None:
    """Exit code 1, the file named, the reason said, no trace."""
    for path, words in corrupt_variants(tmp_path):
        ran = inglenook("model", "info", str(path))

        assert (ran.returncode, ran.out) == (1, ""), path.name
        assert words in ran.err, path.name
        assert ran.err.count("\n") == 1, path.name


@pytest.mark.parametrize("where", ["missing.gguf", "."])
def test_no_file_or_a_folder_is_a_sentence(
    inglenook: Inglenook, tmp_path: Path, where: str
) -> None:
    """Both happen to people who type paths."""
    ran = inglenook("model", "info", str(tmp_path / where))

    assert (ran.returncode, ran.out) == (1, "")
    assert ran.err.startswith("inglenook: ")


def test_pulling_what_is_there_prints_its_path(
    inglenook: Inglenook, starter_model: Path, tmp_path: Path
) -> None:
    """Nothing is fetched twice; a script gets the path alone."""
    settings = tmp_path / "with-starter.yaml"
    settings.write_text(f"state_dir: {starter_model.parent.parent}\n")

    ran = inglenook("model", "pull", "starter", "--config", str(settings))

    assert (ran.returncode, ran.out) == (0, f"{starter_model}\n")
