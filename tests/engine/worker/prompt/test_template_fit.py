"""No template loses a word of a conversation silently, or refuses what can be put otherwise."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from itertools import cycle
from pathlib import Path

import pytest

from inglenook.engine.events import Adjustment
from inglenook.engine.orders import ChatMessage
from inglenook.engine.worker.llama import Model
from inglenook.engine.worker.prompt.arrangement import Arrangement, SystemAs
from inglenook.engine.worker.prompt.jinja import (
    PLAIN,
    JinjaTemplate,
    TemplateForm,
    TemplateOptions,
    TemplateRefused,
)
from inglenook.engine.worker.prompt.template import ChatTemplate
from inglenook.engine.worker.prompt.template_fit import TemplateFit
from tests.engine.worker.templates import DATED, EASY, HOPELESS, PICKY

ROLES = {"s": "system", "u": "user", "a": "assistant"}

SYSTEMS = ("Answer like a pirate would.", "Use metric units only.", "Never mention ferrets.")
QUESTIONS = (
    "How tall is the Eiffel tower?",
    "And its oldest lift,\nwhen was it built?",
    "Who pays for the paint?",
    "What is 3 < 4 & 5 > 2?",
)
ANSWERS = ("Some 330 metres.", "In 1889.", "The city does.")

#: By their roles; a capital has no content. As the note of 339 templates has them, and more.
CONVERSATIONS = (
    *("u", "su", "uau", "suau", "uauau", "suauau", "uauauau"),
    *("usu", "ssu", "sssu", "susu", "suasu", "uausu", "suausu", "usau", "suaus u".replace(" ", "")),
    *("uu", "suu", "uuu", "uauu", "uuau", "uaau", "suaau", "uuaauu"),
    *("au", "sau", "aau", "auau", "asu", "ausu"),
    *("uAu", "suAu", "uAuau", "uauAu", "Su", "Suau", "uUau", "suUu", "uAAu", "Au", "SsAuSu"),
)


def conversation(shape: str) -> list[ChatMessage]:
    """One with sentences of people in it."""
    said = {"s": cycle(SYSTEMS), "u": cycle(QUESTIONS), "a": cycle(ANSWERS)}
    return [
        ChatMessage(ROLES[letter.lower()], next(said[letter]) if letter.islower() else "")
        for letter in shape
    ]


def words(messages: Sequence[ChatMessage]) -> list[str]:
    """All words of the conversation."""
    said = (message.content.strip() for message in messages)
    return [line.casefold() for text in said for line in text.splitlines()]


def has_all(messages: Sequence[ChatMessage], prompt: str) -> bool:
    """Whether they are in a prompt, whatever the case."""
    plain = prompt.casefold()
    return all(line in plain for line in words(messages))


@functools.cache
def collected(folder: Path) -> dict[str, str]:
    """The templates of real models that llama.cpp keeps."""
    return {path.stem: path.read_text() for path in sorted(folder.glob("templates/*.jinja"))}


def check(template: ChatTemplate, shape: str) -> tuple[Adjustment, ...]:
    """A conversation has all its words in its prompt, and is as it was wherever that does."""
    messages = conversation(shape)
    rendered = template.render(messages)
    assert has_all(messages, rendered.text)
    try:
        as_it_is = template._jinja.render(messages, PLAIN, template.fitting.form)
    except TemplateRefused:
        as_it_is = ""
    if rendered.adjustments:
        assert not as_it_is or not has_all(messages, as_it_is)
    else:
        assert rendered.text.removeprefix("<s>") == as_it_is.removeprefix("<s>")
    return rendered.adjustments


@pytest.mark.parametrize("name", EASY)
def test_a_template_that_takes_everything_is_given_everything_as_it_is(
    toy: Model, name: str
) -> None:
    """The prompt does not change by a letter."""
    template = ChatTemplate(toy, EASY[name])
    for shape in CONVERSATIONS:
        assert check(template, shape) == ()


@pytest.mark.parametrize("name", [*PICKY, *DATED])
def test_a_picky_template_is_given_what_it_takes(toy: Model, name: str) -> None:
    """Every word of every conversation is in its prompt."""
    template = ChatTemplate(toy, (PICKY | DATED)[name])
    for shape in CONVERSATIONS:
        check(template, shape)


@pytest.mark.slow
def test_no_template_of_a_real_model_loses_a_word(toy: Model, vocabularies: Path) -> None:
    """All of llama.cpp's collection."""
    templates = collected(vocabularies)
    assert len(templates) > 60
    refused = []
    arranged = set()
    for name, source in templates.items():
        try:
            template = ChatTemplate(toy, source)
        except TemplateRefused:
            refused.append(name)
            continue
        adjusted = [shape for shape in CONVERSATIONS if check(template, shape)]
        if adjusted:
            arranged.add(name)
    # It appends a value it was not given, and raises for that.
    assert refused == ["fireworks-ai-llama-3-firefunction-v2"]
    assert len(arranged) > 15


