"""Positions in a prompt at which running states are worth saving. Kind: rules.

A running state, which cannot be cut, can be continued only where it was saved. So it must be saved
where a later prompt will differ from this one:

- before the last question: it may be asked again in other words, or another conversation begins
  with the same system message;
- where the next turn's prompt differs. That is mostly this prompt's end, where its answer follows;
  but if a template opens a thought there, which it leaves out of later turns, it is before that.
  One token earlier also serves the same prompt again, as one token must be left to compute.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from inglenook.common.errors import EngineError
from inglenook.engine.orders import ChatMessage
from inglenook.engine.worker.kv.common_prefix import MIN_PREFIX_TOKENS, common_tokens

#: Makes the prompt tokens of a conversation, or raises if its prompt is refused.
Make = Callable[[Sequence[ChatMessage]], Sequence[int]]

#: Tokens to leave before a prompt's end, if the next turn's can't be made: about a question's end.
_END_TOKENS = 4


@dataclass(frozen=True, slots=True)
class StatePositions:
    """Positions in one prompt at which states are to be saved.

    Attributes:
        places: Numbers of tokens before them, in order.
        goes_on: The next turn's prompt begins with all of this one, as its answer follows there.
    """

    places: Sequence[int] = ()
    goes_on: bool = True


NO_MARKS = StatePositions()


def find_marks(
    prompt: Sequence[int], messages: Sequence[ChatMessage], make: Make
) -> StatePositions:
    """Find the positions in a prompt, by making two other prompts.

    Args:
        prompt: Its tokens.
        messages: Its conversation.
        make: Makes other prompts with the same options.
    """
    next_turn = (*messages, ChatMessage("assistant", "a"), ChatMessage("user", "a"))
    following = _common(prompt, next_turn, make)
    end = len(prompt) - _END_TOKENS if following is None else following - 1
    places = (_before_question(prompt, messages, make), end)
    return StatePositions(_worthwhile(places), following is None or following == len(prompt))


def find_mark_ahead(
    beginning: Sequence[int], messages: Sequence[ChatMessage], make: Make
) -> StatePositions:
    """Find the position before the last question, in a prompt that is still being typed."""
    return StatePositions(_worthwhile((_before_question(beginning, messages, make),)))


def _before_question(prompt: Sequence[int], messages: Sequence[ChatMessage], make: Make) -> int:
    asked = [place for place, message in enumerate(messages) if message.role == "user"]
    if not asked:
        return 0
    question = messages[asked[-1]].content
    other = ChatMessage("user", "b" if question.startswith("a") else "a")
    return _common(prompt, (*messages[: asked[-1]], other), make) or 0


def _common(prompt: Sequence[int], messages: Sequence[ChatMessage], make: Make) -> int | None:
    try:
        return common_tokens(prompt, make(messages))
    except EngineError:
        # A template may refuse this conversation, and it may be too long.
        return None


def _worthwhile(places: Sequence[int]) -> Sequence[int]:
    """Positions that are not close together: saving a state costs as much as a few tokens."""
    kept = [0]
    for place in places:
        if place >= kept[-1] + MIN_PREFIX_TOKENS:
            kept.append(place)
    return tuple(kept[1:])
