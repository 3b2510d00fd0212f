"""Common prefixes of lists of tokens. Kind: rules."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

#: Shorter prefixes are prefilled again: finding them costs as much.
MIN_PREFIX_TOKENS: Final = 16


def common_tokens(one: Sequence[int], other: Sequence[int]) -> int:
    """Length of the common prefix of two lists of tokens.

    Slices are compared in C: some microseconds for a thousand tokens.
    """
    low, high = 0, min(len(one), len(other))
    if one[:high] == other[:high]:
        return high
    while low + 1 < high:
        middle = (low + high) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle
    return low if one[low:high] != other[low:high] else high


def begins(tokens: Sequence[int], prefix: Sequence[int]) -> bool:
    """Whether the second list of tokens is a prefix of the first."""
    return len(prefix) <= len(tokens) and tokens[: len(prefix)] == prefix