@pytest.mark.parametrize(
    ("name", "shape", "adjustments"),
    [
        ("refuses system", "su", [Adjustment.SYSTEM_FOLDED]),
        ("loses system", "su", [Adjustment.SYSTEM_FOLDED]),
        ("first system", "su", []),
        ("first system", "susu", [Adjustment.SYSTEM_FOLDED]),
        ("first system", "ssu", [Adjustment.SYSTEM_JOINED]),
        ("last system", "ssu", [Adjustment.SYSTEM_JOINED]),
        ("last system", "usu", []),
        ("refuses late system", "uausu", [Adjustment.SYSTEM_FOLDED]),
        ("takes turns", "suau", []),
        ("takes turns", "uu", [Adjustment.MERGED]),
        ("takes turns", "sau", [Adjustment.EMPTY_ADDED]),
        ("takes turns", "uAu", []),
        ("refuses empty", "uAu", [Adjustment.EMPTY_LEFT_OUT]),
        ("refuses empty", "uu", []),
        (
            "refuses empty answers, takes turns",
            "uAu",
            [Adjustment.EMPTY_LEFT_OUT, Adjustment.MERGED],
        ),
        ("parts", "suau", []),
        ("iterates tools", "suau", []),
    ],
)
def test_no_more_is_done_than_is_needed(
    toy: Model, name: str, shape: str, adjustments: list[Adjustment]
) -> None:
    """Each only where the template would refuse the conversation or lose a part of it."""
    assert list(check(ChatTemplate(toy, PICKY[name]), shape)) == adjustments


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("parts", TemplateForm(parts=True)),
        ("parts from the second turn on", TemplateForm(parts=True)),
        ("iterates tools", TemplateForm(tools="empty")),
        ("joins tools", TemplateForm(tools="empty")),
        ("refuses system", TemplateForm()),
    ],
)
def test_the_form_is_found(name: str, form: TemplateForm) -> None:
    """A string and no tools, unless that loses words."""
    assert TemplateFit(JinjaTemplate(PICKY[name], bos="<s>", eos="</s>")).form == form


def test_a_template_that_shows_parts_as_they_are_gets_strings() -> None:
    """Python's own way to write a list is no text; better to fold the system message."""
    source = "{% if messages[0].role == 'system' and messages[0].content is string %}"
    source += "{{ raise_exception('parts!') }}{% endif %}" + EASY["plain"]
    fitting = TemplateFit(JinjaTemplate(source, bos="<s>", eos="</s>"))

    assert fitting.form == TemplateForm()
    assert fitting.arrangement("su") == Arrangement(system=SystemAs.USER)


@pytest.mark.parametrize("name", HOPELESS)
def test_a_template_that_takes_no_question_is_refused_when_it_is_tried(name: str) -> None:
    """Not at each question: its owner has to choose another model."""
    with pytest.raises(TemplateRefused):
        TemplateFit(JinjaTemplate(HOPELESS[name], bos="<s>", eos="</s>"))


def test_what_a_template_takes_in_no_way_is_refused_with_a_reason(toy: Model) -> None:
    """One that accepts a single question only, and drops the others silently."""
    template = ChatTemplate(toy, "[user]{{ messages[-1].content }}[assistant]")
    assert template.render(conversation("u")).adjustments == ()
    assert template.render(conversation("uu")).adjustments == (Adjustment.MERGED,)
    with pytest.raises(TemplateRefused, match="leaves out a part"):
        template.render(conversation("uau"))


