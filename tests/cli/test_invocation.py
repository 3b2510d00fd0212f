"""Commands in messages work as they stand, in this shell and after ``sudo``."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

import pytest

from inglenook.cli.invocation import COMMAND, as_typed, command, root_command
from tests.parts.box import run_inglenook


def test_a_command_that_path_finds_is_called_by_its_name() -> None:
    """As after README's line; and nothing else in a message is touched."""
    assert command() == "inglenook"
    assert as_typed("run `inglenook pair`, inglenook") == "run `inglenook pair`, inglenook"


def test_one_that_path_does_not_find_is_called_by_its_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """As at a fresh login after `make up`."""
    monkeypatch.setenv("PATH", "/usr/bin:/bin")

    assert Path(sys.prefix) / "bin/inglenook" == COMMAND
    assert as_typed("run `inglenook pair`") == f"run `{shlex.quote(str(COMMAND))} pair`"


def test_another_program_of_that_name_is_not_this_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """An older installation, say."""
    other = tmp_path / "inglenook"
    other.touch(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))

    assert command() == shlex.quote(str(COMMAND))


def test_sudo_is_given_what_it_finds_in_its_own_path() -> None:
    """Whatever the caller's PATH is; for root there is no sudo."""
    link = Path("/usr/local/bin/inglenook")
    linked = link.exists() and link.resolve() == COMMAND.resolve()
    called = "inglenook" if linked else shlex.quote(str(COMMAND))
    expected = called if os.geteuid() == 0 else f"sudo {called}"

    assert root_command() == expected
    assert as_typed("try `sudo inglenook service install`") == f"try `{expected} service install`"


def test_what_a_message_names_can_be_run(tmp_path: Path) -> None:
    """The real thing, in a shell whose PATH does not lead to it."""
    environ = {"HOME": str(tmp_path)}
    ran = run_inglenook(("status", "--once"), environ, path="/usr/bin:/bin")
    named = ran.err.partition("start it with `")[2].partition("`")[0].replace("\n  ", " ")

    assert named == f"{shlex.quote(str(COMMAND))} up"
    assert Path(shlex.split(named)[0]).exists()
