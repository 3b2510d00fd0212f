"""A vocabulary of llama.cpp: tokenises text, and lists the special tokens. Kind: hands."""

from __future__ import annotations

from functools import cached_property
from itertools import repeat
from typing import Any, Final

import llama_cpp.llama_cpp as lib

from inglenook.engine.thinking.signs import SpecialToken

_CONTROL: Final = lib.LLAMA_TOKEN_ATTR_CONTROL | lib.LLAMA_TOKEN_ATTR_UNKNOWN

#: Tokens that the library looks for in a text before anything else, whatever is around them; those
#: that the author defined even with ``parse_special`` off.
_SPECIAL: Final = _CONTROL | lib.LLAMA_TOKEN_ATTR_USER_DEFINED

#: In no token of any vocabulary, so it never joins the text after it: it becomes single bytes, or
#: the unknown token.
_LEAD: Final = "\U0010fffe"


class Tokenizer:
    """Turns text into tokens. Several threads may use it at once: the library only reads."""

    def __init__(self, vocab: Any) -> None:
        """Take the library's own pointer to a vocabulary, which must outlive this."""
        self._vocab = vocab
        self._count = int(lib.llama_vocab_n_tokens(vocab))
        # SentencePiece puts a space before the first word of any text.
        self._spaces = lib.llama_vocab_type(vocab) == lib.LLAMA_VOCAB_TYPE_SPM

    def tokens(self, text: str, *, continued: bool = False) -> list[int]:
        """Turn text into tokens; special tokens in it are recognised, none are added.

        The library's work and its stack grow out of proportion to the length of some texts: callers
        bound the text, see `pieces`.

        Args:
            text: The text.
            continued: It continues another text, so no space is put before its first word.
        """
        if not (continued and self._spaces):
            return self._read(text)
        lead = self._lead
        tokens = self._read(_LEAD + text)
        return tokens[len(lead) :] if tokens[: len(lead)] == lead else self._read(text)

    @cached_property
    def special_tokens(self) -> list[SpecialToken]:
        """All special tokens; found by checking each token once, 0.5 ms a thousand."""
        attributes = map(lib.llama_vocab_get_attr, repeat(self._vocab), range(self._count))
        return [
            SpecialToken(
                lib.llama_vocab_get_text(self._vocab, token).decode(errors="replace"),
                bool(attribute & _CONTROL),
                token,
            )
            for token, attribute in enumerate(attributes)
            if attribute & _SPECIAL
        ]

    @cached_property
    def longest_bytes(self) -> int:
        """Length in bytes of the longest token; found as `special_tokens` are."""
        texts = map(lib.llama_vocab_get_text, repeat(self._vocab), range(self._count))
        return max(map(len, texts), default=1)

    @cached_property
    def _lead(self) -> list[int]:
        return self._read(_LEAD)

    def _read(self, text: str) -> list[int]:
        # A template can make half a surrogate pair, which cannot be encoded.
        data = text.encode(errors="replace")
        # No token is shorter than a byte, but some vocabularies put a space before the first word.
        room = len(data)
        while True:
            tokens = (lib.llama_token * room)()
            count = lib.llama_tokenize(self._vocab, data, len(data), tokens, room, False, True)
            if count >= 0:
                return list(tokens[:count])
            room = -count