@pytest.mark.slow
def test_a_conversation_is_put_alike_in_all_its_turns(toy: Model, vocabularies: Path) -> None:
    """Earlier messages are in the prompt as before: the cache finds them."""
    for source in [*PICKY.values(), *collected(vocabularies).values()]:
        try:
            template = ChatTemplate(toy, source)
        except TemplateRefused:
            continue
        for beginning in ("s", "ss", "a", "uu", "su" * 2):
            known: tuple[Adjustment, ...] | None = None
            for turns in range(2, 7):
                messages = conversation(beginning + "ua" * turns + "u")
                adjustments = template.fitting.fit(messages).adjustments
                assert known in (None, adjustments)
                known = adjustments


def test_what_is_being_typed_is_put_as_it_will_be_asked(toy: Model) -> None:
    """An empty message at the end is not left out: its words are yet to come."""
    for source in PICKY.values():
        template = ChatTemplate(toy, source)
        for shape in CONVERSATIONS:
            *earlier, last = conversation(shape)
            now, later = template.render_typed([*earlier, ChatMessage("user", "")])
            whole = template.render([*earlier, last]).text
            common = next(
                (at for at, (a, b) in enumerate(zip(now.text, later.text, strict=False)) if a != b),
                len(now.text),
            )
            assert whole.startswith(now.text[:common])


def test_what_a_template_takes_out_of_a_message_is_told(toy: Model) -> None:
    """A switch that it knows; any other text it takes as it is."""
    source = "{% for m in messages %}{{ m.content | replace('/no_think', '') }}{% endfor %}"
    template = ChatTemplate(toy, source)

    assert template.render(conversation("suau")).adjustments == ()
    asked = [ChatMessage("user", "Why? /no_think")]
    assert template.render(asked).adjustments == (Adjustment.WORDS_LEFT_OUT,)


@pytest.mark.slow
@pytest.mark.parametrize(
    "answer", ["<think>1889, I guess.</think>\n\nIn 1889.", "1889, I guess.</think>\n\nIn 1889."]
)
def test_a_thought_in_an_earlier_answer_may_be_taken_out(
    toy: Model, vocabularies: Path, answer: str
) -> None:
    """It is no word of anybody's; the answer behind it is."""
    taken_out = 0
    for source in collected(vocabularies).values():
        try:
            template = ChatTemplate(toy, source)
        except TemplateRefused:
            continue
        asked = conversation("uau")
        asked[1] = ChatMessage("assistant", answer)
        rendered = template.render(asked)
        assert Adjustment.WORDS_LEFT_OUT not in rendered.adjustments
        assert "In 1889." in rendered.text
        taken_out += "I guess" not in rendered.text
    assert taken_out > 10


@pytest.mark.parametrize("name", DATED)
def test_a_date_is_found_and_is_the_one_that_was_given(toy: Model, name: str) -> None:
    """New Year's Day of 2021, wherever it is written."""
    template = ChatTemplate(toy, DATED[name])
    noon_s = 1_609_502_400.0
    prompt = template.render(conversation("uau"), TemplateOptions(moment_s=noon_s)).text

    assert template.fitting.writes_date
    assert any(date in prompt for date in ("01 Jan 2021", "01 January 2021", "2021-01-01"))
    assert (
        template.render(conversation("uau"), TemplateOptions(moment_s=noon_s + 60)).text == prompt
    )
    assert template.fitting.dates("su") is (name != "without a system message")


@pytest.mark.parametrize("moment_s", [1e300, -1e18, float("nan")])
def test_a_moment_that_no_calendar_has_costs_no_question(toy: Model, moment_s: float) -> None:
    """As from a damaged file; it is asked with today's date."""
    name = next(iter(DATED))
    template = ChatTemplate(toy, DATED[name])

    assert template.render(conversation("uau"), TemplateOptions(moment_s=moment_s)).text


def test_other_templates_have_no_date(toy: Model) -> None:
    """They are not cached."""
    for source in [*EASY.values(), *PICKY.values()]:
        assert not ChatTemplate(toy, source).fitting.writes_date


def test_choices_of_the_request_reach_the_template_and_its_trial(toy: Model) -> None:
    """What it takes may depend on them."""
    source = "{% if terse and messages[0].role == 'system' %}{{ raise_exception('no') }}{% endif %}"
    template = ChatTemplate(toy, source + EASY["plain"] + "{{ 'terse' if terse }}")

    assert template.render(conversation("su")).adjustments == ()
    rendered = template.render(conversation("su"), TemplateOptions({"terse": True}))
    assert rendered.adjustments == (Adjustment.SYSTEM_FOLDED,)
    assert rendered.text.endswith("terse")
