"""Messages are thought or answer by their headers; noise is an answer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inglenook.engine.thinking.channels import ChannelParser
from inglenook.engine.thinking.forms import HARMONY
from inglenook.engine.thinking.signs import Signs, SpecialToken

PROMPT = "<|start|>user<|message|>Why?<|end|><|start|>assistant"

TOKENS = [
    SpecialToken(text, False, number)
    for number, text in enumerate(("<|start|>", "<|channel|>", "<|message|>", "<|end|>"))
]


def told(text: str, *, tokens: bool = True, prompt: str = PROMPT) -> tuple[str, str]:
    """Thought and answer, a character at a time; and the same in one piece."""
    signs = Signs(HARMONY.texts, TOKENS if tokens else [])
    form = HARMONY.mapped(signs.encode)
    found = []
    for pieces in ([signs.encode(text)], list(signs.encode(text))):
        parser = ChannelParser(form, signs, signs.encode(prompt))
        parts = [part for piece in pieces for part in parser.push(piece)] + parser.finish()
        thought = "".join(part.text for part in parts if part.thought)
        found.append((thought, "".join(part.text for part in parts if not part.thought)))
    assert found[0] == found[1]
    return found[0]


@pytest.mark.parametrize("tokens", [True, False])
@pytest.mark.parametrize(
    ("text", "thought", "answer"),
    [
        ("<|channel|>final<|message|>Yes.", "", "Yes."),
        ("<|channel|>final <|constrain|>json<|message|>{}", "", "{}"),
        ("<|channel|>analysis<|message|>Hm.<|end|>", "Hm.", ""),
        (
            "<|channel|>analysis<|message|>A.<|end|><|start|>assistant<|channel|>analysis<|message|>"
            "B.<|end|><|start|>assistant<|channel|>final<|message|>Yes.",
            "A.\n\nB.",
            "Yes.",
        ),
        (
            "<|channel|>commentary<|message|>First.<|end|><|start|>assistant<|channel|>final"
            "<|message|>Then.",
            "",
            "First.\n\nThen.",
        ),
        ('<|channel|>commentary to=functions.f <|constrain|>json<|message|>{"a":1}', '{"a":1}', ""),
        (' to=functions.f<|channel|>commentary<|message|>{"a":1}', '{"a":1}', ""),
        ("<|message|>Yes.", "", "Yes."),
        ("<|channel|>final<|message|> Yes.\n", "", " Yes.\n"),
        ("<|channel|>fin", "", ""),
        ("Yes, at once.", "", "Yes, at once."),
        ("to be", "", "to be"),
        ("assistants", "", "assistants"),
        ("", "", ""),
    ],
)
def test_headers_say_what_is_thought(text: str, thought: str, answer: str, tokens: bool) -> None:
    """What is for a program is shown with the thoughts; text without a header is the answer."""
    assert told(text, tokens=tokens) == (thought, answer)


def test_a_prompt_may_have_begun_the_answer() -> None:
    """As a template may that switches thinking off."""
    prompt = PROMPT + "<|channel|>final<|message|>"
    assert told("Yes.", prompt=prompt) == ("", "Yes.")


@pytest.mark.parametrize("end", ["<|end|>", "<|return|>"])
def test_an_answer_that_is_over_is_not_begun_once_more(end: str) -> None:
    """Earlier answers end with the former, so a model may end one so; another thought is closed."""
    signs = Signs(HARMONY.texts, TOKENS)
    parser = ChannelParser(HARMONY.mapped(signs.encode), signs, signs.encode(PROMPT))
    parser.push(signs.encode("<|channel|>final<|message|>Yes." + end))
    assert parser.closing == ""
    parser.push(signs.encode("<|start|>assistant<|channel|>"))
    assert parser.closing == signs.encode("final<|message|>")


PIECES = st.lists(
    st.sampled_from([
        *("<|start|>", "<|channel|>", "<|message|>", "<|end|>", "<|return|>", "assistant"),
        *("analysis", "final", " to=f", " ", "\n", "a", "<", "|>"),
    ]),
    max_size=12,
).map("".join)  # fmt: skip


@given(text=PIECES, tokens=st.booleans())
def test_noise_comes_to_an_end_however_it_is_cut(text: str, tokens: bool) -> None:
    """A small model writes such; no mark that is a token is ever shown."""
    thought, answer = told(text, tokens=tokens)
    if tokens:
        assert not any(token.text in thought + answer for token in TOKENS)
