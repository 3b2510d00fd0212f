"""Numbers people write, and the numbers the program uses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inglenook.common.units import (
    format_bytes,
    format_duration,
    mid_sentence,
    parse_bytes,
    parse_duration_s,
)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("0", 0),
        ("1", 1),
        ("17B", 17),
        ("1kB", 1000),
        ("1KiB", 1024),
        ("5MB", 5_000_000),
        ("512MiB", 536_870_912),
        ("1.5GB", 1_500_000_000),
        ("2GiB", 2_147_483_648),
        (" 2 gib ", 2_147_483_648),
        ("0.5KiB", 512),
    ],
)
def test_a_size_is_read_in_bytes(text: str, count: int) -> None:
    """IEC prefixes count by 1024, SI prefixes by 1000, in any case."""
    assert parse_bytes(text) == count


@pytest.mark.parametrize(
    "text", ["", "MiB", "-1MiB", "1,5GB", "1e9", "1TB", "10min", "1 2MiB", ".5GB", "٣MB", "0x10"]
)
def test_what_is_no_size_is_refused_with_an_example(text: str) -> None:
    """The sentence quotes what was written."""
    with pytest.raises(ValueError, match="write for example 512MiB, 2GiB or 0") as caught:
        parse_bytes(text)

    assert str(caught.value).startswith(f"{text!r} is not a size")


@pytest.mark.parametrize(
    ("text", "duration_s"),
    [
        ("0", 0.0),
        ("0s", 0.0),
        ("200ms", 0.2),
        ("30s", 30.0),
        ("1.5s", 1.5),
        ("10min", 600.0),
        (" 10 MIN ", 600.0),
        ("2h", 7200.0),
        ("90d", 7_776_000.0),
    ],
)
def test_a_duration_is_read_in_seconds(text: str, duration_s: float) -> None:
    """In any case, with or without spaces."""
    assert parse_duration_s(text) == duration_s


@pytest.mark.parametrize("text", ["", "s", "10", "1.5", "10m", "-1s", "1w", "1 h 30 min", "5MiB"])
def test_what_is_no_duration_is_refused_with_an_example(text: str) -> None:
    """A bare number too: it could be minutes to its writer and seconds to us."""
    with pytest.raises(
        ValueError, match="write for example 200ms, 30s, 10min, 2h or 90d"
    ) as caught:
        parse_duration_s(text)

    assert str(caught.value).startswith(f"{text!r} is not a duration")


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (98_304_000, "93.8 MiB"),
        (2**30, "1.0 GiB"),
        (3 * 2**40, "3072.0 GiB"),
        (-2048, "-2.0 KiB"),
    ],
)
def test_a_size_is_shown_with_one_digit_after_the_point(count: int, text: str) -> None:
    """In the largest unit that keeps it above 1, at most GiB."""
    assert format_bytes(count) == text


@pytest.mark.parametrize(
    ("duration_s", "text"),
    [
        (0.0, "0 s"),
        (0.2, "0.2 s"),
        (1.5, "1.5 s"),
        (90.0, "90 s"),
        (300.0, "5 min"),
        (5400.0, "90 min"),
        (7200.0, "2 h"),
        (86_400.0, "1 d"),
        (90_000.0, "25 h"),
    ],
)
def test_a_duration_is_shown_in_the_largest_unit_that_fits_it_whole(
    duration_s: float, text: str
) -> None:
    """Else in seconds."""
    assert format_duration(duration_s) == text


@given(st.text(max_size=30) | st.from_regex(r"\A[0-9.]{1,12} ?[a-zA-Z]{0,3}\Z"))
def test_any_text_gives_a_number_or_a_sentence(text: str) -> None:
    """Nothing else is raised, and no number is negative."""
    for parse in (parse_bytes, parse_duration_s):
        try:
            number = parse(text)
        except ValueError:
            continue
        assert number >= 0


@pytest.mark.parametrize(
    ("text", "within"),
    [("No sensor", "no sensor"), ("79 °C", "79 °C"), ("USB is off", "USB is off"), ("", "")],
)
def test_a_sentence_behind_another_begins_small(text: str, within: str) -> None:
    """But for what is a name in capitals."""
    assert mid_sentence(text) == within
