"""What a client remembers of an answer is what it takes to resume, cancel and show it."""

from __future__ import annotations

from inglenook.client.answer import FollowedAnswer, Message


def asked() -> FollowedAnswer:
    return FollowedAnswer(request={"messages": []}, request_id="a", idempotency_key="k")


def delta(seq: int, offset: int, text: str, channel: str = "answer") -> Message:
    return {
        "type": "response.delta",
        "seq": seq,
        "channel": channel,
        "offset": offset,
        "text": text,
    }


def test_it_asks_until_it_has_an_id_and_resumes_from_then_on() -> None:
    """With the same key: the box attaches it to what it generates already."""
    answer = asked()
    first = answer.first_message()
    answer.take({"type": "state"})
    assert answer.first_message() == first
    assert first == {
        "type": "generate",
        "id": "a",
        "idempotency_key": "k",
        "request": {"messages": []},
    }

    answer.take({"type": "response.queued", "response_id": "r_1"})
    answer.take(delta(7, 0, "Hi"))

    assert answer.first_message() == {"type": "resume", "response_id": "r_1", "after": 7}


def test_a_client_that_came_back_is_queued_without_an_id() -> None:
    """It has one."""
    answer = FollowedAnswer("r_1", 3)
    answer.take({"type": "response.queued", "position": 1})

    assert answer.response_id == "r_1"


def test_text_is_placed_by_its_offset() -> None:
    """Also what is sent again after a power cut."""
    answer = asked()
    for message in (
        delta(1, 0, "Hm.", "thinking"),
        delta(2, 0, "Hello"),
        delta(3, 5, " you"),
        {"type": "response.rewound", "seq": 2, "offsets": {"answer": 4, "thinking": 2}},
        delta(9, 4, "o there"),
    ):
        answer.take(message)

    assert answer.texts == {"answer": "Hello there", "thinking": "Hm"}
    assert answer.seq == 9


def test_its_end_is_kept() -> None:
    """With all it says."""
    answer = asked()
    done = {"type": "response.done", "seq": 4, "status": "completed"}
    answer.take(done)

    assert (answer.done, answer.seq) == (done, 4)


def test_it_is_cancelled_once_that_can_be_said() -> None:
    """The box has to name it first."""
    answer = asked()
    assert answer.cancel_message() is None
    answer.cancelled = True
    assert answer.cancel_message() is None
    answer.take({"type": "response.created", "response_id": "r_1"})

    assert answer.cancel_message() == {"type": "cancel", "response_id": "r_1"}


def test_a_refusal_is_that_of_its_own_request() -> None:
    """Or of none that is named."""
    answer = asked()

    assert answer.refuses({"type": "error", "id": "a", "code": "busy"})
    assert answer.refuses({"type": "error", "code": "bad_request"})
    assert not answer.refuses({"type": "error", "id": "b", "code": "busy"})
    assert not answer.refuses({"type": "pong"})


def test_a_channel_that_only_a_newer_box_knows_is_kept_apart() -> None:
    """And ends nothing."""
    answer = asked()
    answer.take(delta(1, 0, "Hm.", "notes"))
    answer.take({"type": "response.rewound", "seq": 1, "offsets": {"answer": 0, "plans": 3}})

    assert answer.texts["notes"] == "Hm."
    assert answer.texts["answer"] == ""
