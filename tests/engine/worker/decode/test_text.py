"""Detokenization: no half characters, no part of a stop string, nothing lost."""

from __future__ import annotations

import codecs
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from inglenook.engine.worker.decode.text import TextAssembler

# Few letters, so that stop strings and their beginnings meet often.
LETTERS = st.text("aab\U0001f525é", max_size=12)
STOPS = st.lists(st.text("ab\U0001f525é", min_size=1, max_size=5), max_size=3).map(tuple)


def feed(pieces: list[bytes], stop: tuple[str, ...] = ()) -> tuple[list[str], str, bool]:
    """Push all pieces; return the text of each, the text at the end, and whether it stopped."""
    text = TextAssembler(stop)
    shown = [text.push(piece) for piece in pieces]
    return shown, text.finish(), text.stopped


def cut(data: bytes, cuts: list[int]) -> list[bytes]:
    """Cut data at these positions, as tokens would."""
    places = sorted({0, len(data), *(at for at in cuts if at < len(data))})
    return [data[start:end] for start, end in pairwise(places)]


def whole_text(data: bytes) -> str:
    """Decode all at once, without an incomplete character at the end."""
    return codecs.getincrementaldecoder("utf-8")("replace").decode(data)


def oracle(data: bytes, stop: tuple[str, ...]) -> str:
    """The text to be shown: all before the stop string that is complete first."""
    text = whole_text(data)
    for end in range(1, len(text) + 1):
        whole = [s for s in stop if text[:end].endswith(s)]
        if whole:
            return text[: end - max(len(s) for s in whole)]
    return text


@pytest.mark.slow
@settings(max_examples=500)
@given(
    data=st.one_of(LETTERS.map(str.encode), st.binary(max_size=12)),
    cuts=st.lists(st.integers(1, 60), max_size=12),
    stop=STOPS,
)
@example(data=b"abcd", cuts=[3], stop=("abcd", "bc"))
@example(data=b"aab", cuts=[1, 2], stop=("aab",))
@example(data="ab\U0001f525".encode(), cuts=[3, 4, 5], stop=("\U0001f525",))
@example(data=b"aab", cuts=[1, 2], stop=("aaab", "ab"))
def test_any_split_shows_what_the_whole_text_would(
    data: bytes, cuts: list[int], stop: tuple[str, ...]
) -> None:
    """Nothing is lost, nothing of a stop string is shown, and the cuts do not matter."""
    shown, last, stopped = feed(cut(data, cuts), stop)

    text = "".join(shown) + last
    assert text == oracle(data, stop)
    assert stopped == any(whole in whole_text(data) for whole in stop)


@given(data=LETTERS.map(str.encode), cuts=st.lists(st.integers(1, 60), max_size=12), stop=STOPS)
def test_what_was_shown_is_never_taken_back(
    data: bytes, cuts: list[int], stop: tuple[str, ...]
) -> None:
    """At any time the text so far is a prefix of the final one, because it is already shown."""
    shown, last, _stopped = feed(cut(data, cuts), stop)

    so_far = ""
    for text in shown:
        so_far += text
        assert oracle(data, stop).startswith(so_far)
    assert so_far + last == oracle(data, stop)


@pytest.mark.parametrize("text", ["é", "ß→", "\U0001f525", "日本語", "👨‍👩‍👧 ok", "a\u0301"])
def test_a_character_is_shown_with_its_last_byte(text: str) -> None:
    """Byte by byte: never U+FFFD, never early, never late."""
    assembler = TextAssembler(())
    for character in text:
        *firsts, last = (bytes([byte]) for byte in character.encode())
        assert [assembler.push(first) for first in firsts] == [""] * len(firsts)
        assert assembler.push(last) == character


@pytest.mark.parametrize(
    ("pieces", "text"),
    [
        ([b"a\xffb"], "a\ufffdb"),  # no text at all
        ([b"\xf0\x9f", b"ab"], "\ufffdab"),  # a character that is never finished
        ([b"\x80"], "\ufffd"),  # one that never began
        ([b"\xed\xa0\x80"], "\ufffd\ufffd\ufffd"),  # half a surrogate pair
        ([b"\xc0\xaf"], "\ufffd\ufffd"),  # an overlong slash
        ([b""], ""),  # a control token
    ],
)
def test_bytes_that_are_no_text_are_replaced(pieces: list[bytes], text: str) -> None:
    """A model can generate them; the answer does not fail because of that."""
    shown, last, _stopped = feed(pieces)
    assert "".join(shown) + last == text


def test_half_a_character_at_the_end_is_dropped() -> None:
    """An answer cut at its token limit may end inside a character."""
    shown, last, _stopped = feed([b"fire ", "\U0001f525".encode()[:3]])
    assert ("".join(shown), last) == ("fire ", "")


def test_a_stop_string_may_be_cut_anywhere() -> None:
    """Its beginning is held back until it is clear what it is."""
    for at in range(1, 5):
        data = b"yes END no"
        shown, last, stopped = feed([data[: 4 + at], data[4 + at :]], ("END ",))
        assert ("".join(shown), last, stopped) == ("yes ", "", True)


def test_what_only_looked_like_a_stop_string_is_shown() -> None:
    """As soon as it is clear."""
    shown, last, stopped = feed([b"EN", b"E", b"N", b"Q"], ("END",))
    assert (shown, last, stopped) == (["", "EN", "", "ENQ"], "", False)


def test_the_held_back_beginning_of_a_stop_string_is_shown_at_the_end() -> None:
    """The answer ended without the rest, so it is text."""
    assert feed([b"yes EN"], ("END",)) == (["yes "], "EN", False)


def test_after_a_stop_string_nothing_is_shown() -> None:
    """A token may contain the stop string and more text, and more tokens may follow."""
    shown, last, stopped = feed([b"one|two", b"|three"], ("|",))
    assert (shown, last, stopped) == (["one", ""], "", True)


def test_of_overlapping_stop_strings_the_first_to_be_whole_ends_the_text() -> None:
    """Whether its last letters are in the same token or the next."""
    assert feed([b"xabcd"], ("abcd", "bc"))[0] == ["xa"]
    assert feed([b"xabc", b"d"], ("abcd", "bc"))[0] == ["xa", ""]
    assert feed([b"xabc"], ("bc", "abc"))[0] == ["x"]
