"""Tables are pretty for people and plain for pipes."""

from __future__ import annotations

import re
import sys

import pytest

from inglenook.cli.terminal.table import print_table

ROWS = [("a1", "Anna"), ("b2", "[bold]Bob[/bold]")]


def test_a_pipe_gets_tabs_and_no_heading(capsys: pytest.CaptureFixture[str]) -> None:
    """As `cut` and `awk` want it."""
    print_table(("id", "name"), ROWS)

    assert capsys.readouterr().out == "a1\tAnna\nb2\t[bold]Bob[/bold]\n"


def test_a_terminal_gets_a_heading_and_names_as_they_are(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A device called like markup is not printed bold."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)

    print_table(("id", "name"), ROWS)

    shown = capsys.readouterr().out
    assert "name" in shown
    assert "[bold]Bob[/bold]" in shown


def test_a_terminal_too_narrow_for_a_table_gets_paragraphs(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No cell is cut: an id is for the next command, and a cut one is none."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "24")

    print_table(("id", "name", "seen"), [("abcdefgh", "Anna's [telephone] upstairs", "")])

    assert capsys.readouterr().out == ("\nid    abcdefgh\nname  Anna's [telephone]\n  upstairs\n\n")


@pytest.mark.parametrize("columns", [24, 40, 80, 200])
def test_every_cell_is_whole(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    """At any width."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", str(columns))
    rows = [("abcdefgh", "Anna", "2026-01-01"), ("ijklmnop", "Benjamin-the-second", "never")]

    print_table(("id", "name of the device", "last seen"), rows)

    shown = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)
    words = shown.split()
    assert all(cell in words for row in rows for cell in row)
    assert max(map(len, shown.splitlines())) <= columns
