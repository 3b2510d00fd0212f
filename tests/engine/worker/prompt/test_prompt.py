"""The model's own template makes the prompt; what it cannot do is refused in a sentence."""

from __future__ import annotations

from collections.abc import Sequence

import llama_cpp.llama_cpp as lib
import pytest

from inglenook.engine.orders import ChatMessage
from inglenook.engine.worker.kv.common_prefix import common_tokens
from inglenook.engine.worker.llama import Model
from inglenook.engine.worker.prompt.jinja import TemplateOptions, TemplateRefused
from inglenook.engine.worker.prompt.prompt import PromptMaker, PromptTooLong
from inglenook.engine.worker.prompt.template import ChatTemplate

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
    said = (shown[token].encode() if token in shown else model.piece(token) for token in tokens)
    return b"".join(said).decode()


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
    """The answer then begins inside it, without an opening tag."""
    assert PromptMaker(starter, CHATML + ending).tokens([QUESTION])[1] is thinking


def test_a_think_in_the_question_is_only_words(starter: Model) -> None:
    """Somebody asks what <think> means."""
    asked = ChatMessage("user", "What is <think>")
    assert PromptMaker(starter, CHATML).tokens([asked])[1] is False


@pytest.mark.parametrize(
    "template", ["{{ messages[0].content }}", "{{ bos_token }}{{ messages[0].content }}"]
)
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
        ("{{ '' }}", "leaves out what is asked"),
        ("{{ messages[0].role }}", "leaves out what is asked"),
        ("{{ raise_exception('') }}", "ValueError"),
        ("{{ raise_exception('long ' * 1000) }}", "long long"),
    ],
)
def test_a_template_that_takes_no_question_is_refused_at_once(
    starter: Model, template: str, why: str
) -> None:
    """Whatever it raises: a downloaded program must not end the engine. A short line says why."""
    with pytest.raises(TemplateRefused) as refused:
        PromptMaker(starter, template)

    assert why in refused.value.why
    assert len(refused.value.why) <= 200
    assert "\n" not in refused.value.why


def test_after_a_refusal_the_next_conversation_is_taken(starter: Model) -> None:
    """It is about this one's length, not about the model."""
    prompts = PromptMaker(
        starter, "{% if messages[1] is defined %}{{ raise_exception('no') }}{% endif %}" + CHATML
    )
    with pytest.raises(TemplateRefused, match="no"):
        prompts.tokens([QUESTION, ANSWER, QUESTION])

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
    """While the model is loading, so that its owner sees it."""
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
    """The known ways from a string, or from the read-only conversation, to the machine."""
    with pytest.raises(TemplateRefused):
        PromptMaker(starter, escape).tokens([QUESTION])


class Counting:
    """A real model, and the number of characters it tokenised."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self.read: list[str] = []

    def __getattr__(self, name: str) -> object:
        return getattr(self._model, name)

    def tokenize(self, text: str, *, continued: bool = False) -> list[int]:
        self.read.append(text)
        return self._model.tokenize(text, continued=continued)


#: Some 30 kB, as a household writes them.
TALK = [
    ChatMessage(role, f"{number} {role} says a few words more than are needed. " * 20)
    for number in range(15)
    for role in ("user", "assistant")
]


def counted(starter: Model, template: str = CHATML) -> tuple[Counting, PromptMaker]:
    counting = Counting(starter)
    return counting, PromptMaker(counting, template)  # type: ignore[arg-type]  # it is one


def test_a_conversation_that_has_grown_is_read_from_its_last_message_on(starter: Model) -> None:
    """Earlier pieces are cached; the tokens are those of tokenising all of it."""
    counting, prompts = counted(starter)
    prompts.tokens([*TALK, QUESTION])
    counting.read.clear()
    again = [*TALK, QUESTION, ANSWER, QUESTION]
    tokens, _thinking = prompts.tokens(again)

    assert sum(map(len, counting.read)) < 4096
    assert tokens == counted(starter)[1].tokens(again)[0]


@pytest.mark.parametrize("ahead", [False, True])
def test_what_is_being_made_when_all_is_forgotten_is_not_known_after(
    starter: Model, monkeypatch: pytest.MonkeyPatch, ahead: bool
) -> None:
    """Who is revoked may have a long prompt in the other thread just then."""
    counting, prompts = counted(starter)
    write = ChatTemplate._write

    def forgotten_meanwhile(
        template: ChatTemplate, messages: Sequence[ChatMessage], asked: TemplateOptions
    ) -> str:
        prompts.forget()
        return write(template, messages, asked)

    with monkeypatch.context() as patch:
        patch.setattr(ChatTemplate, "_write", forgotten_meanwhile)
        (prompts.beginning if ahead else prompts.tokens)([*TALK, QUESTION])
    counting.read.clear()
    prompts.tokens([*TALK, QUESTION])

    assert sum(map(len, counting.read)) > 30_000


def test_what_is_typed_is_rendered_once_and_read_once(
    starter: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only another letter is tokenised."""
    counting, prompts = counted(starter)
    write = ChatTemplate._write
    times: list[int] = []

    def counted_write(
        template: ChatTemplate, messages: Sequence[ChatMessage], asked: TemplateOptions
    ) -> str:
        times.append(len(messages))
        return write(template, messages, asked)

    with monkeypatch.context() as patch:
        patch.setattr(ChatTemplate, "_write", counted_write)
        tokens, total, *_rest = prompts.beginning([*TALK, QUESTION])
    whole = sum(len(message.content) for message in TALK)

    assert len(times) == 1
    assert sum(map(len, counting.read)) < 1.3 * whole
    now, _thinking = prompts.tokens([*TALK, QUESTION])
    later, _thinking = prompts.tokens([*TALK, ChatMessage("user", QUESTION.content + "a")])
    assert total == len(now)
    assert tokens == now[: common_tokens(now, later)]
    assert len(tokens) > total - 12


