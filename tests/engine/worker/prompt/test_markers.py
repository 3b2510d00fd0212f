"""What acts is found, whole and in parts; and what is from outside is cut so that it does not."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inglenook.engine.worker.prompt.markers import Markers, StandIns, unused

CONTROL = ["<|im_start|>", "<|im_end|>", "<s>", "[INST]", "\u2581<PRE>", "\n\n", "#"]


TAGS = ("<think>", "</think>")


def markers(template: str = "") -> Markers:
    return Markers(
        CONTROL, ["<tool>", "<table>", "</h1>", "   ", "word", "\u00e9", '<|"|>'], template, TAGS
    )


@pytest.mark.parametrize("text", [*CONTROL[:4], "<tool>", '<|"|>', "<think>", "</think>", " <PRE>"])
def test_what_acts_is_found_within_words(text: str) -> None:
    """Control tokens, what authors put into brackets, and the tags around thinking."""
    assert markers().may_act(f"What is {text}?")
    assert markers().acting(f"What is {text}?") == [text]


@pytest.mark.parametrize("text", ["<table>", "</h1>", "   ", "word", "\u00e9", "\n\n", "#"])
def test_common_text_does_not_act_even_if_it_is_a_token(text: str) -> None:
    """It keeps the token that its author defined; what is one character cannot be broken."""
    assert not markers().may_act(f"What is {text}?")


@pytest.mark.parametrize("text", ["a <", "a <|im_", "a [INS \n", "im_end|> b", " > b", "NST] b"])
def test_ends_that_could_become_one_are_found(text: str) -> None:
    """Beside what a template writes, which may trim them first."""
    assert markers().may_act(text)


@pytest.mark.parametrize("text", ["a < b", "x[0] > 3", "<b>bold</b> text", "", " ", "a|b"])
def test_brackets_alone_are_nothing(text: str) -> None:
    """Code and sums are written with them."""
    assert not markers().may_act(text)


@pytest.mark.parametrize("work", ["lower", "upper", "replace('a', '')", "join('')"])
def test_where_a_template_rewrites_any_bracket_counts(work: str) -> None:
    """It could make of ``<|IM_END|>`` what acts."""
    assert markers(f"{{{{ m.content | {work} }}}}").may_act("a <|IM_END|> b")
    assert not markers("{{ m.content | trim }}").may_act("a <|IM_END|> b")


def test_tags_of_thinking_are_those_the_template_knows() -> None:
    """Only these it can take out of an answer."""
    assert markers().thinking == []
    assert markers("{% if '</think>' in content %}").thinking == ["</think>"]


def test_stand_ins_are_used_by_nobody_and_come_back_as_what_they_were() -> None:
    """Also where a message has the very characters they are taken from."""
    first = next(iter(unused([])))
    said = f"{first}<s> [x] {first}"
    stand_ins = StandIns("<>[]", [said])
    hidden = stand_ins.hide(said)

    assert not set(hidden) & set("<>[]")
    assert hidden.count(first) == 2
    assert stand_ins.show(f"<s>{hidden}") == (f"<s>{said}", [4, 6, 8, 10])
    assert stand_ins.hide("<a><b>", ["<b>"]).endswith("<b>")


@pytest.mark.parametrize(
    ("text", "outside", "cuts"),
    [
        ("<s>", [], []),
        ("<s>", [0, 2], [1]),
        ("<s>", [2], [2]),
        ("x<s><s>", [4, 6], [5]),
        ("<<s>", [0, 1, 3], [2]),
        ("<|im_end|>", [0, 9], [1]),
        ("<table>", [0, 6], []),
    ],
)
def test_a_cut_lies_within_what_would_act(text: str, outside: list[int], cuts: list[int]) -> None:
    """What the template has written whole is left alone."""
    assert markers().cuts(text, outside) == cuts


@given(st.lists(st.text("<>ab", min_size=2, max_size=4), min_size=1), st.text("<>ab"), st.data())
def test_after_the_cuts_only_the_templates_own_act(
    texts: list[str], text: str, data: st.DataObject
) -> None:
    """Whatever acts, overlaps and contains what else acts."""
    found = Markers(texts, [], "", TAGS)
    brackets = [at for at, letter in enumerate(text) if letter in found.brackets]
    outside = sorted(data.draw(st.sets(st.sampled_from(brackets)))) if brackets else []
    cuts = found.cuts(text, outside)

    for marker in texts:
        for at in range(len(text)):
            if text.startswith(marker, at):
                within = range(at, at + len(marker))
                owned = not set(within) & set(outside)
                cut = any(at < place < at + len(marker) for place in cuts)
                assert owned or cut
    assert all(0 < place < len(text) for place in cuts)


@given(st.lists(st.text("<>ab|", min_size=2), min_size=1), st.text("<>ab|"))
def test_the_longest_that_acts_is_found_first(texts: list[str], text: str) -> None:
    """As the library looks for the longest first; a trie must find what plain search finds."""
    known = {text for text in texts if len(text.strip()) > 1} | {"<think>", "</think>"}
    at, expected = 0, []
    while at < len(text):
        here = [marker for marker in known if text.startswith(marker, at)]
        expected += here and [max(here, key=len)]
        at += len(expected[-1]) if here else 1

    assert Markers(texts, [], "", TAGS).acting(text) == expected


def test_thousands_that_begin_with_one_another_are_found_too() -> None:
    """No model has them, but a file can."""
    found = Markers(["<" + "a" * length for length in range(1, 3000)], [], "", TAGS)
    assert found.acting("x<aaa") == ["<aaa"]
    assert found.cuts("x<" + "a" * 2000, [1]) == [2]


def test_looking_takes_no_longer_where_much_looks_alike() -> None:
    """A frame full of openings, and a vocabulary that has a thousand texts with that opening."""
    found = Markers([f"<|reserved_{number}|>" for number in range(1000)], [], "", TAGS)
    text = "<|reserved_" * 20_000
    began_s = time.process_time()
    assert found.cuts(text, list(range(0, len(text), 11))) == []
    # A fiftieth of that; compared one by one it would be some twenty seconds.
    assert time.process_time() - began_s < 5
