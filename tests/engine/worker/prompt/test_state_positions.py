"""Where prompts part: by templates that keep answers, and by those that leave thoughts out."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from inglenook.engine.orders import ChatMessage
from inglenook.engine.worker.kv.common_prefix import common_tokens
from inglenook.engine.worker.prompt.jinja import TemplateRefused
from inglenook.engine.worker.prompt.state_positions import (
    StatePositions,
    find_mark_ahead,
    find_marks,
)

Make = Callable[[Sequence[ChatMessage]], list[int]]

SYSTEM = ChatMessage("system", "You answer in the fewest words that are polite.")
QUESTION = ChatMessage("user", "What did the fisherman find in his net this morning?")
ANSWER = ChatMessage("assistant", "Nothing but a boot.")
OTHER = ChatMessage("user", "And on the day before that one, if anything?")


def told(messages: Sequence[ChatMessage]) -> str:
    return "".join(f"<{message.role}>{message.content}</>" for message in messages)


def letters(text: str) -> list[int]:
    return [ord(letter) for letter in text]


def plain(messages: Sequence[ChatMessage]) -> list[int]:
    return letters(told(messages) + "<assistant>")


def thinking(messages: Sequence[ChatMessage]) -> list[int]:
    """Opens a thought; those before are left out."""
    return letters(told(messages) + "<assistant><think>")


def strict(messages: Sequence[ChatMessage]) -> list[int]:
    """Takes one question, and nothing else."""
    if [message.role for message in messages] != ["user"]:
        raise TemplateRefused("one at a time")
    return plain(messages)


CONVERSATIONS = [(SYSTEM, QUESTION), (SYSTEM, QUESTION, ANSWER, OTHER), (QUESTION, ANSWER, OTHER)]


@pytest.mark.parametrize("messages", CONVERSATIONS)
@pytest.mark.parametrize("make", [plain, thinking])
def test_states_are_saved_before_the_question_and_before_what_is_left_out(
    make: Make, messages: Sequence[ChatMessage]
) -> None:
    """Everything that people do next begins with one of them."""
    prompt = make(messages)
    marks = find_marks(prompt, messages, make)
    before, end = marks.places

    following = make([*messages, ANSWER, OTHER])
    edited = make([*messages[:-1], ChatMessage("user", "zero")])
    assert common_tokens(prompt, edited) == before
    assert common_tokens(prompt, following) - 1 == end < len(prompt)
    assert marks.goes_on is (make is plain)


def test_a_question_that_begins_like_the_other_is_told_from_it() -> None:
    """It is compared with one that does not."""
    messages = (SYSTEM, ChatMessage("user", "a long question about nothing much"))
    before, _end = find_marks(plain(messages), messages, plain).places

    assert before == len(letters(told([SYSTEM]) + "<user>"))


def test_a_template_that_takes_no_next_turn_is_cut_near_its_end() -> None:
    """About where the question ends."""
    prompt = strict([QUESTION])

    assert find_marks(prompt, [QUESTION], strict) == StatePositions((len(prompt) - 4,))


def test_what_is_read_ahead_has_the_place_before_the_question() -> None:
    """Its end is retained anyway."""
    messages = (SYSTEM, QUESTION)
    beginning = letters(told(messages).removesuffix("</>"))

    before, _end = find_marks(plain(messages), messages, plain).places
    assert find_mark_ahead(beginning, messages, plain) == StatePositions((before,))


def test_places_that_lie_close_are_one() -> None:
    """To stop there again would cost what it saves."""
    messages = (SYSTEM, ChatMessage("user", "?"))
    before = len(letters(told([SYSTEM]) + "<user>"))

    assert find_marks(plain(messages), messages, plain).places == (before,)


def test_who_asks_nothing_has_no_question() -> None:
    """A conversation that was only opened."""
    assert find_mark_ahead(plain([SYSTEM]), [SYSTEM], plain) == StatePositions()
