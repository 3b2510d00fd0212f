"""`inglenook config` prints what is in force, so that it can be kept as a settings file."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from inglenook.cli import main
from inglenook.cli.config import annotated
from inglenook.config import Config, show
from tests.cli.conftest import Inglenook


def test_what_is_printed_gives_the_same_settings_again(
    inglenook: Inglenook, tmp_path: Path
) -> None:
    """Every setting is there, those from the file as well as the defaults."""
    once = inglenook("config")
    copy = tmp_path / "copy.yaml"
    copy.write_text(once.out)
    twice = inglenook("config", "--config", str(copy))

    assert (once.returncode, once.err) == (0, "")
    assert "name: Kitchen\n" in once.out
    assert "  port: 8377\n" in once.out
    assert twice.out.split("\n", 1)[1] == once.out.split("\n", 1)[1]


def test_it_says_which_file_it_has_read(
    inglenook: Inglenook, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The one named; else the user's own; else that there is none."""

    def in_home() -> str:
        capsys.readouterr()
        main(["config"])
        return capsys.readouterr().out

    named = inglenook("config")
    none = in_home()
    own = config.parent / ".config/inglenook/config.yaml"
    own.parent.mkdir(parents=True)
    own.write_text("name: Attic\n")
    users = in_home()

    assert named.out.startswith(f"# from {config}\n")
    assert none.startswith("# all of them defaults: there is no /etc/inglenook/config.yaml and")
    assert str(own) in none.splitlines()[0]
    assert users.startswith(f"# from {own}\nname: Attic\n")


def test_what_is_left_to_the_program_is_resolved_beside(
    inglenook: Inglenook, config: Path, starter_model: Path
) -> None:
    """Every ``auto`` and ``null``, as far as it can be known before the model is loaded."""
    without = inglenook("config").out
    config.write_text(f"{config.read_text()}model: {{path: {starter_model}}}\n")
    with_model = inglenook("config").out

    missing = config.parent / "state/models/SmolLM2-135M-Instruct.Q4_1.gguf"
    assert f"  path: null  # the starter model, {missing}\n" in without
    assert "  context: auto  # follows from the model, which `inglenook doctor`" in without
    assert re.search(r"\n  context: auto  # [0-9]+ if loaded now\n", with_model)
    assert re.search(r"\n  ram: auto  # [0-9.]+ [MG]iB if loaded now\n", with_model)
    assert re.search(r"\n  disk: auto  # [0-9.]+ [MG]iB\n", with_model)
    assert re.search(r"\n  threads: auto  # [0-9]+, one a core worth computing on\n", with_model)
    open_lines = [line for line in with_model.splitlines() if line.endswith((": auto", ": null"))]
    assert open_lines == []


def test_a_narrow_terminal_has_the_comments_above() -> None:
    """And what is printed can still be kept as a settings file."""
    text = "model:\n  path: null\n  context: auto\n"

    shown = annotated(text, {"model.path": "the starter model, /a/b", "model.context": "8"}, 24)

    assert shown.splitlines() == [
        "model:",
        "  # the starter model,",
        "  # /a/b",
        "  path: null",
        "  context: auto  # 8",
    ]


def test_words_that_yaml_takes_for_others_need_no_quotes() -> None:
    """Our own reader takes every value as the text that stands there, but for null."""
    shown = show(Config("null", Path("/s")))

    assert "speculation: off\n" in shown
    assert "journal: true\n" in shown
    assert shown.startswith("name: 'null'\n")
