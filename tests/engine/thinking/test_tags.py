"""Thoughts are separated from answers, in pieces of any size."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from inglenook.engine.thinking.forms import SEED, THINK, Tags
from inglenook.engine.thinking.parser import Part
from inglenook.engine.thinking.signs import Signs, SpecialToken
from inglenook.engine.thinking.tags import TagParser


def begun(*, thinking: bool) -> TagParser:
    return TagParser(THINK, Signs((), ()), "<think>\n" if thinking else "assistant")


def split(*pieces: str, thinking: bool = False) -> tuple[str, str]:
    """Thought and answer."""
    return told(begun(thinking=thinking), *pieces)


def told(parser: TagParser, *pieces: str) -> tuple[str, str]:
    parts = [part for piece in pieces for part in parser.push(piece)] + parser.finish()
    assert all(part.text for part in parts)
    thought = "".join(part.text for part in parts if part.thought)
    return thought, "".join(part.text for part in parts if not part.thought)


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
    """The opening tag counts only at the start; space next to tags is dropped.

    An answer without tags stays as it was written: told back, it must be the same tokens.
    """
    assert split(text) == (thinking, answer)


def test_a_prompt_that_opened_the_tag_begins_in_thinking() -> None:
    """Templates of some models end with the opening tag, so the model never writes it."""
    assert split("Hm.\n</think>\nHello.", thinking=True) == ("Hm.", "Hello.")


def test_text_that_cannot_be_a_tag_is_passed_on_at_once() -> None:
    """Nobody waits for the end of the answer to see its start."""
    parser = begun(thinking=False)

    assert parser.push("Hel") == [Part(False, "Hel")]
    assert parser.push("lo <") == [Part(False, "lo <")]
    assert parser.finish() == []


def test_no_more_is_held_back_than_could_be_a_tag() -> None:
    """While it thinks, only the beginning of a closing tag and the space before it wait."""
    parser = begun(thinking=True)

    assert parser.push("because 1 <") == [Part(True, "because 1")]
    assert parser.push(" 2") == [Part(True, " < 2")]


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
    together = "".join(split(text))

    assert _letters(together) in (_letters(text), _letters(_untagged(text)))


def _letters(text: str) -> str:
    return "".join(text.split())


def _untagged(text: str) -> str:
    head, tag, rest = text.lstrip().partition("<think>")
    if not tag or head:
        return text
    # Written once more, it is a tag as well.
    while (again := rest.lstrip()).startswith("<think>"):
        rest = again.removeprefix("<think>")
    return rest.replace("</think>", "", 1)


#: What the tags of a test below are, as tokens.
OPEN, CLOSE = SpecialToken("<think>", True, 7), SpecialToken("</think>", True, 8)


def with_tokens(form: Tags = THINK, *, control: bool, prompt: str = "") -> tuple[TagParser, Signs]:
    """A parser where both tags are tokens."""
    signs = Signs(form.texts, [token._replace(control=control) for token in (OPEN, CLOSE)])
    return TagParser(form.mapped(signs.encode), signs, signs.encode(prompt)), signs


def test_where_a_tag_is_a_token_its_text_is_only_text() -> None:
    """A thought about tags ends where the model ends it."""
    parser, signs = with_tokens(control=True)
    text = signs.encode("<think>") + "Is </think> it?" + signs.encode("</think>") + "No: <think>."
    assert told(parser, *text) == ("Is </think> it?", "No: <think>.")


@pytest.mark.parametrize(("control", "shown"), [(True, "Use  tags."), (False, "Use <think> tags.")])
def test_a_token_further_on_is_what_the_library_shows_of_it(control: bool, shown: str) -> None:
    """It may be part of an answer about such tags."""
    parser, signs = with_tokens(control=control)
    assert told(parser, *signs.encode("Use <think> tags.")) == ("", shown)


def test_a_thought_may_follow_a_thought_where_tags_are_tokens() -> None:
    """And is separated from it."""
    parser, signs = with_tokens(control=True)
    text = "<think>One.</think>\n<think>Two.</think></think>Yes."
    assert told(parser, *signs.encode(text)) == ("One.\n\nTwo.", "Yes.")


@pytest.mark.parametrize("again", ["<think>", "\n<think>\n"])
@pytest.mark.parametrize("tokens", [False, True])
def test_a_tag_that_the_model_writes_again_is_no_thought(again: str, tokens: bool) -> None:
    """The prompt has opened it already."""
    text = f"{again}Hm.</think>Yes."
    if tokens:
        parser, signs = with_tokens(control=False, prompt="assistant\n<think>\n")
        assert told(parser, *signs.encode(text)) == ("Hm.", "Yes.")
    else:
        assert split(*text, thinking=True) == ("Hm.", "Yes.")


def test_the_text_of_a_sign_is_not_a_sign() -> None:
    """Characters that stand for tokens, in a text of the model."""
    signs = Signs(THINK.texts, [OPEN, CLOSE])
    assert signs.encode("\ufdd0\ufdd1") == "\ufffd\ufffd"


NAMED = Tags("named", ("<c>",), ("</c>",), named=True, reopens=True)


@pytest.mark.parametrize(
    ("text", "thought", "answer"),
    [
        ("<c>thought\nHm.</c>Yes.", "Hm.", "Yes."),
        ("<c>thought</c>Yes.", "", "Yes."),
        ("<c>\nHm.</c>Yes.", "Hm.", "Yes."),
        ("<c>This is no name, as it is too long for one.\nHm.</c>Yes.", None, "Yes."),
        ("First. <c>thought\nHm.</c> Then.", "Hm.", "First.\n\nThen."),
        ("<c>a\nOne.</c><c>b\nTwo.</c>Yes.", "One.\n\nTwo.", "Yes."),
        ("Yes, a <b>.", "", "Yes, a <b>."),
    ],
)
def test_a_thought_may_have_a_name(text: str, thought: str | None, answer: str) -> None:
    """It is no part of it; and such a thought may begin anywhere."""
    for pieces in ([text], list(text)):
        found = told(TagParser(NAMED, Signs((), ())), *pieces)
        assert found[1] == answer
        assert thought is None or found[0] == thought


WRAPPED = Tags("wrapped", ("<think>",), ("</think>",), (("<answer>", "</answer>"),))


@pytest.mark.parametrize(
    ("text", "prompt", "answer"),
    [
        ("<think>Hm.</think>\n<answer>\nYes.\n</answer>\n", "", "Yes."),
        ("<think>Hm.</think>\n<answer>Yes.", "", "Yes."),
        ("<think>Hm.</think>Yes <answer>.", "", "Yes <answer>."),
        ("<think>Hm.</think><answer>A.</answer> B.", "", "A. B."),
        ("<answer>Yes.</answer>", "", "<answer>Yes.</answer>"),
        ("<answer>Yes.</answer>", "<think>\n</think>\n", "Yes."),
        ("Yes.</answer>", "<think>\n</think>\n<answer>\n", "Yes."),
        ("<think>Hm.</think><answ", "", "<answ"),
    ],
)
def test_tags_around_the_answer_are_taken_off(text: str, prompt: str, answer: str) -> None:
    """After a thought, be it an empty one in the prompt; elsewhere they are the answer's own."""
    for pieces in ([text], list(text)):
        assert told(TagParser(WRAPPED, Signs((), ()), prompt), *pieces)[1] == answer


@pytest.mark.parametrize(
    ("text", "thought"),
    [
        ("<seed:think>So <seed:cot_budget_reflect>far</seed:think>Yes.", "So far"),
        ("<seed:think>\n<seed:cot_budget_reflect>So\n</seed:think>Yes.", "So"),
        ("<seed:think>So\n</seed:cot_budget_reflect>\n</seed:think>Yes.", "So"),
    ],
)
def test_words_beside_what_is_dropped_from_a_thought_stay_apart(text: str, thought: str) -> None:
    """In pieces of any size."""
    for pieces in ([text], list(text)):
        assert told(TagParser(SEED, Signs((), ())), *pieces) == (thought, "Yes.")
