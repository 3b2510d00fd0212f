"""A context of llama.cpp, with its KV pool, through the low-level binding. Kind: hands.

Arguments are checked here first: the library aborts the process on a bad one.
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

#: The library's ``llama_token_data``: a token, its logit, and its probability.
_CANDIDATE: Final = np.dtype([("token", np.int32), ("score", np.float32), ("share", np.float32)])
_BYTES: Final = ctypes.POINTER(ctypes.c_uint8)


class Context:
    """One KV pool shared by numbered sequences, and the batch that it computes."""

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
            model: The model.
            cells: Number of tokens that all sequences together may have.
            kv_type: Type of a cell; a quantised one needs flash attention, which is then on.
            sequences: Number of sequences, at most.
            threads: Compute threads.
            ubatch_tokens: Tokens of a batch that are computed at once.
            flash_attention: ``auto`` lets the library choose by the model.
            outputs: Bound of tokens of a batch that have logits; at least one a sequence, as the
                library insists. Each takes a float for every token of the vocabulary.

        Raises:
            ModelRefused: If there is not enough memory.
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
        #: The library's data for a sequence without running states.
        self._no_state = self._copy(0, lib.LLAMA_STATE_SEQ_FLAGS_PARTIAL_ONLY)
        self.cells = int(lib.llama_n_ctx(self._context))
        self.batch_tokens = int(lib.llama_n_batch(self._context))
        self._batch = Batch(self.batch_tokens)
        # Made on first use, and shared by all answers, which sample one by one.
        self._tokens: npt.NDArray[np.int32] | None = None
        self._candidates: Candidates = np.zeros(0, _CANDIDATE)

    @property
    def handle(self) -> Handle:
        """The library's own pointer, for samplers."""
        return self._context

    @property
    def batch_rows(self) -> int:
        """Number of tokens in the batch."""
        return self._batch.rows

    def clear_batch(self) -> None:
        """Begin a new batch."""
        self._batch.clear()

    def add(self, sequence: int, position: int, tokens: Sequence[int], *, output: Output) -> int:
        """Add a run of tokens to the batch.

        Args:
            sequence: Number of the sequence, below the limit of the pool.
            position: Position of the first of them in the sequence.
            tokens: The tokens.
            output: Which of them need logits.

        Returns:
            The index of the last token in the batch, for `candidates`; those of the tokens before
            it precede it.

        Raises:
            EngineError: If the sequence or the batch has no such position; the library would abort.
        """
        if not 0 <= sequence < self.sequences or self._batch.room < len(tokens):
            raise EngineError(f"no place in the batch for {len(tokens)} tokens of {sequence}")
        return self._batch.add(sequence, position, tokens, output)

    def go_on(self, tokens: Sequence[int]) -> None:
        """Begin a new batch like the last, with the next token of each of its sequences.

        Raises:
            EngineError: If their number differs from that of the last batch.
        """
        if len(tokens) != self.batch_rows:
            raise EngineError(f"{len(tokens)} tokens cannot follow a batch of {self.batch_rows}")
        self._batch.go_on(tokens)

    def decode(self) -> int:
        """Compute the batch.

        Returns:
            The library's own code: 0 done; 1 no room in the pool, nothing changed; 2 aborted, part
            of it may be done; below 0 an error; -1 is a bad batch, nothing changed.
        """
        return int(lib.llama_decode(self._context, self._batch.handle))

    def candidates(self, index: int, allowed: npt.NDArray[np.int32] | None = None) -> Candidates:
        """Candidates to sample the token after batch index ``index``; valid until the next call.

        Args:
            index: As returned by `add`.
            allowed: Their tokens, int32 of shape (candidates,); None is the whole vocabulary.
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
        """Compute with ``threads`` threads from the next batch on."""
        # One number for both: with more than two sequences the library decodes as a batch, too.
        lib.llama_set_n_threads(self._context, threads, threads)

    def forget(self, sequence: int, position: int = 0) -> bool:
        """Remove a sequence's cells from ``position`` on.

        Returns:
            Whether that was possible, so that it can be continued from there: a running state can
            only be removed as a whole, and a window must have its cells.
        """
        if position and not self.reaches_back(sequence, position):
            return False
        return bool(lib.llama_memory_seq_rm(self._memory, sequence, position, -1))

    def reaches_back(self, sequence: int, position: int) -> bool:
        """Whether the pool has all cells that the token at ``position`` attends to.

        In layers with a window the library may reuse cells that the end of their sequence no longer
        attends to, even while others are free: these layers then begin at a later position.
        """
        if not self._window_tokens or not self.trimmable:
            return True
        first = int(lib.llama_memory_seq_pos_min(self._memory, sequence))
        return 0 <= first <= max(0, position - self._window_tokens + 1)

    def begins_at(self, sequence: int, position: int) -> bool:
        """Whether layers with a window begin at ``position``; True if there are none."""
        if not self._window_tokens:
            return True
        return int(lib.llama_memory_seq_pos_min(self._memory, sequence)) == position

    def share(self, source: int, sequence: int, start: int, stop: int) -> None:
        """Share cells of ``source`` with another sequence, without computing or copying them.

        It then has the running state of ``source``, too, whichever cells these are.
        """
        lib.llama_memory_seq_cp(self._memory, source, sequence, start, stop)

    def copy_out(self, sequence: int) -> bytearray | None:
        """Copy all states of a sequence, in the library's own format.

        Returns:
            None if the library failed.
        """
        return self._copy(sequence, 0)

    def state_bytes(self, sequence: int) -> int:
        """Size of a sequence's running states, which cannot be cut."""
        flags = lib.LLAMA_STATE_SEQ_FLAGS_PARTIAL_ONLY
        size = int(lib.llama_state_seq_get_size_ext(self._context, sequence, flags))
        return size - len(self._no_state or b"")

    def forget_state(self, sequence: int) -> bool:
        """Remove the running states of a sequence, not its cells; returns whether it succeeded."""
        return self._put(sequence, self._no_state, lib.LLAMA_STATE_SEQ_FLAGS_PARTIAL_ONLY)

    def copy_in(self, sequence: int, state: State) -> bool:
        """Restore what `copy_out` returned, as a sequence that was empty.

        Returns:
            Whether it succeeded; if not, for lack of room say, the sequence is empty.
        """
        if self._put(sequence, state, 0):
            return True
        self.forget(sequence)
        return False

    def used_bytes(self) -> int:
        """Size of all states in the pool, by the library's own count; for tests of leaks."""
        return int(lib.llama_state_get_size(self._context))

    def length(self, sequence: int) -> int:
        """Number of a sequence's tokens in the pool."""
        return int(lib.llama_memory_seq_pos_max(self._memory, sequence)) + 1

    def close(self) -> None:
        """Free the memory; the context is unusable afterwards."""
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
