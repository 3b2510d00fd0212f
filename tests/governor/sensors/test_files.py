"""Small files are read whole, and numbers are taken only as the kernel writes them."""

from __future__ import annotations

from pathlib import Path

import pytest

from inglenook.governor.sensors.files import (
    number_of,
    parse_number,
    parse_table,
    read_text,
    text_of,
)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0", 0),
        ("-5000", -5000),
        ("9223372036854771712", 9223372036854771712),
        ("", None),
        ("-", None),
        ("--1", None),
        ("+1", None),
        ("1_000", None),
        ("1.0", None),
        ("0x10", None),
        ("max", None),
        ("٤٢", None),
        ("9" * 5000, None),
    ],
)
def test_only_the_kernels_numbers_are_numbers(text: str, number: int | None) -> None:
    """int() would take more, and choke on some."""
    assert parse_number(text) == number


def test_a_table_keeps_the_lines_it_understands() -> None:
    """With a colon or without, with a unit or without."""
    text = "MemTotal:  16 kB\ninactive_file 7\nbroken\nodd: many kB\n\nActive(anon): 3 kB"

    assert parse_table(text) == {"MemTotal": 16, "inactive_file": 7, "Active(anon)": 3}


def test_a_file_is_read_without_what_stands_around_it(tmp_path: Path) -> None:
    """NUL and line ends."""
    (tmp_path / "file").write_bytes(b"  Orange Pi 5\0\r\n")

    assert read_text(tmp_path / "file") == "Orange Pi 5"


def test_what_cannot_be_read_is_empty_where_nobody_asks_why(tmp_path: Path) -> None:
    """A missing file, a folder."""
    assert text_of(tmp_path / "missing") == ""
    assert text_of(tmp_path) == ""
    assert number_of(tmp_path / "missing") is None
    with pytest.raises(IsADirectoryError):
        read_text(tmp_path)


def test_no_file_stays_open(tmp_path: Path) -> None:
    """Also not one that could not be read."""
    (tmp_path / "file").write_text("1\n")
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(20):
        assert number_of(tmp_path / "file") == 1
        assert text_of("/proc/self/mem") == ""

    assert len(list(Path("/proc/self/fd").iterdir())) == before