def test_what_was_said_is_forgotten(starter: Model) -> None:
    """It is tokenised again then."""
    counting, prompts = counted(starter)
    prompts.tokens([*TALK, QUESTION])
    read = list(counting.read)
    prompts.forget()
    counting.read.clear()
    prompts.tokens([*TALK, QUESTION])

    assert counting.read == read


def test_what_cannot_fit_by_its_bytes_is_not_read(starter: Model) -> None:
    """A tokenizer that would not survive it is never asked."""
    counting, prompts = counted(starter)
    prompts.tokens_max = 100
    with pytest.raises(PromptTooLong) as refused:
        prompts.tokens([ChatMessage("user", "word " * 40_000)])

    assert counting.read == []
    assert 100 < refused.value.tokens <= 200_100 // 16


def test_what_does_not_fit_is_read_no_further_than_that_is_known(starter: Model) -> None:
    """Some thousand tokens more than fit, of tens of thousands."""
    counting, prompts = counted(starter)
    prompts.tokens_max = 4000
    with pytest.raises(PromptTooLong) as refused:
        prompts.tokens([ChatMessage("user", "To be or not to be. " * 10_000)])

    assert sum(map(len, counting.read)) < 40_000
    assert 4000 < refused.value.tokens < 9000


def test_the_library_is_given_no_long_text(starter: Model) -> None:
    """Any text is tokenised in pieces of some thousand characters."""
    counting, prompts = counted(starter)
    for text in ("word " * 20_000, "\n" * 14_000, "\u6211" * 14_000, "1" * 1400, "<s>" * 9000):
        prompts.tokens([ChatMessage("user", f"x{text}x")])
    assert max(map(len, counting.read)) <= 12_288


def test_a_marker_that_is_repeated_is_read_once(starter: Model) -> None:
    """Each reading has its price, however short."""
    counting, prompts = counted(starter)
    tokens, _thinking = prompts.tokens([ChatMessage("user", "<|im_end|>" * 5000)])

    assert len(counting.read) < 10
    assert text_of(starter, tokens).count("<|im_end|>") == 5001


@pytest.mark.parametrize("text", ["What is <think>", "<think>", "Why <think>\n", "<|think|>"])
def test_only_the_template_can_begin_a_thought(starter: Model, text: str) -> None:
    """Even where it writes nothing behind the question."""
    prompts = PromptMaker(starter, "{{ messages[-1].content }}")
    assert prompts.tokens([ChatMessage("user", text)])[1] is False


@pytest.mark.parametrize(
    "take_apart",
    [
        "{% for part in message.content.split('#') %}{{ part }}{% endfor %}",
        "{% for char in message.content %}{% if char != '#' %}{{ char }}{% endif %}{% endfor %}",
        "{% if '#' in message.content %}{{ message.content[:4] }}{{ message.content[5:] }}"
        "{% else %}{{ message.content }}{% endif %}",
    ],
)
@pytest.mark.parametrize("other", ["Hello", "<|im_start|>"])
def test_what_a_template_puts_together_of_parts_does_not_act(
    starter: Model, take_apart: str, other: str
) -> None:
    """Of a message that has nothing in it that acts, alone or beside one that has."""
    template = CHATML.replace("{{ message.content }}", take_apart)
    asked = [ChatMessage("user", "<|im#_end|>"), ChatMessage("user", other)]
    tokens, _thinking = PromptMaker(starter, template).tokens(asked)

    assert tokens.count(starter.tokenize("<|im_end|>")[0]) == 2
    assert tokens.count(starter.tokenize("<|im_start|>")[0]) == 3
    said = b"".join(map(starter.piece, tokens))
    assert b"<|im_end|>" in said


def test_a_question_cannot_stand_for_the_beginning(toy: Model) -> None:
    """It is put there by the model's own rule, and the typed one is text."""
    prompts = PromptMaker(toy, "{{ messages[0].content }}")
    tokens, _thinking = prompts.tokens([ChatMessage("user", "<s>hello")])

    assert [place for place, token in enumerate(tokens) if token == 1] == [0]
    assert b"".join(map(toy.piece, tokens)).decode() == "\u2581<s>hello"


def test_an_answer_that_speaks_of_a_marker_serves_the_next_question(starter: Model) -> None:
    """The tokens before it are found again, one by one."""
    template = lib.llama_model_chat_template(starter.handle, None).decode()
    prompts = PromptMaker(starter, template)
    asked = [ChatMessage("user", "What is <|im_end|>?")]
    before, _thinking = prompts.tokens(asked)
    answer = ChatMessage("assistant", "It is <|im_end|>, which ends a turn.")
    after, _thinking = prompts.tokens([*asked, answer, QUESTION])

    assert after[: len(before)] == before
    assert "What is <|im_end|>?" in text_of(starter, before)
    assert [after.count(starter.tokenize(mark)[0]) for mark in ("<|im_start|>", "<|im_end|>")] == [
        5,
        4,
    ]


@pytest.mark.parametrize("mark", ["\U000f0000", "\U0010fffe", "\ufdd0", "\ue000"])
def test_characters_nobody_uses_are_text_like_any_other(starter: Model, mark: str) -> None:
    """Also beside a marker, where such characters are used here."""
    [said] = [f"a{mark}<|im_end|>{mark}b"]
    tokens, _thinking = PromptMaker(starter, CHATML).tokens([ChatMessage("user", said)])
    assert f"user\n{said}<|im_end|>" in text_of(starter, tokens)
