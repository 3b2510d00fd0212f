"""Reading within bounds."""

from __future__ import annotations

import io
import struct

import pytest

from inglenook.models.gguf.reader import MAX_HEADER_BYTES, MAX_TEXT_BYTES, BoundedReader
from inglenook.models.info import BadModelError


def text(content: bytes) -> bytes:
    return struct.pack("<Q", len(content)) + content


def reader(data: bytes, size_bytes: int | None = None) -> BoundedReader:
    return BoundedReader(io.BytesIO(data), len(data) if size_bytes is None else size_bytes)


def test_numbers_and_texts_come_one_after_another() -> None:
    """The offset follows everything that is read or skipped."""
    it = reader(struct.pack("<IQ", 7, 8) + text("grün".encode()) + b"skip" + text(b"end"))

    assert (it.u32("a"), it.u64("b"), it.text("c")) == (7, 8, "grün")
    it.skip(4, "d")
    assert list(it.texts(1, "e")) == [b"end"]
    assert it.offset == 4 + 8 + 8 + 5 + 4 + 8 + 3


def test_a_length_beyond_the_end_is_refused_before_reading() -> None:
    """The sentence names what was read, and the size of the file."""
    with pytest.raises(BadModelError, match="its 11 bytes end before the name"):
        reader(struct.pack("<Q", 2**63) + b"abc").text("the name")


def test_a_file_that_shrinks_meanwhile_is_refused() -> None:
    """The size was asked for at the beginning; what is read is checked all the same."""
    with pytest.raises(BadModelError, match="cut short"):
        reader(b"ab", size_bytes=100).take(4, "four bytes")


@pytest.mark.parametrize("count", [2, 2**60])
def test_texts_end_where_the_file_ends(count: int) -> None:
    """A list that claims to be longer than the file is refused."""
    with pytest.raises(BadModelError, match="end before the list"):
        list(reader(text(b"one") + struct.pack("<Q", 99)).texts(count, "the list"))


def test_the_header_has_a_most() -> None:
    """A length may be within the file and still beyond all reason."""
    with pytest.raises(BadModelError, match="header of more than"):
        reader(b"", size_bytes=2**40).skip(MAX_HEADER_BYTES + 1, "an array")


def test_all_kept_text_together_has_a_most() -> None:
    """A thousand long texts are as bad as one endless one."""
    half = text(b"x" * (MAX_TEXT_BYTES // 2))
    it = reader(half * 2 + text(b"x"))
    it.text("the first")
    it.text("the second")

    with pytest.raises(BadModelError, match="too much text in the third: 1 bytes"):
        it.text("the third")


def test_text_must_be_utf8() -> None:
    """Names end up on screens and in JSON."""
    with pytest.raises(BadModelError, match="the name is not UTF-8"):
        reader(text(b"\xff\xfe")).text("the name")


@pytest.mark.parametrize(
    ("number", "words"),
    [(11, "claims to have 11 things, where 10 is the most"), (10, "before the first of 10 things")],
)
def test_a_count_is_held_against_its_most_and_the_file(number: int, words: str) -> None:
    """Nothing is allocated for things there is no room for in the file."""
    with pytest.raises(BadModelError, match=words):
        reader(struct.pack("<Q", number) + bytes(19)).count("things", most=10, least_bytes=2)
