"""Texts that repeat are told from those that do not."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from inglenook.models.gguf.distinct import Distinct


@given(st.lists(st.binary(max_size=3), max_size=60))
def test_it_tells_as_a_set_does(texts: list[bytes]) -> None:
    """However often a text comes, and if every text it was made for is another."""
    distinct = Distinct(len(texts))
    seen: set[bytes] = set()
    for text in texts:
        assert distinct.add(text) is (text not in seen)
        seen.add(text)


def test_a_vocabulary_fits() -> None:
    """Every text is another, and then every one is known."""
    texts = [b"token %d" % number for number in range(50_000)]
    distinct = Distinct(len(texts))

    assert all(distinct.add(text) for text in texts)
    assert not any(distinct.add(text) for text in texts)
