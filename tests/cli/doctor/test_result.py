"""What was found is shown to people and to scripts."""

from __future__ import annotations

import pytest
from rich.console import Console

from inglenook.cli.doctor.result import drawn, fix, ok, print_section, warning

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


def test_what_there_is_not_has_no_tick() -> None:
    """Nothing to be well is no success; for a script it is no fault either."""
    console = Console(width=80, color_system=None)
    with console.capture() as shown:
        console.print(drawn("Box", [ok("clock", "cannot be told", tells=False)], 80))

    assert shown.get().splitlines()[1].split() == ["-", "clock", "cannot", "be", "told"]


def test_a_narrow_terminal_has_texts_below_what_they_are_about() -> None:
    """Half of its columns are not for labels."""
    console = Console(width=24, color_system=None)
    with console.capture() as shown:
        console.print(drawn("Box", [ok("memory pressure", "some task waits now")], 24))

    assert [row.rstrip() for row in shown.get().splitlines()] == [
        "Box",
        "✓ memory pressure",
        "  some task waits now",
    ]


def test_a_title_is_broken_between_words() -> None:
    """By a terminal alone it would be broken within one."""
    console = Console(width=24, color_system=None)
    with console.capture() as shown:
        console.print(drawn("What the box would do now", LINES, 24), soft_wrap=True)

    assert shown.get().splitlines()[:2] == ["What the box would do", "now"]
