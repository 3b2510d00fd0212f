"""Finds repeated texts, in eight bytes a text. Kind: rules."""

from __future__ import annotations

from array import array

_ALL_BITS = (1 << 64) - 1


class Distinct:
    """Set of texts, as their hashes in one block of memory.

    A set of a vocabulary's 150,000 texts takes 15 MB. Python retains much of that when it is freed,
    and the daemon would have it for ever. Two texts of one hash count as the same: that happens
    once in a thousand million vocabularies, because the hash has 64 bits and a secret of this
    process.
    """

    def __init__(self, most: int) -> None:
        """Make room for ``most`` texts."""
        size = 1 << max(2 * most - 1, 1).bit_length()
        self._mask = size - 1
        self._slots = array("Q", bytes(8 * size))  # open addressing; 0 is free

    def add(self, text: bytes) -> bool:
        """Add a text; returns whether it is new."""
        key = hash(text) & _ALL_BITS or 1
        slots, mask = self._slots, self._mask
        slot = key & mask
        while slots[slot]:
            if slots[slot] == key:
                return False
            slot = (slot + 1) & mask
        slots[slot] = key
        return True
