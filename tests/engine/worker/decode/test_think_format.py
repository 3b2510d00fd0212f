"""The format of a model's thinking is found in its file, and its answers are parsed by it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from inglenook.engine.orders import ChatMessage, Prefill, Thinking
from inglenook.engine.worker.decode.output_reader import OutputReader
from inglenook.engine.worker.decode.think_format import ThinkFormat
from inglenook.engine.worker.examine import describe_thinking
from inglenook.engine.worker.llama import Model
from inglenook.engine.worker.prompt.prompt import Prompt, PromptMaker
from tests.engine.thinking.families import ANSWER, FAMILIES, THOUGHT, Family
from tests.engine.worker.toy import write_toy_vocabulary

QUESTION = "Which city? <think> Is </think> it?"

BY_NAME = {family.name: family for family in FAMILIES}


@pytest.fixture
def load(tmp_path: Path) -> Callable[[Family, str, Path], PromptMaker]:
    """A vocabulary of single bytes, with a family's tags as tokens of one kind."""

    def load(family: Family, kind: str, vocabularies: Path) -> PromptMaker:
        tokens = family.tokens
        path = tmp_path / "vocabulary.gguf"
        write_toy_vocabulary(
            path,
            control=["<s>", "</s>", *(tokens if kind == "control" else ())],
            defined=tokens if kind == "defined" else (),
            architecture=family.architecture,
        )
        model = Model(str(path), lambda _fraction: True, vocab_only=True)
        template = family.template
        if "{" not in template:
            template = (vocabularies / "templates" / f"{template}.jinja").read_text()
        return PromptMaker(model, template)

    return load


def asked(prompts: PromptMaker, thinking: Thinking) -> Prompt:
    messages = (ChatMessage("user", QUESTION),)
    return prompts.prompt(messages, prompts.options(Prefill(1, messages, thinking=thinking)))


def read(prompts: PromptMaker, said: str, thinking: Thinking) -> tuple[str, str]:
    """Thinking and answer of some tokens, read as the batcher reads them."""
    thoughts = prompts.template.thoughts
    prompt = asked(prompts, thinking)
    assert prompt.parser is not None
    reader = OutputReader(prompt.parser, thoughts.signs, ())
    model = thoughts._model
    parts = [reader.push(token, model.piece(token)) for token in model.tokenize(said)]
    parts.append(reader.finish())
    return "".join(part.thinking for part in parts), "".join(part.answer for part in parts)


@pytest.mark.parametrize("kind", ["control", "defined"])
@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_what_a_family_writes_is_read_token_by_token(
    family: Family, kind: str, load: Callable[..., PromptMaker], vocabularies: Path
) -> None:
    """By the real library and template; a tag typed by a user opens nothing."""
    prompts = load(family, kind, vocabularies)
    thinking = Thinking("on") if family.on else Thinking()
    thought = THOUGHT if THOUGHT in family.said else ""

    assert read(prompts, family.said, thinking) == (thought, ANSWER)
    if family.off != "never":
        assert read(prompts, family.unthought, Thinking("off")) == ("", ANSWER)


REAL = [
    ("qwen2", "Qwen-Qwen3-0.6B", f"<think>\n{THOUGHT}\n</think>\n\n{ANSWER}"),
    ("qwen35", "Qwen3.5-4B", f"{THOUGHT}\n</think>\n\n{ANSWER}"),
    ("gemma-4", "google-gemma-4-31B-it", f"<|channel>thought\n{THOUGHT}\n<channel|>{ANSWER}"),
    ("command-r", "Cohere2MoE", f"{THOUGHT}<|END_THINKING|><|START_TEXT|>{ANSWER}<|END_TEXT|>"),
    ("llama-bpe", "deepseek-ai-DeepSeek-R1-Distill-Llama-8B", f"{THOUGHT}\n</think>\n\n{ANSWER}"),
    ("phi-3", "llama-cpp-rwkv-world", f" {THOUGHT}</think>{ANSWER}"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("vocabulary", "template", "said"), REAL, ids=lambda text: text[:20])
def test_real_vocabularies_are_read_alike(
    vocabulary: str, template: str, said: str, vocabularies: Path
) -> None:
    """Whichever of the tags are single tokens."""
    model = Model(str(vocabularies / f"{vocabulary}.gguf"), lambda _f: True, vocab_only=True)
    text = (vocabularies / "templates" / f"{template}.jinja").read_text()
    thought, answer = read(PromptMaker(model, text), said, Thinking())
    assert (thought, answer) == (THOUGHT, ANSWER)
    model.close()


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("Qwen3", "<think> … </think> (tokens); on unless switched off"),
        ("R1-Distill-Llama", "<think> … </think> (tokens); its template has no switch"),
        ("Granite 3.3", "<think> … </think> (tokens); off unless asked for"),
        ("gpt-oss", "channels (harmony) (tokens); on unless switched off, takes an effort"),
        ("Seed-OSS", "on unless switched off, takes a budget"),
        ("Llama 3.2", "none that its template or vocabulary knows; <think> … </think> is looked"),
    ],
)
def test_the_owner_is_told_in_a_line(
    name: str, line: str, load: Callable[..., PromptMaker], vocabularies: Path
) -> None:
    """The form, and whether thinking can be switched."""
    template = load(BY_NAME[name], "control", vocabularies).template
    assert line in describe_thinking(template)


def test_a_stop_string_may_be_a_tag(load: Callable[..., PromptMaker], vocabularies: Path) -> None:
    """As when the tag is text: such a request wants the thinking alone."""
    thoughts: ThinkFormat = load(BY_NAME["Qwen3"], "control", vocabularies).template.thoughts
    reader = OutputReader(thoughts.parser(""), thoughts.signs, ("</think>",))
    model = thoughts._model
    said = [reader.push(t, model.piece(t)) for t in model.tokenize("<think>Hm.</think>Yes.")]
    assert reader.stopped
    assert "".join(part.thinking for part in [*said, reader.finish()]) == "Hm."


def test_text_that_is_a_sign_to_the_program_is_none_from_the_model(
    load: Callable[..., PromptMaker], vocabularies: Path
) -> None:
    """A model may generate any character."""
    thoughts: ThinkFormat = load(BY_NAME["Qwen3"], "control", vocabularies).template.thoughts
    reader = OutputReader(thoughts.parser("<think>"), thoughts.signs, ())
    parts = [reader.push(0, piece) for piece in ("a\ufdd0\ufdd1b".encode(), b"\xef\xb7", b"\x91c")]
    parts.append(reader.finish())
    assert "".join(part.thinking for part in parts) == "a\ufffd\ufffdb\ufffdc"
    assert "".join(part.answer for part in parts) == ""


def test_only_brackets_are_hidden_from_a_template(
    load: Callable[..., PromptMaker], vocabularies: Path
) -> None:
    """A header's beginning ends with a letter, which occurs in any text."""
    markers = load(BY_NAME["gpt-oss"], "control", vocabularies).template._markers
    assert markers.brackets == {"<", ">"}
    assert not markers.may_act("Whose channels are these?")


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_an_earlier_answer_may_have_tags_that_a_template_does_not_take(
    family: Family, load: Callable[..., PromptMaker], vocabularies: Path
) -> None:
    """A client may have one from before the tags were known; gpt-oss's template raises."""
    prompts = load(family, "control", vocabularies)
    question = ChatMessage("user", QUESTION)
    earlier = ChatMessage("assistant", family.said)
    rendered = prompts.template.render([question, earlier, question])
    assert ANSWER in rendered.text
    assert rendered.adjustments == ()
