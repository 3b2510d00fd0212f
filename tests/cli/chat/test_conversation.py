"""What the model is told is questions with their answers, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.parts.box import Box, terminal
from tests.parts.standin import Message, Send, Speech, StandIn, answering, talking
from tests.parts.starter import CAPITAL, GERMANY, PARIS


@pytest.mark.slow
def test_a_refused_question_leaves_the_conversation(box: Box, token: str) -> None:
    """What is asked next is answered, and what to do about the length is said."""
    environ = {**box.environ(), "INGLENOOK_TOKEN": token}
    with terminal(["chat", "--url", box.url], environ, columns=400) as talk:
        talk.wait_for("> ")
        talk.type(f"{CAPITAL}\n")
        talk.wait_for(PARIS)
        talk.wait_for("> ")
        talk.type("/file " + str(_long_file(box.folder)) + "\n")
        talk.wait_for("goes along with the next question")
        talk.wait_for("> ")
        talk.type("What is this?\n")
        talk.wait_for("tokens long")
        talk.wait_for("The question is left out again; /new starts anew.")
        talk.wait_for("> ")
        talk.type(f"{GERMANY}\n")
        talk.wait_for("Berlin")
        talk.wait_for("> ")
        talk.type("\x04")

        assert talk.wait_ended() == 0


def _long_file(folder: Path) -> Path:
    path = folder / "long.txt"
    path.write_text("word " * 9000)
    return path


@pytest.mark.parametrize(
    "speech",
    [
        answering("", "failed", code="engine_failed"),
        answering("", "cancelled"),
        answering("I think", "cancelled", channel="thinking"),
        answering(" \n", "incomplete"),
    ],
    ids=["failed", "stopped", "stopped while thinking", "blank"],
)
def test_a_question_without_an_answer_leaves_the_conversation(
    other: StandIn, tmp_path: Path, speech: Speech
) -> None:
    """Many templates refuse two questions in a row, or a message that is empty."""
    with talking(other, tmp_path) as talk:
        talk.wait_for("> ")
        talk.type("one\n")
        talk.wait_for("Yes.")
        talk.wait_for("> ")
        other.speech = speech
        talk.type("two\n")
        talk.wait_for("\n> ")
        other.speech = answering("Half an ans", "failed", code="engine_failed")
        talk.type("three\n")
        talk.wait_for("It is engine_failed.")
        talk.wait_for("> ")
        talk.type("four\n")
        talk.wait_for("> ")

    said = [[message["content"] for message in messages] for messages in other.asked]
    assert said[2] == ["one", "Yes.", "three"]
    assert said[3] == ["one", "Yes.", "three", "Half an ans", "four"]


def test_a_lost_line_leaves_the_conversation_as_it_was(other: StandIn, tmp_path: Path) -> None:
    """The box refuses it in a frame of its own; the next question finds all that was said."""

    async def refuse(asked: Message, send: Send) -> None:
        await send({"type": "error", "id": asked["id"], "code": "busy", "message": "Later."})

    with talking(other, tmp_path) as talk:
        talk.wait_for("> ")
        other.speech = refuse
        talk.type("one\n")
        talk.wait_for("Later.")
        talk.wait_for("> ")
        other.speech = answering("Yes.")
        talk.type("two\n")
        talk.wait_for("Yes.")

    assert [message["content"] for message in other.asked[1]] == ["two"]
