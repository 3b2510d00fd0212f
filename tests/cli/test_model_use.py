"""`inglenook model use`: the box has another model, and its owner's settings stay as they are."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from inglenook.cli import main
from tests.cli.conftest import Inglenook
from tests.parts.gguf_files import small_model


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "a model.gguf"
    path.write_bytes(small_model())
    return path


def test_it_is_in_force_from_then_on(inglenook: Inglenook, config: Path, model: Path) -> None:
    """What else the file says stays; and it is said how to start."""
    config.write_text(f"# mine\n{config.read_text()}model:\n  context: 512  # enough\n")
    config.chmod(0o600)

    ran = inglenook("model", "use", str(model))

    assert ran.returncode == 0, ran.err
    assert ran.out == f"{config}: model.path is {model} from the next start on\n"
    assert f"start it again: `inglenook up --config {config}`" in ran.err
    text = config.read_text()
    assert text.startswith("# mine\nname: Kitchen\n")
    assert f"model:\n  path: {model}\n  context: 512  # enough\n" in text
    assert config.stat().st_mode & 0o777 == 0o600
    assert f"  path: {model}\n" in inglenook("config").out
    assert "in use" in inglenook("model").out


def test_without_a_file_the_users_own_is_made(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And `up` reads it, without a word about it."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)

    assert main(["model", "use", model.name]) == 0

    own = tmp_path / ".config/inglenook/config.yaml"
    assert own.read_text() == f"model:\n  path: {model}\n"
    assert "start it again: `inglenook up`\n" in capsys.readouterr().err
    main(["config"])
    assert f"  path: {model}\n" in capsys.readouterr().out


def test_a_model_of_the_boxs_own_is_called_by_its_name(inglenook: Inglenook, config: Path) -> None:
    """As `model list` shows it; and the starter by its own."""
    models = config.parent / "state/models"
    models.mkdir(parents=True)
    (models / "own.gguf").write_bytes(small_model())

    assert inglenook("model", "use", "own.gguf").returncode == 0
    assert f"path: {models / 'own.gguf'}\n" in config.read_text()
    starter = inglenook("model", "use", "starter")

    assert "model.path is null, the starter model, from" in starter.out
    assert "  path: null\n" in config.read_text()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("/nowhere.gguf", "it does not exist; check the path, and that the disk it is on is"),
        ("web.gguf", "it is a web page"),
        ("\x1b.gguf", "has characters that a settings file cannot hold"),
    ],
)
def test_what_is_no_model_changes_nothing(
    inglenook: Inglenook, config: Path, monkeypatch: pytest.MonkeyPatch, name: str, words: str
) -> None:
    """The sentence is about what was named, not about the settings."""
    monkeypatch.chdir(config.parent)
    (config.parent / "web.gguf").write_text("<!DOCTYPE html><html></html>")
    (config.parent / "\x1b.gguf").write_bytes(small_model())
    before = config.read_text()

    ran = inglenook("model", "use", name)

    assert ran.returncode == 1
    assert words in ran.err
    assert "model.path" not in ran.err
    assert config.read_text() == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_settings_that_may_not_be_written_are_root_s(
    inglenook: Inglenook, config: Path, model: Path
) -> None:
    """As the machine's own."""
    config.parent.chmod(0o500)
    ran = inglenook("model", "use", str(model))
    config.parent.chmod(0o700)

    assert ran.returncode == 1
    assert "may not be written by this user; try it with sudo" in ran.err


def test_the_service_is_installed_again_for_it(
    inglenook: Inglenook, config: Path, model: Path
) -> None:
    """Its limits and the folders it sees follow from the model."""
    config.write_text("state_dir: /var/lib/inglenook\n")

    ran = inglenook("model", "use", str(model))

    assert f"service install --config {config}` restarts the service with it" in ran.err
