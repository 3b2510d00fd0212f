"""Whether a prompt has all words of its conversation."""

from __future__ import annotations

import pytest

from inglenook.engine.orders import ChatMessage
from inglenook.engine.worker.prompt.losses import loses_words

TAGS = ("<think>", "</think>")


@pytest.mark.parametrize(
    ("role", "content", "prompt", "lost"),
    [
        ("user", "Why is it so?", "Q: Why is it so? A:", False),
        ("user", "  Why is it so?\n", "Q: Why is it so? A:", False),
        ("user", "Why is it so?", "Q: WHY IS IT SO? A:", False),
        ("user", "one two\nthree", 'Q: "one two\\nthree" A:', False),
        ("user", "Why is it so? /no_think", "Q: Why is it so? A:", True),
        ("user", "two one", "one two", True),
        ("user", "<think>why</think> so", "Q: so", True),
        ("system", "Be brief.", "Q: A:", True),
        ("assistant", "<think>Hm.</think>\n\nYes.", "Q: Yes. A:", False),
        ("assistant", "Hm.</think>Yes.", "Q: Yes. A:", False),
        ("assistant", "<think>Hm.</think>\n\nYes.", "Q: Hm. A:", True),
        ("assistant", "Yes.", "Q: A:", True),
        ("assistant", "", "Q: A:", False),
        ("user", "¿Por qué?", "Q: ¿Por qué? A:", False),
        ("user", "为什么 这样", "Q: 为什么\u3000这样 A:", False),
    ],
)
def test_words_that_are_not_there(role: str, content: str, prompt: str, lost: bool) -> None:
    """White space, case and quoting change no word; thoughts in an earlier answer may go."""
    assert loses_words([ChatMessage(role, content)], prompt, TAGS) is lost


def test_each_message_is_looked_for_wherever_it_is() -> None:
    """A template may put the system message last."""
    messages = [ChatMessage("system", "Be brief."), ChatMessage("user", "Why?")]

    assert not loses_words(messages, "Why? Be brief.", TAGS)
    assert loses_words([*messages, ChatMessage("user", "How?")], "Why? Be brief.", TAGS)
