"""The library's batch: tokens, their places, and whose scores are wanted. Kind: hands."""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Sequence
from typing import Any, Literal, TypeAlias

import llama_cpp.llama_cpp as lib
import numpy as np

#: Of which tokens in a run the scores are wanted.
Output: TypeAlias = Literal["none", "last", "all"]


class Batch:
    """One ``llama_batch``, filled as arrays: token by token through ctypes takes far longer.

    It checks nothing; `Context.add` does.

    Attributes:
        handle: The library's own, to be decoded.
    """

    def __init__(self, size: int) -> None:
        """Make room for ``size`` tokens, each of one sequence."""
        self.handle: Any = lib.llama_batch_init(size, 0, 1)
        self._size = size
        self._tokens = np.ctypeslib.as_array(self.handle.token, (size,))
        self._positions = np.ctypeslib.as_array(self.handle.pos, (size,))
        self._outputs = np.ctypeslib.as_array(self.handle.logits, (size,))
        # The same, for one or a few.
        self._each_token, self._each_position = self.handle.token, self.handle.pos
        np.ctypeslib.as_array(self.handle.n_seq_id, (size,))[:] = 1
        # The library has a list of sequences for each token; these are all one long, so let them
        # lie side by side in an array of ours. Its own are put back before it frees them.
        self._sequences = np.zeros(size, np.int32)
        lists = self.handle.seq_id
        self._theirs = [ctypes.addressof(lists[index].contents) for index in range(size)]
        start, step = self._sequences.ctypes.data, self._sequences.itemsize
        self._point(range(start, start + size * step, step))

    @property
    def rows(self) -> int:
        """How many tokens it has."""
        return int(self.handle.n_tokens)

    @property
    def room(self) -> int:
        """How many tokens more it takes."""
        return self._size - self.rows

    def clear(self) -> None:
        """Begin a new one."""
        self.handle.n_tokens = 0

    def add(self, sequence: int, position: int, tokens: Sequence[int], output: Output) -> int:
        """Put a run of tokens in; see `Context.add`."""
        start = int(self.handle.n_tokens)
        stop = start + len(tokens)
        self._tokens[start:stop] = tokens
        self._positions[start:stop] = range(position, position + len(tokens))
        self._sequences[start:stop] = sequence
        self._outputs[start:stop] = output == "all"
        if output == "last":
            self._outputs[stop - 1] = 1
        self.handle.n_tokens = stop
        return stop - 1

    def go_on(self, tokens: Sequence[int]) -> None:
        """Put another token in the place of each, which follows it; see `Context.go_on`."""
        for row, token in enumerate(tokens):
            self._each_token[row] = token
            self._each_position[row] += 1

    def close(self) -> None:
        """Give the memory back."""
        self._point(self._theirs)
        lib.llama_batch_free(self.handle)

    def _point(self, addresses: Iterable[int]) -> None:
        for index, address in enumerate(addresses):
            self.handle.seq_id[index] = ctypes.cast(address, ctypes.POINTER(ctypes.c_int32))
