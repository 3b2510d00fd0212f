"""A request becomes the same messages whether it is asked or only about to be."""

from __future__ import annotations

import pytest

from inglenook.chat.messages import Message
from inglenook.chat.profiles import Profile
from inglenook.chat.request import ChatRequest
from inglenook.common.errors import Code
from inglenook.engine.events import JobRefused, Refusal
from inglenook.engine.orders import ChatMessage, Sampling
from inglenook.serving.engine_request import prepare_order, problem_of, start_order
from inglenook.serving.settings import ServingSettings


def test_the_order_takes_from_the_profile_what_the_request_leaves_open() -> None:
    """And its system message, if the conversation has none."""
    profile = Profile(
        "Be kind.",
        temperature=0.2,
        top_k=7,
        top_p=0.5,
        min_p=0.1,
        repeat_penalty=1.1,
        presence_penalty=0.4,
        frequency_penalty=0.3,
    )
    start = start_order(ChatRequest((Message("user", "Why?"),)), profile, seed=9)

    assert start.messages == (ChatMessage("system", "Be kind."), ChatMessage("user", "Why?"))
    assert start.sampling == Sampling(0.2, 7, 0.5, 0.1, 1.1, 0.4, 0.3, 64, 9)
    assert start.repetition_detection


def test_the_order_takes_what_the_request_says_zeros_included() -> None:
    """0 is a choice, not a gap."""
    messages = (Message("system", "Be brief."), Message("user", "Why?"))
    request = ChatRequest(
        messages,
        max_tokens=5,
        temperature=0.0,
        top_p=0.0,
        top_k=0,
        min_p=0.0,
        repeat_penalty=1.5,
        presence_penalty=0.5,
        frequency_penalty=0.25,
        seed=0,
        stop=("x",),
        ignore_eos=True,
        schema="{}",
        repetition_detection=False,
    )
    start = start_order(request, Profile("Be kind."), seed=9)

    assert [message.content for message in start.messages] == ["Be brief.", "Why?"]
    assert start.sampling == Sampling(0.0, 0, 0.0, 0.0, 1.5, 0.5, 0.25, 64, 0)
    assert (start.max_tokens, start.stop, start.ignore_eos) == (5, ("x",), True)
    assert start.schema == "{}"
    assert not start.repetition_detection


@pytest.mark.parametrize(
    "messages",
    [
        (Message("user", "Why?"),),
        (Message("system", "Be brief."), Message("user", "Why?")),
        (Message("user", "Why?"), Message("assistant", "So."), Message("user", "And?")),
    ],
)
@pytest.mark.parametrize("profile", [Profile(), Profile("Be kind.")])
def test_what_is_read_ahead_is_how_the_answer_begins(
    messages: tuple[Message, ...], profile: Profile
) -> None:
    """A system message that only one of them had would make reading ahead useless."""
    request = ChatRequest(messages)

    ahead = prepare_order(request, profile)
    assert ahead.messages == start_order(request, profile, seed=1).messages


@pytest.mark.parametrize(
    ("refused", "code", "word"),
    [
        (JobRefused(1, Refusal.CONTEXT_TOO_LONG, 5000, 4096), Code.CONTEXT_TOO_LONG, "4096"),
        (
            JobRefused(1, Refusal.CONTEXT_TOO_LONG, 5000, 4096),
            Code.CONTEXT_TOO_LONG,
            "is 5000 tokens",
        ),
        (
            JobRefused(1, Refusal.CONTEXT_TOO_LONG, 5000, 4096, at_least=True),
            Code.CONTEXT_TOO_LONG,
            "is at least 5000 tokens long; this box can hold 4096",
        ),
        (
            JobRefused(1, Refusal.TEMPLATE, detail="no system role"),
            Code.BAD_REQUEST,
            "no system role",
        ),
        (
            JobRefused(1, Refusal.SCHEMA, detail="'#/a' is false"),
            Code.BAD_REQUEST,
            "'#/a' is false.",
        ),
        (
            JobRefused(1, Refusal.SCHEMA_UNTRIED, detail="no memory"),
            Code.BUSY,
            "now: no memory. Ask",
        ),
    ],
)
def test_a_refusal_becomes_a_sentence(refused: JobRefused, code: Code, word: str) -> None:
    """With the numbers, or the template's own words."""
    problem = problem_of(refused)

    assert problem.code is code
    assert word in problem.text


def test_a_schema_that_could_not_be_tried_is_nobodys_fault() -> None:
    """It says when to ask again."""
    problem = problem_of(JobRefused(1, Refusal.SCHEMA_UNTRIED, detail="no memory"))
    assert problem.retry_after_s is not None


def test_devices_share_cached_tokens_unless_they_are_not_to() -> None:
    """Then a device's own id stands in both orders: the request finds what was prefilled ahead."""
    request, profile = ChatRequest((Message("user", "Why?"),)), Profile("Be kind.")
    shared, apart = ServingSettings(), ServingSettings(shared_cache=False)

    assert shared.namespace("ada") == shared.namespace("ben") == b""
    assert apart.namespace("ada") != apart.namespace("ben")
    salt = apart.namespace("ada")
    assert start_order(request, profile, 1, salt).namespace == salt
    assert prepare_order(request, profile, salt).namespace == salt
