"""A template is tried without the model's weights, in a process that it may hang or kill."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec
import pytest

from inglenook.engine.examining import examine_template
from inglenook.engine.templatefacts import TemplateFacts, TemplateUnfit
from tests.engine.worker.templates import DATED, EASY, HOPELESS, PICKY
from tests.parts.gguf_files import small_model

PLAIN = TemplateFacts(
    system="known",
    late_system="known",
    takes_turns=False,
    many_turns=True,
    parts=False,
    tools=False,
    date="never",
    # <s> is a token, and so is each letter.
    question_tokens=1 + len("\u2581[user]Hi[end][assistant]".encode()),
    bos="<s>",
    thinking="none that its template or vocabulary knows; <think> … </think> is looked for",
)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "small.gguf"
    path.write_bytes(small_model())
    return path


@pytest.mark.parametrize(
    ("template", "differs"),
    [
        (EASY["plain"], {}),
        (
            PICKY["refuses system"],
            {"system": "folded", "late_system": "folded", "takes_turns": True},
        ),
        (PICKY["refuses late system"], {"late_system": "folded"}),
        (PICKY["parts"], {"parts": True}),
        (EASY["plain"] + "{% if tools %}{{ tools | tojson }}{% endif %}", {"tools": True}),
        (DATED["without a system message"], {"date": "default"}),
        (DATED["by name"], {"date": "always"}),
    ],
)
def test_what_is_found(model: Path, template: str, differs: dict[str, object]) -> None:
    """With a real vocabulary."""
    facts = examine_template(model, template)
    assert isinstance(facts, TemplateFacts)
    if "[system]" in template:
        assert facts.question_tokens > PLAIN.question_tokens
        differs["question_tokens"] = facts.question_tokens
    assert facts == msgspec.structs.replace(PLAIN, **differs)


def test_a_template_for_one_question_only_is_told(model: Path) -> None:
    """It loads: somebody may want just that."""
    facts = examine_template(model, "{{ messages[-1].content }}")
    assert isinstance(facts, TemplateFacts)
    assert not facts.many_turns


@pytest.mark.parametrize("name", HOPELESS)
def test_a_template_that_takes_no_question_is_unfit(model: Path, name: str) -> None:
    """With its own reason, if it has any."""
    facts = examine_template(model, HOPELESS[name])
    assert isinstance(facts, TemplateUnfit)
    assert "does not work" in facts.why


def test_a_file_that_the_library_does_not_load_is_unfit(tmp_path: Path) -> None:
    """It says why."""
    path = tmp_path / "none.gguf"
    path.write_bytes(b"nothing")
    facts = examine_template(path, EASY["plain"])
    assert isinstance(facts, TemplateUnfit)
    assert "llama.cpp could not load it" in facts.why


@pytest.mark.slow
def test_a_template_that_never_ends_is_ended(model: Path) -> None:
    """And its process is gone."""
    endless = "{% for _a in range(99999) %}{% for _b in range(99999) %}{% endfor %}{% endfor %}"
    facts = examine_template(model, endless, deadline_s=2.0)
    assert facts == TemplateUnfit("its chat template was tried for 2 s without an end")


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("import os; os.abort()", "signal 6"),
        ("raise SystemExit(3)", "exit code 3"),
        ("print('hello')", "exit code 0"),
    ],
)
def test_a_process_that_dies_of_it_is_told(model: Path, program: str, words: str) -> None:
    """Nothing of it reaches this one."""
    facts = examine_template(model, EASY["plain"], worker=(sys.executable, "-c", program))
    assert isinstance(facts, TemplateUnfit)
    assert facts.why == f"trying its chat template ended with {words}"


def test_a_program_that_is_not_there_is_told(model: Path) -> None:
    """In words."""
    facts = examine_template(model, EASY["plain"], worker=("/nowhere/python",))
    assert facts == TemplateUnfit("its chat template cannot be tried: No such file or directory")
