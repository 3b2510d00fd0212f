"""The grammar's state in one answer with a schema. Kind: hands."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from inglenook.common.errors import EngineError

if TYPE_CHECKING:
    from llguidance import LLMatcher

    from inglenook.engine.thinking.parser import Parser, Part
    from inglenook.engine.worker.decode.think_format import ThinkFormat
    from inglenook.engine.worker.llama import Model
    from inglenook.engine.worker.structured.vocabulary import TokenTrie


class GrammarDeadEnd(EngineError):
    """The grammar allows no next token: the schema needs too much time or memory here."""


class GrammarState:
    """A matcher that follows one answer token by token.

    Thinking is unconstrained, whether the prompt begins it or the model does, as its first tokens.
    The grammar begins where thinking ends.

    Attributes:
        complete: The JSON is complete, and no token can follow.
    """

    def __init__(
        self,
        model: Model,
        vocabulary: TokenTrie,
        matcher: LLMatcher,
        thoughts: ThinkFormat,
        parser: Parser,
    ) -> None:
        """Take a fresh matcher, and a fresh parser that nothing else uses."""
        self.complete = False
        self._model = model
        self._vocabulary = vocabulary
        self._matcher = matcher
        self._thoughts = thoughts
        self._parser = parser
        #: The JSON has begun; the parser is no longer used.
        self._answering = False
        #: It has not, and the last token was a tag.
        self._may_space = False

    def follow(self, tokens: Iterable[int]) -> bool:
        """Take the tokens that another engine generated; return whether all are valid."""
        return all(self.take(token) for token in tokens)

    def take(self, token: int) -> bool:
        """Advance by a token, if it may come next; else nothing changes.

        The end of the answer may come where the JSON is complete.
        """
        ends = self._model.ends_generation(token)
        if not self._answering and (self._parser.thinking or self._parser.doubtful):
            return not ends and self._read(token)
        if ends:
            return self._matcher.is_accepting()
        if self._matcher.try_consume_tokens([token]):
            self._begin()
            return True
        return not self._answering and self._read(token)

    def allowed(self) -> npt.NDArray[np.int32]:
        """Token ids that may come next, int32 of shape (n,).

        Raises:
            GrammarDeadEnd: If the library exceeds its limits here.
        """
        if not self._answering and (self._parser.thinking or self._parser.doubtful):
            # The sampled token would end the answer within thinking, or cannot begin it.
            token = self._thoughts.first_token(self._parser.closing)
            return np.array([] if token is None else [token], np.int32)
        mask = np.frombuffer(self._matcher.compute_bitmask(), np.uint8)
        if self._matcher.is_error():
            raise GrammarDeadEnd(self._matcher.get_error())
        bits = np.unpackbits(mask, bitorder="little")[: self._model.vocab_tokens]
        return np.flatnonzero(bits).astype(np.int32)

    def _read(self, token: int) -> bool:
        """Take a token before the JSON: thinking, its tags, and white space after a tag."""
        parser = self._parser.copy()
        text = self._thoughts.spell(token)
        answer = _answer(parser.push(text))
        if answer.strip():
            # A token may contain the end of a tag and the beginning of the JSON.
            if not self._begin_with(answer + _answer(parser.finish())):
                return False
        elif not (parser.thinking or parser.doubtful):
            blank = not (self._parser.thinking or text.strip())
            if blank and not (text and self._may_space):
                return False
            self._may_space = not blank
        elif parser.doubtful and not (parser.thinking or self._thoughts.known):
            # It begins a tag that this model may not have, and cannot begin JSON.
            return False
        self._parser = parser
        return True

    def _begin_with(self, answer: str) -> bool:
        """Begin the JSON with some of its text, if that is valid."""
        tokens = self._vocabulary.tokens_of(answer.lstrip().encode())
        taken = self._matcher.try_consume_tokens(tokens)
        if taken < len(tokens):
            self._matcher.rollback(taken)
            return False
        self._begin()
        return True

    def _begin(self) -> None:
        self._answering = True
        self.complete = self._matcher.is_stopped()


def _answer(parts: Iterable[Part]) -> str:
    return "".join(part.text for part in parts if not part.thought)
