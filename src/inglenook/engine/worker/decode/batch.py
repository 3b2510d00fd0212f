"""The library's batch: tokens, positions, and output flags. Kind: hands."""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Sequence
from typing import Any, Literal, TypeAlias

import llama_cpp.llama_cpp as lib
import numpy as np

#: The tokens of a run whose scores are computed.
Output: TypeAlias = Literal["none", "last", "all"]


class Batch:
    """One ``llama_batch``, filled by numpy: token by token through ctypes takes far longer.

    Arguments are not checked; `Context.add` does that.

    Attributes:
        handle: The ``llama_batch``, for ``llama_decode``.
    """

    def __init__(self, size: int) -> None:
        """Allocate ``size`` rows, each of one sequence; all arrays have shape (size,)."""
        self.handle: Any = lib.llama_batch_init(size, 0, 1)
        self._size = size
        self._tokens = np.ctypeslib.as_array(self.handle.token, (size,))
        self._positions = np.ctypeslib.as_array(self.handle.pos, (size,))
        self._outputs = np.ctypeslib.as_array(self.handle.logits, (size,))
        # The same memory, quicker for a few tokens.
        self._each_token, self._each_position = self.handle.token, self.handle.pos
        np.ctypeslib.as_array(self.handle.n_seq_id, (size,))[:] = 1
        # The library has a list of sequences for each token. All have one entry here, so they point
        # into one array, int32 of shape (size,). The library's lists are restored before it frees
        # them.
        self._sequences = np.zeros(size, np.int32)
        lists = self.handle.seq_id
        self._theirs = [ctypes.addressof(lists[index].contents) for index in range(size)]
        start, step = self._sequences.ctypes.data, self._sequences.itemsize
        self._point(range(start, start + size * step, step))

    @property
    def rows(self) -> int:
        """Number of tokens in the batch."""
        return int(self.handle.n_tokens)

    @property
    def room(self) -> int:
        """Number of free rows."""
        return self._size - self.rows

    def clear(self) -> None:
        """Remove all tokens."""
        self.handle.n_tokens = 0

    def add(self, sequence: int, position: int, tokens: Sequence[int], output: Output) -> int:
        """Add a run of tokens of one sequence; return the row of the last."""
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
        """Replace each row's token by the one that follows it in its sequence."""
        for row, token in enumerate(tokens):
            self._each_token[row] = token
            self._each_position[row] += 1

    def close(self) -> None:
        """Free the memory."""
        self._point(self._theirs)
        lib.llama_batch_free(self.handle)

    def _point(self, addresses: Iterable[int]) -> None:
        for index, address in enumerate(addresses):
            self.handle.seq_id[index] = ctypes.cast(address, ctypes.POINTER(ctypes.c_int32))
