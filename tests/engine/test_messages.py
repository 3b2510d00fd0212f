"""What the two sides say arrives as it was said; what is no message is refused in a known way."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inglenook.engine.events import (
    Finish,
    JobEnded,
    JobRefused,
    JobStarted,
    LoadFailed,
    Output,
    PrefillDone,
    Progress,
    Ready,
    Refusal,
    StepDone,
    WorkerHello,
)
from inglenook.engine.frames import ORDER_BYTES_MAX
from inglenook.engine.messages import (
    NOT_A_MESSAGE,
    Event,
    Order,
    decode_event,
    decode_order,
    encode,
)
from inglenook.engine.orders import (
    CancelJob,
    ChatMessage,
    ChatToolCall,
    Limits,
    LoadModel,
    Prefill,
    PrefixCache,
    PurgeCache,
    Sampling,
    StartJob,
)

SAMPLING = Sampling(0.7, 40, 0.9, 0.05, 1.1, 0.0, 0.0, 64, 2**32 - 1)
MESSAGES = (ChatMessage("system", ""), ChatMessage("user", "Grüße \U0001f525\x00"))

ORDERS: list[Order] = [
    LoadModel("/models/a b.gguf", "{{ x }}", 4096, "q8_0", 8, None, 0.2),
    StartJob(1, MESSAGES, SAMPLING, None, ("\n\n", "</s>"), False),
    StartJob(2**40, MESSAGES, SAMPLING, 5, (), True, produced=(0, 49151)),
    StartJob(2, MESSAGES, SAMPLING, 5, (), False, schema='{"type": "object"}'),
    LoadModel("/m", "", 4096, "f16", 8, 4, 0.2, 256, "on", True, PrefixCache("/c", 2**30, 0)),
    LoadModel("/m", "", 4096, "f16", 8, 4, 0.2, use_mmap=False),
    Prefill(9, MESSAGES),
    CancelJob(7),
    Limits(),
    Limits(step_budget_s=0.1, threads=2, duty=0.25, ram_bytes=0),
    PurgeCache(),
]
EVENTS: list[Event] = [
    WorkerHello(1),
    Progress(0.5),
    Ready(4096, 4096, 4, 1.25),
    LoadFailed("no such file"),
    JobStarted(1, 30),
    JobRefused(1, Refusal.CONTEXT_TOO_LONG, prompt_tokens=9000, request_tokens_max=8192),
    JobRefused(1, Refusal.TEMPLATE, detail="roles must alternate"),
    JobRefused(1, Refusal.SCHEMA, detail="the schema at '#/items' cannot be kept to: it is false"),
    JobRefused(1, Refusal.SCHEMA_UNTRIED, detail="Too many open files"),
    PrefillDone(9, 412, 380),
    StepDone((Output(1, "é", (5, 6)), Output(2, "", (7,)))),
    StepDone(()),
    JobEnded(1, Finish.STOP, "", 12, 0, 0.5, 1.5),
    JobEnded(1, Finish.REPETITION, "", 512, 0, 0.5, 1.5),
]


@pytest.mark.parametrize("order", ORDERS)
def test_an_order_arrives_as_it_was_given(order: Order) -> None:
    """Every field of every order, to the last digit."""
    assert decode_order(encode(order)) == order


@pytest.mark.parametrize("event", EVENTS)
def test_an_event_arrives_as_it_was_told(event: Event) -> None:
    """Every field of every event."""
    assert decode_event(encode(event)) == event


def test_the_longest_request_of_a_phone_fits_into_one_order() -> None:
    """256 KiB of conversation and the tokens of the longest answer before it, at their widest."""
    messages = (ChatMessage("user", "x" * 256 * 1024),)
    produced = tuple([2**31 - 1] * 2**17)
    order = StartJob(2**63, messages, SAMPLING, 2**20, ("x" * 256,) * 16, False, produced)
    assert len(encode(order)) <= ORDER_BYTES_MAX


@pytest.mark.parametrize(
    "payload",
    [
        b"\x00",  # not even a map
        b"\x81",  # cut off
        encode(WorkerHello(1)).replace(b"Hello", b"Hallo"),
        encode(CancelJob(1)),  # an order is no event
        encode(LoadFailed("abc")).replace(b"abc", b"\xff\xfe\xfd"),  # no UTF-8
        b"\x82\xa4type\xa5Hello\xa1x" + b"\x91" * 100_000,  # nested without end
        b"\x82\xa4type\xa8Progress\xa8fraction\xa3low",  # text where a number belongs
        b"\xdd\xff\xff\xff\xff",  # four billion elements announced
    ],
)
def test_what_is_no_event_raises_what_the_reader_expects(payload: bytes) -> None:
    """An engine that has gone mad may write anything; nothing but these errors may come of it."""
    with pytest.raises(NOT_A_MESSAGE):
        decode_event(payload)


@given(st.binary(max_size=200), st.integers(0, 200), st.sampled_from(EVENTS))
def test_damaged_events_raise_what_the_reader_expects(noise: bytes, at: int, event: Event) -> None:
    """Either it is still an event, or one of the expected errors."""
    payload = encode(event)
    try:
        decoded = decode_event(payload[:at] + noise + payload[at + len(noise) :])
    except NOT_A_MESSAGE:
        return
    assert isinstance(decoded, msgspec.Struct)


def test_a_message_of_before_is_read_as_one_without_calls() -> None:
    """Journals of earlier versions have such."""
    before = msgspec.msgpack.encode(["user", "Hi"])

    assert msgspec.msgpack.decode(before, type=ChatMessage) == ChatMessage("user", "Hi")


def test_calls_of_tools_and_their_results_cross_the_pipe() -> None:
    call = ChatMessage("assistant", "", (ChatToolCall("c1", "clock", "{}"),))
    for message in (call, ChatMessage("tool", "12:00", (), "c1")):
        assert msgspec.msgpack.decode(msgspec.msgpack.encode(message), type=ChatMessage) == message


def test_an_order_that_a_journal_of_before_has_is_read() -> None:
    """Journals keep the orders of unfinished answers: 0.1 called this one `Start`."""
    stored = {
        "type": "Start",
        "job": 0,
        "messages": [["user", "Hi"]],
        "sampling": [0.7, 40, 0.9, 0.05, 1.1, 0.0, 0.0, 64, 9],
        "max_tokens": None,
        "stop": [],
        "ignore_eos": False,
        "produced": [],
        "schema": None,
        "repetition_detection": True,
        "moment_s": None,
        "thinking": ["auto", None, None],
    }

    read = msgspec.msgpack.decode(msgspec.msgpack.encode(stored), type=StartJob)

    assert read.messages == (ChatMessage("user", "Hi"),)
    assert read.repetition_detection
    assert read.namespace == b""
