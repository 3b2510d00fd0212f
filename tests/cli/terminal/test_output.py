"""Sentences are broken at spaces on a terminal, and left whole in a pipe."""

from __future__ import annotations

import io
import logging
import sys

import pytest

from inglenook.cli.terminal.output import LineFormatter, broken, columns_of, note, say


@pytest.mark.parametrize(
    ("text", "first", "rest", "lines"),
    [
        ("one two three", "", "", ["one two", "three"]),
        ("one two three", "> ", "  ", ["> one two", "  three"]),
        ("one twothreefourfive six", "", "", ["one", "twothreefourfive", "six"]),
        ("twothreefour", "label  ", "  ", ["label", "  twothreefour"]),
        ("twothreefourfive", "> ", "> ", ["> twothreefourfive"]),
        ("one\ntwo", "> ", "  ", ["> one", "  two"]),
        ("", "", "", [""]),
        ("a `b c` d", "", "", ["a `b c` d"]),
        ("two `b c d` e", "", "", ["two", "`b c d` e"]),
        ("x `b c d e f` e", "", "", ["x `b c d", "e f` e"]),
        ("漢字 漢字 漢字", "", "", ["漢字 漢字", "漢字"]),
    ],
)
def test_lines_end_at_spaces(text: str, first: str, rest: str, lines: list[str]) -> None:
    """One word alone may be wider; signs that take two columns count for two."""
    assert broken(text, 9, first, rest) == lines


def test_a_pipe_gets_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever searches a log searches lines."""
    say("a " * 100, first="> ")
    note("b " * 100)

    captured = capsys.readouterr()
    assert captured.out == f"> {'a ' * 100}\n"
    assert captured.err == f"{'b ' * 100}\n"


def test_what_others_say_does_not_act_on_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """An answer's reason, a closing frame's, a log line: strangers write some of it."""
    text = "not \x1b]0;title\x07\x9b2Jhere\r\x7f,\tbut\nthere"
    say(text)
    note(text)
    record = logging.LogRecord("a", logging.WARNING, "a.py", 1, text, (), None)

    shown = "not ]0;title2Jhere,\tbut\nthere"
    captured = capsys.readouterr()
    assert captured.out == captured.err == f"{shown}\n"
    assert LineFormatter().format(record) == shown


def test_a_terminal_gets_its_own_width(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log too, behind what clears a line that is being written over."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "30")
    formatter = LineFormatter()
    formatter.before = "\x1b[K"
    record = logging.LogRecord("x", logging.INFO, "", 0, "word " * 12, None, None)

    note("word " * 12, first="inglenook: ", rest="  ")

    assert all(len(line) <= 30 for line in capsys.readouterr().err.splitlines())
    assert formatter.format(record).splitlines() == [
        "\x1b[Kword word word word word word",
        "  word word word word word",
        "  word",
    ]


def test_what_is_no_terminal_has_no_width() -> None:
    """A file, or a pipe."""
    assert columns_of(io.StringIO()) is None
