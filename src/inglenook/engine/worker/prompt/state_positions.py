"""Where in a prompt a state is worth saving that cannot be cut later. Kind: rules.

One can go on with a running state only right where it was saved, so it must be saved where a later
prompt will part from this one:

- before the last question: it is asked otherwise, or another conversation begins with the same
  system message;
- where the next turn's prompt goes on otherwise. That is mostly at this one's end, where its answer
  follows; but before the thought that a template opens there, and leaves out of later turns. One
  token less serves the same prompt again as well, as one must be left to compute.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from inglenook.common.errors import EngineError
from inglenook.engine.orders import ChatMessage
from inglenook.engine.worker.kv.common_prefix import MIN_PREFIX_TOKENS, common_tokens

#: Makes the tokens of a conversation's prompt, or raises what a prompt is refused with.
Make = Callable[[Sequence[ChatMessage]], Sequence[int]]

#: Where a prompt is cut if the next turn's cannot be made: about the end of the question.
_END_TOKENS = 4


@dataclass(frozen=True, slots=True)
class StatePositions:
    """Where states of one prompt are to be saved.

    Attributes:
        places: After how many tokens, in order.
        goes_on: The next turn's prompt begins with all of this one, as its answer follows there.
    """

    places: Sequence[int] = ()
    goes_on: bool = True


NO_MARKS = StatePositions()


def find_marks(
    prompt: Sequence[int], messages: Sequence[ChatMessage], make: Make
) -> StatePositions:
    """Find the places in a prompt; two other prompts are made for that.

    Args:
        prompt: Its tokens.
        messages: What it was made of.
        make: Makes other prompts by the same rules.
    """
    next_turn = (*messages, ChatMessage("assistant", "a"), ChatMessage("user", "a"))
    following = _common(prompt, next_turn, make)
    end = len(prompt) - _END_TOKENS if following is None else following - 1
    places = (_before_question(prompt, messages, make), end)
    return StatePositions(_worthwhile(places), following is None or following == len(prompt))


def find_mark_ahead(
    beginning: Sequence[int], messages: Sequence[ChatMessage], make: Make
) -> StatePositions:
    """Find the place before the last question, of a prompt that is read while it is typed."""
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
        # A template need not take every conversation, and it may be too long.
        return None


def _worthwhile(places: Sequence[int]) -> Sequence[int]:
    """Those that lie apart: to stop for one, and to find it, costs as much as a few tokens."""
    kept = [0]
    for place in places:
        if place >= kept[-1] + MIN_PREFIX_TOKENS:
            kept.append(place)
    return tuple(kept[1:])
