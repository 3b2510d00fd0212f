"""Short prompts are made at once, long ones beside the steps; each is given once, or given back."""

from __future__ import annotations

import os
import re
import select
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import pytest

from inglenook.common.errors import EngineError
from inglenook.engine.orders import ChatMessage, Prefill, StartJob
from inglenook.engine.worker.prompt import prompt_queue as prompting_module
from inglenook.engine.worker.prompt.jinja import PLAIN, TemplateOptions, TemplateRefused
from inglenook.engine.worker.prompt.prompt import Prompt
from inglenook.engine.worker.prompt.prompt_queue import STACK_BYTES, PromptQueue, RequestPrompt
from inglenook.engine.worker.prompt.state_positions import StatePositions
from tests.engine.worker.writing import order

DEADLINE_S = 30.0
LONG = "x" * 9000


class Prompts:
    """Makes a token of each character, when it may; notes the calling thread."""

    def __init__(self) -> None:
        self.may = threading.Event()
        self.may.set()
        self.threads: list[str] = []
        self.stacks: list[int] = []
        self.forgot = 0

    def options(self, _request: StartJob | Prefill) -> TemplateOptions:
        return PLAIN

    def prompt(self, messages: Sequence[ChatMessage], _asked: TemplateOptions) -> Prompt:
        self.threads.append(threading.current_thread().name)
        self.stacks.append(largest_stack_bytes())
        text = messages[-1].content
        if len(text) > 8192:
            assert self.may.wait(DEADLINE_S)
        if "bad" in text:
            raise TemplateRefused("bad")
        return Prompt([1] * len(text), len(text), parser=None)

    def beginning(self, messages: Sequence[ChatMessage], asked: TemplateOptions) -> Prompt:
        prompt = self.prompt(messages, asked)
        return prompt._replace(tokens=prompt.tokens[:-1])

    def forget(self) -> None:
        self.forgot += 1


def largest_stack_bytes() -> int:
    """The largest mapping of this process that can be written to."""
    sizes = [0]
    for line in Path("/proc/self/maps").read_text().splitlines():
        found = re.match(r"([0-9a-f]+)-([0-9a-f]+) rw", line)
        if found:
            sizes.append(int(found[2], 16) - int(found[1], 16))
    return max(sizes)


@pytest.fixture
def prompts() -> Prompts:
    return Prompts()


@pytest.fixture
def prompting(prompts: Prompts) -> Iterator[PromptQueue]:
    made = PromptQueue(prompts, os.sched_getaffinity(0), deadline_s=DEADLINE_S)  # type: ignore[arg-type]  # all it calls
    yield made
    prompts.may.set()
    made.close(DEADLINE_S)


def asking(job: int, text: str) -> StartJob:
    return msgspec.structs.replace(order(job, 5), messages=(ChatMessage("user", text),))


def wait(prompting: PromptQueue) -> None:
    """Sleep until there is something to take, as the engine does."""
    poll = select.poll()
    poll.register(prompting, select.POLLIN)
    assert poll.poll(DEADLINE_S * 1000)
    prompting.poll()


def take(prompting: PromptQueue) -> RequestPrompt:
    made = prompting.take()
    assert made is not None
    return made


def test_many_short_messages_are_a_long_conversation(
    prompting: PromptQueue, prompts: Prompts
) -> None:
    """Templates that look through all of them for each take seconds for a thousand."""
    messages = (ChatMessage("user", "x"),) * 1000
    prompting.add(msgspec.structs.replace(order(1, 5), messages=messages))
    assert prompting.take() is None
    wait(prompting)

    assert take(prompting).request.job == 1
    assert prompts.threads == ["prompt"]


def test_a_short_one_is_made_at_once(prompting: PromptQueue, prompts: Prompts) -> None:
    """In the engine's own thread, one for each time it is asked."""
    prompting.add(asking(1, "hello"))
    prompting.add(asking(2, "hi"))
    assert prompting.pressing
    assert len(prompting) == 2
    made = take(prompting)

    assert (made.request.job, made.prompt.result()) == (1, Prompt([1] * 5, 5, parser=None))
    assert take(prompting).request.job == 2
    assert prompting.take() is None
    assert not prompting.pressing
    assert set(prompts.threads) == {threading.current_thread().name}


