"""What a model thinks is told from what it answers, however the text is cut."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from inglenook.chat.thinking import Channel, ThinkSplitter


def split(*pieces: str, thinking: bool = False) -> dict[Channel, str]:
    splitter = ThinkSplitter(thinking=thinking)
    texts = dict.fromkeys(Channel, "")
    for channel, text in (part for piece in pieces for part in splitter.push(piece)):
        assert text
        texts[channel] += text
    for channel, text in splitter.finish():
        assert text
        texts[channel] += text
    return texts


@pytest.mark.parametrize(
    ("text", "thinking", "answer"),
    [
        ("", "", ""),
        ("Hello.", "", "Hello."),
        ("<think>Hm.</think>Hello.", "Hm.", "Hello."),
        ("\n<think>\nHm.\n</think>\n\nHello.\n", "Hm.", "Hello.\n"),
        ("<think></think>Hello.", "", "Hello."),
        ("<think>\n\n</think>\n\nHello.", "", "Hello."),
        ("<think>never closed", "never closed", ""),
        ("<think>a </think> b </think> c", "a", "b </think> c"),
        ("Use <think> tags.", "", "Use <think> tags."),
        ("<thin", "", "<thin"),
        ("<thinking>no</thinking>", "", "<thinking>no</thinking>"),
        ("a < b", "", "a < b"),
        ("<think>1 </thin", "1 </thin", ""),
        ("<think>x</think><think>y</think>", "x", "<think>y</think>"),
        (" Hello.", "", " Hello."),
        ("\n <thin", "", "\n <thin"),
        ("\n\n", "", "\n\n"),
        ("<think>x</think>\n\n", "x", ""),
    ],
)
def test_tags_part_thinking_from_answer(text: str, thinking: str, answer: str) -> None:
    """The opening tag counts only at the start; space beside the tags is nobody's.

    An answer without tags stays as it was written: told back, it must be the same tokens.
    """
    assert split(text) == {Channel.THINKING: thinking, Channel.ANSWER: answer}


def test_a_prompt_that_opened_the_tag_begins_in_thinking() -> None:
    """Templates of some models end with the opening tag, so the model never writes it."""
    texts = split("Hm.\n</think>\nHello.", thinking=True)

    assert texts == {Channel.THINKING: "Hm.", Channel.ANSWER: "Hello."}


def test_text_that_cannot_be_a_tag_is_passed_on_at_once() -> None:
    """Nobody waits for the end of the answer to see its start."""
    splitter = ThinkSplitter(thinking=False)

    assert splitter.push("Hel") == [(Channel.ANSWER, "Hel")]
    assert splitter.push("lo <") == [(Channel.ANSWER, "lo <")]
    assert splitter.finish() == []


def test_no_more_is_held_back_than_could_be_a_tag() -> None:
    """While it thinks, only the beginning of a closing tag and the space before it wait."""
    splitter = ThinkSplitter(thinking=True)

    assert splitter.push("because 1 <") == [(Channel.THINKING, "because 1")]
    assert splitter.push(" 2") == [(Channel.THINKING, " < 2")]


TAGGY = st.lists(
    st.sampled_from(["<think>", "</think>", "<", "</", "think", ">", " ", "\n", "a", "é😀"]),
    max_size=12,
).map("".join)


@given(text=TAGGY, cuts=st.lists(st.integers(0, 60)), thinking=st.booleans())
@example(text="<think> a </think> b", cuts=[3, 9, 12], thinking=False)
def test_any_cut_gives_the_same_as_the_whole(text: str, cuts: list[int], thinking: bool) -> None:
    """Tokens end anywhere, also in the middle of a tag."""
    edges = [0, *sorted(cuts), len(text)]
    pieces = [text[start:end] for start, end in pairwise(edges)]

    assert split(*pieces, thinking=thinking) == split(text, thinking=thinking)


@given(text=TAGGY)
def test_no_letter_is_lost_or_made_up(text: str) -> None:
    """Both channels together hold everything but the tags and the space beside them."""
    texts = split(text)
    together = texts[Channel.THINKING] + texts[Channel.ANSWER]

    assert _letters(together) in (_letters(text), _letters(_untagged(text)))


def _letters(text: str) -> str:
    return "".join(text.split())


def _untagged(text: str) -> str:
    head, tag, rest = text.lstrip().partition("<think>")
    return rest.replace("</think>", "", 1) if tag and not head else text
