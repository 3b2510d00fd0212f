"""The model's own template makes the prompt; what it cannot do is refused in a sentence."""

from __future__ import annotations

import llama_cpp.llama_cpp as lib
import pytest

from inglenook.engine.orders import ChatMessage
from inglenook.engine.worker.llama import Model
from inglenook.engine.worker.prompt import PromptMaker, TemplateRefused

SYSTEM = ChatMessage("system", "Be brief.")
QUESTION = ChatMessage("user", "Who?")
ANSWER = ChatMessage("assistant", "Me.")

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def text_of(model: Model, tokens: list[int]) -> str:
    """A prompt as it was before it became tokens."""
    shown = {model.tokenize(mark)[0]: mark for mark in ("<|im_start|>", "<|im_end|>")}
    return "".join(shown.get(token) or model.piece(token).decode() for token in tokens)


def test_the_models_own_template_is_used(starter: Model) -> None:
    """Whole turns, in order, and the beginning of the answer's; its markers as special tokens."""
    template = lib.llama_model_chat_template(starter.handle, None).decode()
    tokens, thinking = PromptMaker(starter, template).tokens([SYSTEM, QUESTION, ANSWER, QUESTION])

    assert text_of(starter, tokens) == (
        "<|im_start|>system\nBe brief.<|im_end|>\n"
        "<|im_start|>user\nWho?<|im_end|>\n"
        "<|im_start|>assistant\nMe.<|im_end|>\n"
        "<|im_start|>user\nWho?<|im_end|>\n"
        "<|im_start|>assistant\n"
    )
    assert not thinking


@pytest.mark.parametrize(
    ("ending", "thinking"),
    [
        ("<think>", True),
        ("<think>\n", True),
        ("<think>\n\n</think>\n\n", False),
        ("", False),
        ("<think> already", False),
    ],
)
def test_a_think_the_template_opens_is_noticed(starter: Model, ending: str, thinking: bool) -> None:
    """The answer then begins inside it, and no opening tag comes."""
    assert PromptMaker(starter, CHATML + ending).tokens([QUESTION])[1] is thinking


def test_a_think_in_the_question_is_only_words(starter: Model) -> None:
    """Somebody asks what <think> means."""
    asked = ChatMessage("user", "What is <think>")
    assert PromptMaker(starter, CHATML).tokens([asked])[1] is False


@pytest.mark.parametrize("template", ["{{ messages[0].content }}", "{{ bos_token }}hi"])
def test_a_model_that_wants_a_beginning_gets_one(toy: Model, template: str) -> None:
    """Exactly one, whether the template writes it or not."""
    tokens, _thinking = PromptMaker(toy, template).tokens([QUESTION])
    assert [place for place, token in enumerate(tokens) if token == 1] == [0]


@pytest.mark.parametrize(
    ("template", "why"),
    [
        ("{{ raise_exception('Roles must alternate') }}", "Roles must alternate"),
        ("{{ messages[7].content }}", "list object has no element 7"),
        ("{{ missing.content }}", "'missing' is undefined"),
        ("{{ 1 / 0 }}", "division by zero"),
        ("{{ messages | sum }}", "unsupported operand"),
        ("{{ 'x'.encode('nonsense') }}", "unknown encoding"),
        ("{{ range(10 ** 9) | list }}", "Range too big"),
        ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "maximum recursion depth"),
        ("{% include 'other' %}", "other"),
        ("{{ '' }}", "empty prompt"),
        ("{{ raise_exception('') }}", "ValueError"),
        ("{{ raise_exception('long ' * 1000) }}", "long long"),
    ],
)
def test_a_template_that_raises_refuses_the_conversation(
    starter: Model, template: str, why: str
) -> None:
    """Whatever it raises: a downloaded program must not end the engine. A short line says why."""
    prompts = PromptMaker(starter, template)

    with pytest.raises(TemplateRefused) as refused:
        prompts.tokens([QUESTION])

    assert why in refused.value.why
    assert len(refused.value.why) <= 200
    assert "\n" not in refused.value.why


def test_after_a_refusal_the_next_conversation_is_taken(starter: Model) -> None:
    """It is about this one's roles, not about the model."""
    prompts = PromptMaker(
        starter,
        "{% if messages[0].role == 'system' %}{{ raise_exception('no') }}{% endif %}" + CHATML,
    )
    with pytest.raises(TemplateRefused):
        prompts.tokens([SYSTEM, QUESTION])

    assert text_of(starter, prompts.tokens([QUESTION])[0]).endswith("assistant\n")


@pytest.mark.parametrize(
    "template",
    [
        "{% for %}",
        "{% endif %}",
        "{{ 'open",
        "{{ x | no_such_filter }}",
        "{% for x in y %}" * 30 + "{% endfor %}" * 30,  # too deep for Python's compiler
        "{{ " + "(" * 2000 + ")" * 2000 + " }}",
    ],
)
def test_a_template_that_is_none_is_refused_at_once(starter: Model, template: str) -> None:
    """While the model is loading, so that its owner hears of it."""
    with pytest.raises(TemplateRefused, match=r"the model's chat template does not work: ."):
        PromptMaker(starter, template)


@pytest.mark.parametrize(
    "escape",
    [
        "{{ ''.__class__.__mro__ }}",
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ raise_exception.__globals__ }}",
        "{{ strftime_now.__globals__['os'].system('true') }}",
        "{{ self.__init__.__globals__ }}",
        "{{ ''['__class__']['__mro__'] }}",
        "{{ (''|attr('__class__')).__mro__ }}",
        "{{ '{0.__class__.__mro__}'.format('') }}",
        "{{ messages.append(1) }}",
        "{{ messages[0].update(role='system') }}",
        "{% set x = cycler.__init__.__globals__.os %}{{ x.environ }}",
    ],
)
def test_a_template_does_not_get_out_of_its_sandbox(starter: Model, escape: str) -> None:
    """The known roads from a string to the machine, and from the conversation it may only read."""
    with pytest.raises(TemplateRefused):
        PromptMaker(starter, escape).tokens([QUESTION])
