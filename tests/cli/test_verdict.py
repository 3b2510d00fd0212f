"""What was found is shown to people and to scripts."""

from __future__ import annotations

import pytest
from rich.console import Console

from inglenook.cli.verdict import drawn, fix, ok, print_section, warning

LINES = [ok("board", "a [b]"), warning("heat", "warm"), fix("ports", "taken")]


def test_a_script_gets_tabs(capsys: pytest.CaptureFixture[str]) -> None:
    """Verdict, what, text; titles are for people."""
    print_section("Box", LINES)

    assert capsys.readouterr().out == "ok\tboard\ta [b]\nwarning\theat\twarm\nfix\tports\ttaken\n"


def test_people_get_marks() -> None:
    """Under a title; what looks like markup is text."""
    console = Console(width=80, color_system=None)
    with console.capture() as shown:
        console.print(drawn("Box", LINES, 80))

    rows = [" ".join(row.split()) for row in shown.get().splitlines()]
    assert rows == ["Box", "✓ board a [b]", "! heat warm", "✗ ports taken"]
