"""Lines break where a reader would break them, however the text comes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from inglenook.cli.terminal.word_wrap import WordWrap, printable


def wrapped(text: str, columns: int = 10, pieces: int = 1) -> str:
    """The text as it is shown if it comes so many characters at a time."""
    wrap = WordWrap(lambda: columns)
    shown = [wrap.feed(text[at : at + pieces]) for at in range(0, len(text), pieces)]
    return "".join([*shown, wrap.finish()])


@pytest.mark.parametrize("pieces", [1, 3, 100])
@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("one two three four", "one two\nthree four"),
        # Exactly full, and one too many.
        ("1234 67890 x", "1234 67890\nx"),
        ("1234 678901", "1234\n678901"),
        # Its own lines stay, and the white space they begin with.
        ("one\n\n  two three", "one\n\n  two\nthree"),
        ("one   two", "one   two"),
        # A word that no line can hold is the terminal's affair.
        ("x 12345678901234 y", "x\n12345678901234 y"),
        # Scripts without spaces break between characters, two columns each, not before a mark.
        ("\u4f60\u597d" * 4, "\u4f60\u597d\u4f60\u597d\u4f60\n\u597d\u4f60\u597d"),
        ("\u4f60\u597d\u4f60\u597d\u4f60\u3002", "\u4f60\u597d\u4f60\u597d\n\u4f60\u3002"),
        ("abc \u4f60\u597d\u4f60\u597d", "abc \u4f60\u597d\u4f60\n\u597d"),
        # What is one picture stays one.
        ("12345678 \U0001f468\u200d\U0001f469\u200d\U0001f467", None),
        ("12345678 \U0001f44d\U0001f3fd", None),
        ("12345678 \U0001f1eb\U0001f1f7", None),
        # Code is left as somebody will copy it.
        (
            "```py\none two three four\n```\none two three",
            "```py\none two three four\n```\none two\nthree",
        ),
    ],
)
def test_lines_break_at_spaces(text: str, shown: str | None, pieces: int) -> None:
    """The same, in whatever pieces the text comes."""
    expected = text.replace(" ", "\n") if shown is None else shown

    assert wrapped(text, pieces=pieces) == expected


@given(st.text("ab \n\u4f60\u3002\U0001f44d", max_size=200), st.integers(4, 12), st.integers(1, 7))
def test_nothing_is_lost_and_no_line_is_too_long(text: str, columns: int, pieces: int) -> None:
    """But for one word that is, with the marks behind it."""
    shown = wrapped(text, columns, pieces)

    assert "".join(shown.split()) == "".join(text.split())
    for line in shown.split("\n"):
        # Spaces at a line's own beginning are its own, and some break nothing.
        words = line.strip().split(" ")
        assert cell_len(line.rstrip()) <= columns or len(words) == 1 or line.startswith(" ")


def test_a_word_that_is_long_in_coming_is_shown_as_far_as_it_is() -> None:
    """And goes on in its line."""
    wrap = WordWrap(lambda: 10)

    assert wrap.feed("one tw") == "one"
    assert wrap.pause() == " tw"
    assert wrap.feed("elve x") == "elve"
    assert wrap.finish() == "\nx"


def test_a_window_that_changes_its_size_is_followed() -> None:
    """From the next word on."""
    columns = 20
    wrap = WordWrap(lambda: columns)
    shown = wrap.feed("one two three ")
    columns = 10
    shown += wrap.feed("four five six ") + wrap.finish()

    assert shown == "one two three\nfour five\nsix"


@pytest.mark.parametrize("text", ["\x1b[2J", "\x9b2J", "\r", "\x08", "\x7f", "\x00", "\x07"])
def test_controls_are_left_out(text: str) -> None:
    """Whatever stays of a sequence is text."""
    assert printable(f"a{text}b") == "a" + text.lstrip("\x1b\x9b\r\x08\x7f\x00\x07") + "b"
    assert wrapped(f"a{text}b") == printable(f"a{text}b")
    assert printable("a\tb\n\u4f60") == "a\tb\n\u4f60"
