"""A model's tokens as a trie, from which grammars compute masks. Kind: hands."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from llguidance import LLTokenizer, TokenizerWrapper

if TYPE_CHECKING:
    from inglenook.engine.worker.llama import Model

#: Tokens per part: some ten milliseconds on a small board.
_PART_TOKENS = 4000


class TokenTrie:
    """The bytes of each token of a model, as a trie."""

    def __init__(self, model: Model) -> None:
        """Read nothing yet; `parts` does."""
        self._model = model
        self._tokenizer: LLTokenizer | None = None

    @property
    def tokenizer(self) -> LLTokenizer:
        """The library's tokenizer; only after the last of `parts`."""
        assert self._tokenizer is not None
        return self._tokenizer

    def parts(self) -> Iterator[None]:
        """Build the trie in parts: all at once would stall every stream."""
        pieces: list[bytes] = []
        ends: list[int] = []
        for first in range(0, self._model.vocab_tokens, _PART_TOKENS):
            tokens = range(first, min(first + _PART_TOKENS, self._model.vocab_tokens))
            for token, piece in zip(tokens, self._model.pieces(tokens), strict=True):
                stops = self._model.is_end(token)
                if stops:
                    ends.append(token)
                # With this prefix the library knows tokens without text.
                pieces.append(b"\xff[%d]" % token if stops or not piece else piece)
            yield
        source = _Source(self, pieces, ends)
        # Without "slices": they speed up masks, which are rarely needed, and double the time here.
        wrapper = TokenizerWrapper(source)
        self._tokenizer = LLTokenizer(wrapper, eos_token=ends or None, slices=[])
        # The library has its own copy now, but keeps the wrapper alive.
        pieces.clear()

    def tokens_of(self, data: bytes) -> list[int]:
        """Tokenize bytes exactly; for text the result is the model's own tokenization."""
        return self.tokenizer.tokenize_bytes(data)

    def tokens_of_text(self, text: bytes) -> list[int]:
        """Tokenize UTF-8 text exactly; called by the library."""
        tokens = self._model.tokenize(text.decode())
        if b"".join(self._model.piece(token) for token in tokens) == text:
            return tokens
        # The tokenizer has added a space, or the text contains the name of a special token.
        return [] if self._tokenizer is None else self._tokenizer.greedy_tokenize(text.decode())


class _Source:
    """Vocabulary in the form that `TokenizerWrapper` takes."""

    def __init__(self, vocabulary: TokenTrie, tokens: list[bytes], ends: list[int]) -> None:
        self.tokens = tokens
        self.eos_token_id = ends[0] if ends else None
        self.bos_token_id = None
        self.special_token_ids: list[int] = []
        self._vocabulary = vocabulary

    def __call__(self, data: bytes) -> list[int]:
        return self._vocabulary.tokens_of_text(data)
