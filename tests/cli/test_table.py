"""Tables are pretty for people and plain for pipes."""

from __future__ import annotations

import sys

import pytest

from inglenook.cli.table import print_table

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