def test_a_long_one_is_made_in_a_thread_and_a_short_one_does_not_wait(
    prompting: PromptQueue, prompts: Prompts
) -> None:
    """Nor does the engine: the eventfd is readable when there is a prompt to take."""
    prompts.may.clear()
    prompting.add(asking(1, LONG))
    assert prompting.take() is None
    assert not prompting.pressing
    prompting.add(asking(2, "hello"))
    assert take(prompting).request.job == 2
    assert prompting.take() is None
    prompts.may.set()
    wait(prompting)
    made = take(prompting)

    assert (made.request.job, made.prompt.result().total) == (1, len(LONG))
    assert "prompt" in prompts.threads


def test_long_ones_are_made_one_after_the_other(prompting: PromptQueue) -> None:
    """In the order in which they came."""
    for job in (1, 2, 3):
        prompting.add(asking(job, LONG))
    jobs = []
    while len(prompting):
        made = prompting.take()
        if made is None:
            wait(prompting)
        else:
            jobs.append(made.request.job)

    assert jobs == [1, 2, 3]


def test_what_is_typed_is_made_as_well(prompting: PromptQueue) -> None:
    """What can be relied on, and how much there is in all."""
    prompting.add(Prefill(1, (ChatMessage("user", "hello"),)))
    assert take(prompting).prompt.result() == Prompt([1] * 4, 5, parser=None)


def test_where_states_are_to_be_saved_is_found_with_it(prompts: Prompts) -> None:
    """If the model keeps any that cannot be cut; also of what is typed."""
    prompting = PromptQueue(prompts, os.sched_getaffinity(0), marks=True)  # type: ignore[arg-type]
    prompting.add(asking(1, "hello" * 10))
    prompting.add(Prefill(2, (ChatMessage("user", "hello" * 10),)))
    made, typed = (take(prompting).prompt.result() for _ in range(2))
    prompting.close(DEADLINE_S)

    # The next turn's prompt is one token here, and no beginning of this; nor is another question's.
    assert made.marks == StatePositions((), goes_on=False)
    assert typed.marks == StatePositions(())


@pytest.mark.parametrize("text", ["bad", "bad" + LONG])
def test_what_went_wrong_is_told_where_it_is_taken(prompting: PromptQueue, text: str) -> None:
    """A template refuses, or whatever it is."""
    prompting.add(asking(1, text))
    made = prompting.take()
    if made is None:
        wait(prompting)
        made = take(prompting)

    with pytest.raises(TemplateRefused):
        made.prompt.result()


def test_one_that_waits_can_be_had_back(prompting: PromptQueue, prompts: Prompts) -> None:
    """Short or long, before it is made and while it is; and once only."""
    prompts.may.clear()
    for job, text in ((1, LONG), (2, LONG), (3, "hello")):
        prompting.add(asking(job, text))
    assert take(prompting).request.job == 3
    prompting.add(asking(4, "hello"))
    given_back = [prompting.cancel(job) for job in (1, 2, 4)]
    assert [request.job for request in given_back if request] == [1, 2, 4]
    assert [prompting.cancel(job) for job in (1, 2, 4, 5)] == [None] * 4
    prompts.may.set()
    wait(prompting)

    assert prompting.take() is None
    assert len(prompting) == 0


def test_the_thread_has_a_stack_of_its_own(prompting: PromptQueue, prompts: Prompts) -> None:
    """Not what the system gives; and other threads have what they had."""
    before = threading.stack_size()
    prompting.add(asking(1, LONG))
    assert prompting.take() is None
    wait(prompting)
    take(prompting)

    assert max(prompts.stacks) >= STACK_BYTES
    assert threading.stack_size() == before


def test_without_room_for_a_thread_it_is_made_all_the_same(
    prompting: PromptQueue, prompts: Prompts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others wait for once."""
    # More address space than there is.
    monkeypatch.setattr(prompting_module, "STACK_BYTES", 2**55)
    prompting.add(asking(1, LONG))
    prompting.take()

    assert take(prompting).prompt.result().total == len(LONG)
    assert set(prompts.threads) == {threading.current_thread().name}


def test_a_template_that_never_ends_is_not_waited_for(prompts: Prompts) -> None:
    """Steps go on beside it, so nothing else would tell."""
    prompts.may.clear()
    prompting = PromptQueue(prompts, os.sched_getaffinity(0), deadline_s=0.0)  # type: ignore[arg-type]  # all it calls
    prompting.add(asking(1, LONG))
    assert prompting.take() is None
    with pytest.raises(EngineError, match="not made within 0 s"):
        prompting.take()
    prompts.may.set()
    prompting.close(DEADLINE_S)


def test_what_was_said_is_forgotten(prompting: PromptQueue, prompts: Prompts) -> None:
    """When a device is revoked."""
    prompting.forget()
    assert prompts.forgot == 1
