"""What one answer may go on with, where it has to keep to a schema. Kind: hands."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from inglenook.engine.worker.thought import OPEN, Thought
from inglenook.errors import EngineError

if TYPE_CHECKING:
    from llguidance import LLMatcher

    from inglenook.engine.worker.llama import Model
    from inglenook.engine.worker.vocabulary import Vocabulary


class Astray(EngineError):
    """The grammar knows no way on: the schema takes too much time or memory at this place."""


class Guide:
    """Follows an answer token by token.

    Thinking is free, whether the prompt has begun it or the model does, as its very first token.
    The grammar begins where it ends.

    Attributes:
        complete: The answer is all there is, and nothing can follow.
    """

    def __init__(
        self, model: Model, vocabulary: Vocabulary, matcher: LLMatcher, *, thinking: bool
    ) -> None:
        """Take a fresh matcher, and whether the prompt has already opened ``<think>``."""
        self.complete = False
        self._model = model
        self._vocabulary = vocabulary
        self._matcher = matcher
        self._thought = Thought() if thinking else None
        #: Nothing of the answer is there yet; before its thinking, and just after.
        self._may_think = not thinking
        self._may_space = False

    def follow(self, tokens: Iterable[int]) -> bool:
        """Take what was written before, by another engine; says whether it may be so."""
        return all(self.take(token) for token in tokens)

    def take(self, token: int) -> bool:
        """Go on with a token, if it may come next; else nothing changes.

        The end of the answer may come where the JSON is whole.
        """
        ends = self._model.ends_generation(token)
        if self._thought is not None:
            return not ends and self._think(self._thought, self._model.piece(token))
        if ends:
            return self._matcher.is_accepting()
        if self._matcher.try_consume_tokens([token]):
            self._may_think = self._may_space = False
            self.complete = self._matcher.is_stopped()
            return True
        return self._begin(self._model.piece(token))

    def allowed(self) -> npt.NDArray[np.int32]:
        """Find every token that may come next.

        Raises:
            Astray: If the grammar is too much for the library here.
        """
        if self._thought is not None:
            # It wanted to end within its thinking, or to begin with something else.
            return np.array(self._vocabulary.tokens_of(self._thought.missing)[:1], np.int32)
        mask = np.frombuffer(self._matcher.compute_bitmask(), np.uint8)
        if self._matcher.is_error():
            raise Astray(self._matcher.get_error())
        bits = np.unpackbits(mask, bitorder="little")[: self._model.vocab_tokens]
        return np.flatnonzero(bits).astype(np.int32)

    def _begin(self, piece: bytes) -> bool:
        """Before the JSON: the model begins to think, or leaves some space after having thought."""
        if self._may_think and piece.strip() == OPEN:
            self._thought = Thought()
        elif not (self._may_space and piece and not piece.strip()):
            return False
        self._may_think = self._may_space = False
        return True

    def _think(self, thought: Thought, piece: bytes) -> bool:
        answer = thought.after(piece)
        if answer is None:
            thought.add(piece)
            return True
        # The tag may end within a token that goes on with the answer.
        tokens = self._vocabulary.tokens_of(answer) if answer else []
        taken = self._matcher.try_consume_tokens(tokens)
        if taken < len(tokens):
            self._matcher.rollback(taken)
            return False
        self._thought = None
        self._may_space = not answer
        self.complete = self._matcher.is_stopped()
        return True
