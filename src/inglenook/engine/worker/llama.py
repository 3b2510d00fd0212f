"""A model and a context of llama.cpp, through the low-level binding. Kind: hands.

Everything here checks its arguments first: the library answers a bad one by aborting the process.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from typing import Final, Literal

import llama_cpp.llama_cpp as lib

from inglenook.errors import EngineError

#: Prompt tokens one ``llama_decode`` takes at most; the step budget stays below it on slow boards.
BATCH_TOKENS: Final = 512

_KV_TYPES: Final = {"f16": lib.GGML_TYPE_F16, "q8_0": lib.GGML_TYPE_Q8_0}

_FLASH_ATTENTION_AUTO: Final = -1
_FLASH_ATTENTION_ON: Final = 1


class ModelRefused(EngineError):
    """The library would not take the model or could not make room for it."""


class Model:
    """A loaded model and its vocabulary."""

    def __init__(self, path: str, on_progress: Callable[[float], None]) -> None:
        """Read the file; ``on_progress`` hears 0 to 1.

        Raises:
            ModelRefused: If the library does not know the model or runs out of memory.
        """
        params = lib.llama_model_default_params()
        params.n_gpu_layers = 0

        @lib.llama_progress_callback
        def progressed(fraction: float, _data: ctypes.c_void_p) -> bool:
            on_progress(fraction)
            return True

        params.progress_callback = progressed
        self._model = lib.llama_model_load_from_file(path.encode(), params)
        if not self._model:
            raise ModelRefused("llama.cpp could not load the model; the log above says why")
        self._vocab = lib.llama_model_get_vocab(self._model)
        self.vocab_tokens = int(lib.llama_vocab_n_tokens(self._vocab))
        self.trained_tokens = int(lib.llama_model_n_ctx_train(self._model))
        self.adds_bos = bool(lib.llama_vocab_get_add_bos(self._vocab))
        self._pieces: dict[int, bytes] = {}

    @property
    def handle(self) -> ctypes.c_void_p:
        """The library's own pointer, for `Context`."""
        return self._model

    @property
    def vocabulary(self) -> ctypes.c_void_p:
        """The library's own pointer, for samplers."""
        return self._vocab

    def tokenize(self, text: str) -> list[int]:
        """Turn a rendered prompt into tokens; special tokens in it count, none are added."""
        data = text.encode()
        # No token is shorter than a byte, so this many always suffice; one more for luck is not needed.
        room = max(len(data), 1)
        tokens = (lib.llama_token * room)()
        count = lib.llama_tokenize(self._vocab, data, len(data), tokens, room, False, True)
        if count < 0:
            raise EngineError(f"llama_tokenize wanted {-count} places for {len(data)} bytes")
        return tokens[:count]

    def piece(self, token: int) -> bytes:
        """The bytes a token stands for; empty for control tokens."""
        piece = self._pieces.get(token)
        if piece is None:
            piece = self._pieces[token] = self._read_piece(token, special=False)
        return piece

    def special_text(self, kind: Literal["bos", "eos"]) -> str:
        """How the model writes its begin or end token, for its chat template; empty if it has none."""
        token = (lib.llama_vocab_bos if kind == "bos" else lib.llama_vocab_eos)(self._vocab)
        return "" if token < 0 else self._read_piece(token, special=True).decode(errors="replace")

    def ends_generation(self, token: int) -> bool:
        """Say whether the model means to stop with this token."""
        return bool(lib.llama_vocab_is_eog(self._vocab, token))

    def close(self) -> None:
        """Give the memory back; the model is unusable afterwards."""
        lib.llama_model_free(self._model)

    def _read_piece(self, token: int, *, special: bool) -> bytes:
        room = 64
        while True:
            buffer = ctypes.create_string_buffer(room)
            count = lib.llama_token_to_piece(self._vocab, token, buffer, room, 0, special)
            if count >= 0:
                return buffer.raw[:count]
            room = -count


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
    ) -> None:
        """Allocate the pool.

        Raises:
            ModelRefused: If there is no room for it.
        """
        params = lib.llama_context_default_params()
        params.n_ctx = cells
        params.n_seq_max = sequences
        params.n_batch = max(BATCH_TOKENS, sequences)
        params.n_ubatch = min(BATCH_TOKENS, params.n_batch)
        params.n_outputs_max = sequences
        # Above two sequences decoding counts as a batch too, so one number has to serve both.
        params.n_threads = params.n_threads_batch = threads
        params.kv_unified = True
        params.type_k = params.type_v = _KV_TYPES[kv_type]
        # A quantised V needs flash attention; else the library knows for which models it works.
        params.flash_attn_type = _FLASH_ATTENTION_AUTO if kv_type == "f16" else _FLASH_ATTENTION_ON
        self._context = lib.llama_init_from_model(model.handle, params)
        if not self._context:
            raise ModelRefused(f"llama.cpp found no room for a context of {cells} tokens")
        self._memory = lib.llama_get_memory(self._context)
        self._vocab_tokens = model.vocab_tokens
        self._sequences = sequences
        self.cells = int(lib.llama_n_ctx(self._context))
        self.batch_tokens = int(lib.llama_n_batch(self._context))
        self._batch = lib.llama_batch_init(self.batch_tokens, 0, 1)
        for index in range(self.batch_tokens):
            self._batch.n_seq_id[index] = 1

    @property
    def handle(self) -> ctypes.c_void_p:
        """The library's own pointer, for samplers."""
        return self._context

    def clear_batch(self) -> None:
        """Begin a new batch."""
        self._batch.n_tokens = 0

    def add(self, sequence: int, position: int, tokens: Sequence[int], *, output: bool) -> int:
        """Put a run of tokens into the batch.

        Args:
            sequence: Number of the sequence, below the limit the pool was made with.
            position: Place of the first of them in the sequence.
            tokens: What to compute.
            output: Whether the last one's scores are wanted.

        Returns:
            The index of the last token in the batch, under which its scores are found.

        Raises:
            EngineError: If the sequence or the batch has no such place; the library would abort.
        """
        batch = self._batch
        index = batch.n_tokens
        if not 0 <= sequence < self._sequences or index + len(tokens) > self.batch_tokens:
            raise EngineError(f"no place in the batch for {len(tokens)} tokens of {sequence}")
        for offset, token in enumerate(tokens):
            batch.token[index] = token
            batch.pos[index] = position + offset
            batch.seq_id[index][0] = sequence
            batch.logits[index] = 0
            index += 1
        if output:
            batch.logits[index - 1] = 1
        batch.n_tokens = index
        return index - 1

    def decode(self) -> int:
        """Compute the batch.

        Returns:
            The library's own code: 0 done; 1 no room in the pool, nothing changed; 2 aborted, part of
            it may be done; below 0 an error, of which -1 means the batch was bad and nothing changed.
        """
        return int(lib.llama_decode(self._context, self._batch))

    def forget(self, sequence: int, position: int = 0) -> None:
        """Drop what the pool holds of a sequence from ``position`` on."""
        lib.llama_memory_seq_rm(self._memory, sequence, position, -1)

    def length(self, sequence: int) -> int:
        """How many tokens of a sequence the pool holds."""
        return int(lib.llama_memory_seq_pos_max(self._memory, sequence)) + 1

    def close(self) -> None:
        """Give the memory back; the context is unusable afterwards."""
        lib.llama_batch_free(self._batch)
        lib.llama_free(self._context)
