"""The starter model's answers, one at a time and many at once."""

from __future__ import annotations

import llama_cpp.llama_cpp as lib
import pytest

from inglenook.engine.events import Finish
from inglenook.engine.orders import ChatMessage, Sampling
from inglenook.engine.settings import KvType
from inglenook.engine.worker.llama import Model
from inglenook.engine.worker.prompt.prompt import PromptMaker
from tests.engine.worker.writing import Answer, FixedBudget, order, sampling, writing
from tests.parts.starter import BERLIN, CAPITAL, GERMANY, PARIS

SYSTEM = "You are a helpful AI assistant."


def random_by(seed: int) -> Sampling:
    """Sampling parameters of usual chat programs."""
    return sampling(temperature=0.9, top_k=40, top_p=0.95, min_p=0.05, seed=seed)


@pytest.fixture(scope="session")
def prompts(starter: Model) -> PromptMaker:
    """The starter model's own template."""
    template = lib.llama_model_chat_template(starter.handle, None).decode()
    return PromptMaker(starter, template)


def question(prompts: PromptMaker, text: str = CAPITAL) -> list[int]:
    """The tokens of a conversation with one question."""
    messages = [ChatMessage("system", SYSTEM), ChatMessage("user", text)]
    return prompts.tokens(messages)[0]


def ask(
    model: Model,
    tokens: list[int],
    max_tokens: int,
    *,
    how: Sampling | None = None,
    stop: tuple[str, ...] = (),
    ignore_eos: bool = False,
    kv_type: KvType = "f16",
    grant: int = 512,
) -> Answer:
    """Answer one prompt alone."""
    budget = FixedBudget(grant)
    with writing(model, sequences=1, kv_type=kv_type, budget=budget) as writer:
        writer.submit(order(1, max_tokens, how=how, stop=stop, ignore_eos=ignore_eos), tokens)
        return writer.finish()[1]


@pytest.mark.parametrize("kv_type", ["f16", "q8_0"])
def test_it_knows_the_capital_of_france(
    starter: Model, prompts: PromptMaker, kv_type: KvType
) -> None:
    """And the answer ends by itself."""
    answer = ask(starter, question(prompts), 40, kv_type=kv_type)

    assert answer.whole == PARIS
    assert answer.ended is not None
    assert answer.ended.finish is Finish.STOP
    assert answer.ended.completion_tokens == len(answer.tokens) == 7


@pytest.mark.slow
def test_a_long_question_is_answered_the_same_however_it_was_cut(
    starter: Model, prompts: PromptMaker
) -> None:
    """With 200 tokens of notes before it, prefilled in three steps or in one."""
    notes = "The harbour has twelve boats, and each of them has a name. " * 13
    tokens = question(prompts, notes + CAPITAL)
    assert 2 * 96 < len(tokens) < 3 * 96

    first = ask(starter, tokens, 7, grant=96)
    second = ask(starter, tokens, 7, grant=512)

    assert first.tokens == second.tokens
    assert "Paris" in first.whole


@pytest.mark.slow
def test_eight_phones_ask_at_once(starter: Model, prompts: PromptMaker) -> None:
    """Each is in every step from its first token on, and each gets its own answer."""
    others = ["Say hello.", "What is 2 + 2?", "Name a colour."]
    texts = [CAPITAL, *others, GERMANY, *others]
    with writing(starter, sequences=8, kv_type="f16", budget=FixedBudget(512)) as writer:
        for job, text in enumerate(texts):
            writer.submit(order(job, 10, ignore_eos=False), question(prompts, text))
        answers = writer.finish()

    for answer in answers.values():
        assert answer.at == list(range(len(answer.at)))
        assert 0 < len(answer.tokens) <= 10
    assert (answers[0].whole, answers[4].whole) == (PARIS, BERLIN)


@pytest.mark.slow
def test_a_seed_fixes_the_answer(starter: Model, prompts: PromptMaker) -> None:
    """The same answer again, and another one for another seed."""
    tokens = question(prompts, "Tell me a story.")
    one, again, other = (ask(starter, tokens, 12, how=random_by(seed)) for seed in (1, 1, 2))
    assert one.tokens == again.tokens
    assert one.tokens != other.tokens


def test_top_k_1_is_greedy(starter: Model, prompts: PromptMaker) -> None:
    """At any temperature."""
    how = sampling(temperature=1.5, top_k=1, seed=5)
    assert ask(starter, question(prompts), 40, how=how).whole == PARIS


@pytest.mark.slow
def test_penalties_end_a_loop(starter: Model) -> None:
    """Without them the model continues the loop; with them it does not."""
    tokens = starter.tokenize(" ".join(["The cat sat."] * 8))

    assert ask(starter, tokens, 32, ignore_eos=True).whole == " The cat sat." * 8
    how = sampling(repeat_penalty=1.5)
    assert ask(starter, tokens, 32, how=how, ignore_eos=True).whole.count("cat") < 3


@pytest.mark.parametrize(
    "how",
    [
        sampling(repeat_penalty=1.3),
        sampling(presence_penalty=2.0),
        sampling(frequency_penalty=2.0),
    ],
)
def test_penalties_leave_an_answer_the_words_of_its_question(
    starter: Model, prompts: PromptMaker, how: Sampling
) -> None:
    """And its end marker: the prompt has those of all earlier turns."""
    assert ask(starter, question(prompts), 40, how=how).whole == PARIS


@pytest.mark.parametrize(
    ("stop", "shown"),
    [
        (("Paris",), "The capital of France is "),
        ((" is Par",), "The capital of France"),
        (("nowhere", "France", "of"), "The capital "),
        (("Lyon",), PARIS),
        (("The",), ""),
    ],
)
def test_a_stop_string_ends_the_answer_and_is_not_shown(
    starter: Model, prompts: PromptMaker, stop: tuple[str, ...], shown: str
) -> None:
    """Whatever its token boundaries are."""
    answer = ask(starter, question(prompts), 40, stop=stop)

    assert answer.whole == shown
    assert answer.ended is not None
    assert answer.ended.finish is Finish.STOP


def test_ignore_eos_goes_on_past_the_end(starter: Model, prompts: PromptMaker) -> None:
    """For benchmarks: exactly the requested number of tokens; end markers are not shown."""
    answer = ask(starter, question(prompts), 20, ignore_eos=True)

    assert answer.whole.startswith(PARIS)
    assert "<|im_end|>" not in answer.whole
    assert len(answer.tokens) == 20


@pytest.mark.slow
@pytest.mark.parametrize("text", ["\U0001f525\U0001f680 ", "日本語と中文 "])
def test_characters_of_many_tokens_are_shown_whole(starter: Model, text: str) -> None:
    """The model has no tokens for them, and generates their bytes one by one."""
    with writing(starter, sequences=1, kv_type="f16", budget=FixedBudget(512)) as writer:
        writer.submit(order(1, 24), starter.tokenize(text * 12))
        shown = []
        while writer.batcher.busy:
            before = len(writer.answers[1].text)
            writer.step()
            shown.append(writer.answers[1].text[before:])
        whole = writer.answers[1].whole

    assert "\ufffd" not in whole
    assert sum(character > "\u3000" for character in whole) > 5
    # Steps that finish no character show nothing.
    assert "" in shown
