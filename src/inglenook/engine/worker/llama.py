"""A model of llama.cpp, through the low-level binding. Kind: hands.

Arguments are checked here first: the library aborts the process on a bad one.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Iterable
from typing import Any, Final, Literal, TypeAlias

import llama_cpp.llama_cpp as lib
import numpy as np
import numpy.typing as npt

from inglenook.common.errors import EngineError
from inglenook.engine.worker.library_log import library_log
from inglenook.engine.worker.prefix.blocks import BLOCK_TOKENS
from inglenook.engine.worker.prompt.tokenizer import Tokenizer

#: A structured array of ``llama_token_data``, shape (candidates,).
Candidates: TypeAlias = npt.NDArray[np.void]

#: The library's serialised states of a sequence.
State: TypeAlias = bytes | bytearray | memoryview

#: One of the library's own pointers; the binding ships no types for them.
Handle: TypeAlias = Any


#: Prompt tokens of one ``llama_decode``, at most; the step budget is below it on slow boards.
BATCH_TOKENS: Final = 512

_KV_TYPES: Final = {"f16": lib.GGML_TYPE_F16, "q8_0": lib.GGML_TYPE_Q8_0}

#: The library's ``llama_flash_attn_type``.
_FLASH_ATTENTION: Final = {"auto": -1, "off": 0, "on": 1}


class ModelRefused(EngineError):
    """The library refused the model, or lacked memory for it."""


class Model:
    """A loaded model and its vocabulary."""

    def __init__(
        self,
        path: str,
        on_progress: Callable[[float], bool],
        *,
        use_mmap: bool = True,
        vocab_only: bool = False,
    ) -> None:
        """Load the file.

        Args:
            path: The GGUF file.
            on_progress: Called with 0 to 1; returns False to abort.
            use_mmap: Let the library map the file; else it reads the weights into memory.
            vocab_only: Load no weights; then nothing can be computed.

        Raises:
            ModelRefused: If the library does not know the model or runs out of memory.
        """
        params = lib.llama_model_default_params()
        params.n_gpu_layers = 0
        params.vocab_only = vocab_only
        if not use_mmap:
            # By default the library fails where it cannot map, instead of reading.
            params.load_mode = lib.LLAMA_LOAD_MODE_NONE
        params.progress_callback = lib.llama_progress_callback(
            lambda fraction, _data: on_progress(fraction)
        )
        library_log.clear()
        self._model: Handle = lib.llama_model_load_from_file(os.fsencode(path), params)
        if not self._model:
            raise ModelRefused(f"llama.cpp could not load it ({library_log.first_error})")
        self._vocab = lib.llama_model_get_vocab(self._model)
        self.tokenizer = Tokenizer(self._vocab)
        self.vocab_tokens = int(lib.llama_vocab_n_tokens(self._vocab))
        self.trained_tokens = int(lib.llama_model_n_ctx_train(self._model))
        self.architecture = self._metadata("general.architecture")
        self.adds_bos = bool(lib.llama_vocab_get_add_bos(self._vocab))
        #: Number of tokens in the window of layers that have one; 0 if there are none.
        self.window_tokens = int(lib.llama_model_n_swa(self._model))
        #: Whether there are layers that keep a running state of each sequence.
        self.running_states = bool(
            lib.llama_model_is_recurrent(self._model) or lib.llama_model_is_hybrid(self._model)
        )
        #: Whether the end of a sequence can be cut off; if not, it continues only where it ends.
        #: With a window shorter than a block the library cannot copy all of a block's cells.
        self.trimmable = not (self.running_states or 0 < self.window_tokens < BLOCK_TOKENS)
        self._pieces: dict[int, bytes] = {}
        self._ends: dict[int, bool] = {}

    @property
    def handle(self) -> Handle:
        """The library's own pointer, for `Context`."""
        return self._model

    def tokenize(self, text: str, *, continued: bool = False) -> list[int]:
        """See `Tokenizer.tokens`."""
        return self.tokenizer.tokens(text, continued=continued)

    def piece(self, token: int) -> bytes:
        """The bytes of a token; empty for control tokens, and for numbers of no token."""
        piece = self._pieces.get(token)
        if piece is None:
            if not 0 <= token < self.vocab_tokens:
                return b""
            piece = self._pieces[token] = self._read_piece(token, special=False)
        return piece

    def pieces(self, tokens: Iterable[int]) -> list[bytes]:
        """As `piece`, of many tokens at once, without caching them."""
        found = []
        room = 64
        buffer = ctypes.create_string_buffer(room)
        for token in tokens:
            count = lib.llama_token_to_piece(self._vocab, token, buffer, room, 0, False)
            if count < 0:
                found.append(self._read_piece(token, special=False))
            else:
                found.append(buffer.raw[:count])
        return found

    def special_text(self, kind: Literal["bos", "eos"]) -> str:
        """The text of the begin or end token, for the template; empty if there is none.

        Where the file names none, the library takes one by the kind of vocabulary: for most BPE
        ones 11, which is a comma. That can be right only for a control token.
        """
        token = (lib.llama_vocab_bos if kind == "bos" else lib.llama_vocab_eos)(self._vocab)
        if token < 0:
            return ""
        control = lib.llama_vocab_get_attr(self._vocab, token) & lib.LLAMA_TOKEN_ATTR_CONTROL
        if not control and not self._has(f"tokenizer.ggml.{kind}_token_id"):
            return ""
        return self._read_piece(token, special=True).decode(errors="replace")

    def ends_generation(self, token: int) -> bool:
        """Whether this token ends an answer."""
        ends = self._ends.get(token)
        if ends is None:
            ends = self._ends[token] = self.is_end(token)
        return ends

    def is_end(self, token: int) -> bool:
        """As `ends_generation`, without caching it."""
        return bool(lib.llama_vocab_is_eog(self._vocab, token))

    def new_context(
        self,
        *,
        cells: int,
        kv_type: Literal["f16", "q8_0"],
        sequences: int,
        threads: int,
        ubatch_tokens: int,
        flash_attention: Literal["auto", "on", "off"],
        outputs: int,
    ) -> Handle:
        """The library's pointer of a new context; for the arguments see `Context`.

        Raises:
            ModelRefused: If there is not enough memory.
        """
        params = lib.llama_context_default_params()
        params.n_ctx = cells
        params.n_seq_max = sequences
        params.n_batch = max(BATCH_TOKENS, outputs, sequences)
        params.n_ubatch = min(ubatch_tokens, params.n_batch)
        params.n_outputs_max = max(outputs, sequences)
        # With more than two sequences the library decodes as a batch, too: one number for both.
        params.n_threads = params.n_threads_batch = threads
        params.kv_unified = True
        params.type_k = params.type_v = _KV_TYPES[kv_type]
        params.flash_attn_type = _FLASH_ATTENTION["on" if kv_type != "f16" else flash_attention]
        library_log.clear()
        context: Handle = lib.llama_init_from_model(self.handle, params)
        if not context:
            why = library_log.first_error
            raise ModelRefused(f"llama.cpp could not make a context of {cells} tokens ({why})")
        return context

    def close(self) -> None:
        """Free the memory; the model is unusable afterwards."""
        lib.llama_model_free(self._model)

    def _metadata(self, key: str) -> str:
        """A metadata value of the file, as text; empty if there is none."""
        room = 128
        buffer = ctypes.create_string_buffer(room)
        count = lib.llama_model_meta_val_str(self._model, key.encode(), buffer, room)
        return buffer.value.decode(errors="replace") if count > 0 else ""

    def _has(self, key: str) -> bool:
        """Whether the file has metadata of that key."""
        return int(lib.llama_model_meta_val_str(self._model, key.encode(), None, 0)) >= 0

    def _read_piece(self, token: int, *, special: bool) -> bytes:
        room = 64
        while True:
            buffer = ctypes.create_string_buffer(room)
            count = lib.llama_token_to_piece(self._vocab, token, buffer, room, 0, special)
            if count >= 0:
                return buffer.raw[:count]
            room = -count
