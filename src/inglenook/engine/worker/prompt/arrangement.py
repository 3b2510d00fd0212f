"""Rearranges a conversation so that a template accepts it without loss. Kind: rules.

Each change is made only where the template would refuse the conversation, or lose a part of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import IntEnum
from itertools import product
from typing import Final, NamedTuple

from inglenook.engine.events import Adjustment
from inglenook.engine.orders import ChatMessage

#: Between two system messages, or one and the question it is put before.
_LINE: Final = "\n"

#: Between two neighbours of one role.
_PARAGRAPH: Final = "\n\n"


class SystemAs(IntEnum):
    """Where system messages are put."""

    #: They stay.
    THEY_ARE = 0
    #: Those at the beginning become one; later ones are put before the next user message.
    ONE = 1
    #: All are put before the next user message.
    USER = 2


class Arrangement(NamedTuple):
    """Changes to a conversation, in this order.

    Attributes:
        system: Where system messages are put.
        leave_out: Messages without content are left out, except the last.
        greet: An empty question is put before an answer that has none.
        merge: Neighbours of one role become one message.
    """

    system: SystemAs = SystemAs.THEY_ARE
    leave_out: bool = False
    greet: bool = False
    merge: bool = False

    @property
    def weight(self) -> int:
        """The number of changes."""
        return self.system + self.leave_out + self.greet + self.merge


#: All arrangements, those with the fewest changes first.
ARRANGEMENTS: Final = sorted(
    (Arrangement(*each) for each in product(SystemAs, (False, True), (False, True), (False, True))),
    key=lambda each: (each.weight, each),
)


class Arranged(NamedTuple):
    """A conversation that a template accepts, and the adjustments made to it."""

    messages: Sequence[ChatMessage]
    adjustments: tuple[Adjustment, ...] = ()


def is_empty(message: ChatMessage) -> bool:
    """Whether it has no content."""
    return not message.content.strip()


def arranged(messages: Sequence[ChatMessage], arrangement: Arrangement) -> Arranged:
    """Arrange a conversation; its last message is the user's, perhaps still being typed."""
    result = list(messages)
    done: list[Adjustment] = []
    if arrangement.system is SystemAs.ONE:
        result, joined = _join_first(result)
        done += [Adjustment.SYSTEM_JOINED] * joined
    if arrangement.system is not SystemAs.THEY_ARE:
        first = 1 if arrangement.system is SystemAs.ONE and result[0].role == "system" else 0
        if any(message.role == "system" for message in result[first:]):
            result = [*result[:first], *_fold(result[first:])]
            done.append(Adjustment.SYSTEM_FOLDED)
    if arrangement.leave_out and any(map(is_empty, result[:-1])):
        result = [*(message for message in result[:-1] if not is_empty(message)), result[-1]]
        done.append(Adjustment.EMPTY_LEFT_OUT)
    if arrangement.greet:
        at = _after_system(result)
        if result[at : at + 1] and result[at].role == "assistant":
            result.insert(at, ChatMessage("user", ""))
            done.append(Adjustment.EMPTY_ADDED)
    if arrangement.merge and (merged := list(_merged(result))) != result:
        result = merged
        done.append(Adjustment.MERGED)
    return Arranged(result, tuple(done))


def _after_system(messages: Sequence[ChatMessage]) -> int:
    """Number of system messages at the beginning."""
    roles = [message.role for message in messages]
    return next((at for at, role in enumerate(roles) if role != "system"), len(roles))


def _join_first(messages: list[ChatMessage]) -> tuple[list[ChatMessage], bool]:
    """Join the system messages at the beginning; returns whether there were several."""
    count = _after_system(messages)
    if count < 2:
        return messages, False
    text = _joined(_LINE, *(message.content for message in messages[:count]))
    return [ChatMessage("system", text), *messages[count:]], True


def _fold(messages: Sequence[ChatMessage]) -> Iterator[ChatMessage]:
    """Put system messages before the next user message, or make user messages of them."""
    held = ""
    for message in messages:
        if message.role == "system":
            held = _joined(_LINE, held, message.content)
        elif message.role == "user":
            yield ChatMessage(
                "user", f"{held}{_LINE}{message.content}" if held else message.content
            )
            held = ""
        else:
            if held:
                yield ChatMessage("user", held)
                held = ""
            yield message
    if held:
        yield ChatMessage("user", held)


def _merged(messages: Sequence[ChatMessage]) -> Iterator[ChatMessage]:
    *_others, last = messages
    before = messages[0]
    for message in messages[1:]:
        if message.role != before.role or message.role == "system":
            yield before
            before = message
        elif message is last and not is_empty(before):
            # It may still be empty, and be typed after the paragraph.
            before = ChatMessage(last.role, f"{before.content}{_PARAGRAPH}{last.content}")
        else:
            text = _joined(_PARAGRAPH, before.content, message.content)
            before = ChatMessage(before.role, text)
    yield before


def _joined(between: str, *texts: str) -> str:
    return between.join(text for text in texts if text.strip())
