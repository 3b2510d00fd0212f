"""A context of llama.cpp, with its KV pool, through the low-level binding. Kind: hands.

Arguments are checked here first: the library answers a bad one by aborting the process.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Final, Literal

import llama_cpp.llama_cpp as lib
import numpy as np
import numpy.typing as npt

from inglenook.common.errors import EngineError
from inglenook.engine.worker.decode.batch import Batch, Output
from inglenook.engine.worker.llama import BATCH_TOKENS, Candidates, Handle, Model, State

#: The library's ``llama_token_data``: a token, its score, and its share of the whole.
_CANDIDATE: Final = np.dtype([("token", np.int32), ("score", np.float32), ("share", np.float32)])
_BYTES: Final = ctypes.POINTER(ctypes.c_uint8)


class Context:
    """One KV pool shared by numbered sequences, and the batch that feeds it."""

    def __init__(
        self,
        model: Model,
        *,
        cells: int,
        kv_type: Literal["f16", "q8_0"],
        sequences: int,
        threads: int,
        ubatch_tokens: int = BATCH_TOKENS,
        flash_attention: Literal["auto", "on", "off"] = "auto",
        outputs: int = 0,
    ) -> None:
        """Allocate the pool.

        Args:
            model: Whose states it holds.
            cells: Tokens that all sequences together may have.
            kv_type: Type of a cell; a quantised one needs flash attention, which is then on.
            sequences: How many there may be.
            threads: Compute threads.
            ubatch_tokens: Tokens of a batch that go through the weights at once.
            flash_attention: ``auto`` lets the library choose by the model.
            outputs: How many tokens of a batch may want their scores; at least one a sequence, as
                the library insists, and each takes a number for every token of the vocabulary.

        Raises:
            ModelRefused: If there is no room for it.
        """
        self._context = model.new_context(
            cells=cells,
            kv_type=kv_type,
            sequences=sequences,
            threads=threads,
            ubatch_tokens=ubatch_tokens,
            flash_attention=flash_attention,
            outputs=outputs,
        )
        self._memory = lib.llama_get_memory(self._context)
        self._vocab_tokens = model.vocab_tokens
        self.sequences = sequences
        self.trimmable = model.trimmable
        self.running_states = model.running_states
        self._window_tokens = model.window_tokens
        #: Whether the cells of a sequence can be shared without its running state.
        self.shares_cells = model.running_states and not model.window_tokens
        #: What the library says of the running states of a sequence that has none.
        self._no_state = self._copy(0, lib.LLAMA_STATE_SEQ_FLAGS_PARTIAL_ONLY)
        self.cells = int(lib.llama_n_ctx(self._context))
        self.batch_tokens = int(lib.llama_n_batch(self._context))
        self._batch = Batch(self.batch_tokens)
        # Made when they are needed: the same ones for all answers, which choose one by one.
        self._tokens: npt.NDArray[np.int32] | None = None
        self._candidates: Candidates = np.zeros(0, _CANDIDATE)

    @property
    def handle(self) -> Handle:
        """The library's own pointer, for samplers."""
        return self._context

    @property
    def batch_rows(self) -> int:
        """How many tokens are in the batch."""
        return self._batch.rows

    def clear_batch(self) -> None:
        """Begin a new batch."""
        self._batch.clear()

    def add(self, sequence: int, position: int, tokens: Sequence[int], *, output: Output) -> int:
        """Put a run of tokens into the batch.

        Args:
            sequence: Number of the sequence, below the limit the pool was made with.
            position: Place of the first of them in the sequence.
            tokens: What to compute.
            output: Of which of them the scores are wanted.

        Returns:
            The index of the last token in the batch, under which its scores are found; those of
            the tokens before it precede it.

        Raises:
            EngineError: If the sequence or the batch has no such place; the library would abort.
        """
        if not 0 <= sequence < self.sequences or self._batch.room < len(tokens):
            raise EngineError(f"no place in the batch for {len(tokens)} tokens of {sequence}")
        return self._batch.add(sequence, position, tokens, output)

    def go_on(self, tokens: Sequence[int]) -> None:
        """Begin a new batch like the last, with the token that follows each of those in it.

        Raises:
            EngineError: If there are not as many as the last batch had.
        """
        if len(tokens) != self.batch_rows:
            raise EngineError(f"{len(tokens)} tokens cannot follow a batch of {self.batch_rows}")
        self._batch.go_on(tokens)

    def decode(self) -> int:
        """Compute the batch.

        Returns:
            The library's own code: 0 done; 1 no room in the pool, nothing changed; 2 aborted, part
            of it may be done; below 0 an error, and -1 means a bad batch and nothing changed.
        """
        return int(lib.llama_decode(self._context, self._batch.handle))

    def candidates(self, index: int, allowed: npt.NDArray[np.int32] | None = None) -> Candidates:
        """Tokens to choose from for what follows batch place ``index``; good until the next call.

        Args:
            index: As `add` gave it.
            allowed: Which there are; None is all.
        """
        if self._tokens is None:
            self._tokens = np.arange(self._vocab_tokens, dtype=np.int32)
            self._candidates = np.zeros(self._vocab_tokens, _CANDIDATE)
        found = lib.llama_get_logits_ith(self._context, index)
        scores = np.ctypeslib.as_array(found, shape=(self._vocab_tokens,))
        if allowed is None:
            self._candidates["token"] = self._tokens
            self._candidates["score"] = scores
            return self._candidates
        candidates = self._candidates[: len(allowed)]
        candidates["token"] = allowed
        candidates["score"] = scores[allowed]
        return candidates

    def set_threads(self, threads: int) -> None:
        """Compute with so many threads from the next batch on."""
        # One number for both: above two sequences decoding counts as a batch too.
        lib.llama_set_n_threads(self._context, threads, threads)

    def forget(self, sequence: int, position: int = 0) -> bool:
        """Drop what the pool holds of a sequence from ``position`` on.

        Returns:
            Whether it could, so that one can go on from there: a running state can only be
            forgotten as a whole, and a window must be there.
        """
        if position and not self.reaches_back(sequence, position):
            return False
        return bool(lib.llama_memory_seq_rm(self._memory, sequence, position, -1))

    def reaches_back(self, sequence: int, position: int) -> bool:
        """Whether the pool holds all that the token at ``position`` would look at.

        Of layers with a window the library may take cells that the end of a sequence no longer
        sees, whoever's they are and even while others are free: these layers then begin later.
        """
        if not self._window_tokens or not self.trimmable:
            return True
        first = int(lib.llama_memory_seq_pos_min(self._memory, sequence))
        return 0 <= first <= max(0, position - self._window_tokens + 1)

    def begins_at(self, sequence: int, position: int) -> bool:
        """Whether layers with a window hold a sequence from ``position`` on; True if none are."""
        if not self._window_tokens:
            return True
        return int(lib.llama_memory_seq_pos_min(self._memory, sequence)) == position

    def share(self, source: int, sequence: int, start: int, stop: int) -> None:
        """Let a sequence have cells of another as well, without computing or copying them.

        It has the other's running state, too, whichever cells these are, and none if that has none.
        """
        lib.llama_memory_seq_cp(self._memory, source, sequence, start, stop)

    def copy_out(self, sequence: int) -> bytearray | None:
        """Copy all the pool holds of a sequence, in the library's own format.

        Returns:
            None if the library would not.
        """
        return self._copy(sequence, 0)

    def state_bytes(self, sequence: int) -> int:
        """How large a sequence's running states are, of which nothing can be cut."""
        flags = lib.LLAMA_STATE_SEQ_FLAGS_PARTIAL_ONLY
        size = int(lib.llama_state_seq_get_size_ext(self._context, sequence, flags))
        return size - len(self._no_state or b"")

    def forget_state(self, sequence: int) -> bool:
        """Drop the running states of a sequence, and leave it its cells; say whether it could."""
        return self._put(sequence, self._no_state, lib.LLAMA_STATE_SEQ_FLAGS_PARTIAL_ONLY)

    def copy_in(self, sequence: int, state: State) -> bool:
        """Put back what `copy_out` gave, as a sequence that had nothing.

        Returns:
            Whether it is there now; else, as when the pool has no room, the sequence has nothing.
        """
        if self._put(sequence, state, 0):
            return True
        self.forget(sequence)
        return False

    def used_bytes(self) -> int:
        """Size of everything the pool holds, by the library's own count; for tests of leaks."""
        return int(lib.llama_state_get_size(self._context))

    def length(self, sequence: int) -> int:
        """How many tokens of a sequence the pool holds."""
        return int(lib.llama_memory_seq_pos_max(self._memory, sequence)) + 1

    def close(self) -> None:
        """Give the memory back; the context is unusable afterwards."""
        self._batch.close()
        lib.llama_free(self._context)

    def _copy(self, sequence: int, flags: int) -> bytearray | None:
        size = int(lib.llama_state_seq_get_size_ext(self._context, sequence, flags))
        state = bytearray(size)
        room = (ctypes.c_uint8 * size).from_buffer(state)
        written = lib.llama_state_seq_get_data_ext(self._context, room, size, sequence, flags)
        return state if written == size > 0 else None

    def _put(self, sequence: int, state: State | None, flags: int) -> bool:
        data = np.frombuffer(state or b"", np.uint8)
        start = data.ctypes.data_as(_BYTES)
        read = lib.llama_state_seq_set_data_ext(self._context, start, len(data), sequence, flags)
        return bool(len(data) and read == len(data))
