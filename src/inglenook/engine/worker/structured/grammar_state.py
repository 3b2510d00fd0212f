"""What one answer may go on with, where it has to keep to a schema. Kind: hands."""

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
    """The grammar knows no way on: the schema takes too much time or memory at this place."""


class GrammarState:
    """Follows an answer token by token.

    Thinking is free, whether the prompt has begun it or the model does, before anything else. The
    grammar begins where it ends.

    Attributes:
        complete: The answer is all there is, and nothing can follow.
    """

    def __init__(
        self,
        model: Model,
        vocabulary: TokenTrie,
        matcher: LLMatcher,
        thoughts: ThinkFormat,
        parser: Parser,
    ) -> None:
        """Take a fresh matcher, and a parser of its own that has heard nothing of the answer."""
        self.complete = False
        self._model = model
        self._vocabulary = vocabulary
        self._matcher = matcher
        self._thoughts = thoughts
        self._parser = parser
        #: Something of the JSON is there; the parser is of no use any more.
        self._answering = False
        #: Nothing of it is, and a tag came last.
        self._may_space = False

    def follow(self, tokens: Iterable[int]) -> bool:
        """Take what was written before, by another engine; says whether it may be so."""
        return all(self.take(token) for token in tokens)

    def take(self, token: int) -> bool:
        """Go on with a token, if it may come next; else nothing changes.

        The end of the answer may come where the JSON is whole.
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
        """Find every token that may come next.

        Raises:
            Astray: If the grammar is too much for the library here.
        """
        if not self._answering and (self._parser.thinking or self._parser.doubtful):
            # It wanted to end within its thinking, or to begin with something else.
            token = self._thoughts.first_token(self._parser.closing)
            return np.array([] if token is None else [token], np.int32)
        mask = np.frombuffer(self._matcher.compute_bitmask(), np.uint8)
        if self._matcher.is_error():
            raise GrammarDeadEnd(self._matcher.get_error())
        bits = np.unpackbits(mask, bitorder="little")[: self._model.vocab_tokens]
        return np.flatnonzero(bits).astype(np.int32)

    def _read(self, token: int) -> bool:
        """Before the JSON: what the model thinks, its tags, and some space after one."""
        parser = self._parser.copy()
        text = self._thoughts.spell(token)
        answer = _answer(parser.push(text))
        if answer.strip():
            # A tag may end within a token that goes on with the answer.
            if not self._begin_with(answer + _answer(parser.finish())):
                return False
        elif not (parser.thinking or parser.doubtful):
            blank = not (self._parser.thinking or text.strip())
            if blank and not (text and self._may_space):
                return False
            self._may_space = not blank
        elif parser.doubtful and not (parser.thinking or self._thoughts.known):
            # What it begins may be anything but JSON.
            return False
        self._parser = parser
        return True

    def _begin_with(self, answer: str) -> bool:
        """Begin with some of the JSON, if it may be so."""
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
