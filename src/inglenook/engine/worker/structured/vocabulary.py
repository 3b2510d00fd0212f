"""A model's tokens, in the form in which a grammar looks through all of them. Kind: hands."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from llguidance import LLTokenizer, TokenizerWrapper

if TYPE_CHECKING:
    from inglenook.engine.worker.llama import Model

#: Read in one part: some ten milliseconds' worth on a small board.
_PART_TOKENS = 4000


class TokenTrie:
    """What each token of a model says, as a tree of bytes."""

    def __init__(self, model: Model) -> None:
        """Nothing is read before `parts`."""
        self._model = model
        self._tokenizer: LLTokenizer | None = None

    @property
    def tokenizer(self) -> LLTokenizer:
        """The library's own; only after the last of `parts`."""
        assert self._tokenizer is not None
        return self._tokenizer

    def parts(self) -> Iterator[None]:
        """Read it, in parts: all at once would stop every stream."""
        pieces: list[bytes] = []
        ends: list[int] = []
        for first in range(0, self._model.vocab_tokens, _PART_TOKENS):
            tokens = range(first, min(first + _PART_TOKENS, self._model.vocab_tokens))
            for token, piece in zip(tokens, self._model.pieces(tokens), strict=True):
                stops = self._model.is_end(token)
                if stops:
                    ends.append(token)
                # By its mark, the library knows what says nothing, and is no part of any text.
                pieces.append(b"\xff[%d]" % token if stops or not piece else piece)
            yield
        source = _Source(self, pieces, ends)
        # Without "slices", which make masks quicker that are seldom needed, and this twice as slow.
        wrapper = TokenizerWrapper(source)
        self._tokenizer = LLTokenizer(wrapper, eos_token=ends or None, slices=[])
        # The library has its own copy now, and keeps the wrapper for as long.
        pieces.clear()

    def tokens_of(self, data: bytes) -> list[int]:
        """Write bytes in tokens that say just that; of text, those the model would be given."""
        return self.tokenizer.tokenize_bytes(data)

    def tokens_of_text(self, text: bytes) -> list[int]:
        """What the library asks for: as `tokens_of`, of whole characters."""
        tokens = self._model.tokenize(text.decode())
        if b"".join(self._model.piece(token) for token in tokens) == text:
            return tokens
        # A space put before the first word, or the name of a special token in somebody's text.
        return [] if self._tokenizer is None else self._tokenizer.greedy_tokenize(text.decode())


class _Source:
    """What `TokenizerWrapper` takes a vocabulary from."""

    def __init__(self, vocabulary: TokenTrie, tokens: list[bytes], ends: list[int]) -> None:
        self.tokens = tokens
        self.eos_token_id = ends[0] if ends else None
        self.bos_token_id = None
        self.special_token_ids: list[int] = []
        self._vocabulary = vocabulary

    def __call__(self, data: bytes) -> list[int]:
        return self._vocabulary.tokens_of_text(data)
