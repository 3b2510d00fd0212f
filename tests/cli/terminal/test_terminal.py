"""A person at a terminal: no key is lost, and the terminal stays as it was."""

from __future__ import annotations

import signal
import termios
import threading
from pathlib import Path

import pytest

from tests.parts.standin import PATIENCE_S, StandIn, answering, held_back, talking, wait_until


@pytest.mark.slow
def test_what_is_typed_meanwhile_is_kept_and_not_shown_in_the_answer(
    other: StandIn, tmp_path: Path
) -> None:
    """Also if Ctrl-C comes in between; it stands at the next prompt, and is asked in the end."""
    begun, stopped = threading.Event(), threading.Event()
    other.speech = held_back("It begins", begun, stopped)
    with talking(other, tmp_path) as talk:
        talk.wait_for("> ")
        talk.type("one\n")
        talk.wait_for("It begins")
        assert begun.wait(PATIENCE_S)
        talk.type("and ")
        talk.type("\x03")
        wait_until(lambda: other.told('"cancel"'))
        talk.type("then?")
        other.speech = answering("Yes.")
        stopped.set()
        during = talk.wait_for("> ")
        talk.wait_for("and then?")
        talk.type("\n")
        talk.wait_for("Yes.")

    assert "and" not in during
    assert other.asked[1][-1]["content"] == "and then?"


def test_a_question_typed_meanwhile_is_asked_next(other: StandIn, tmp_path: Path) -> None:
    """Whole, with its Enter."""
    begun, stopped = threading.Event(), threading.Event()
    other.speech = held_back("It begins", begun, stopped)
    with talking(other, tmp_path) as talk:
        talk.wait_for("> ")
        talk.type("one\n")
        assert begun.wait(PATIENCE_S)
        talk.type("two\n")
        other.speech = answering("Yes.")
        stopped.set()
        talk.wait_for("Yes.")
        talk.type("\x04")
        assert talk.wait_ended() == 0

    assert [messages[-1]["content"] for messages in other.asked] == ["one", "two"]


@pytest.mark.parametrize("how", ["quit", "killed", "interrupted"])
def test_the_terminal_is_left_as_it_was(other: StandIn, tmp_path: Path, how: str) -> None:
    """Whatever ends it, in the middle of an answer too; keys are shown again."""
    begun, stopped = threading.Event(), threading.Event()
    other.speech = held_back("It begins", begun, stopped)
    with talking(other, tmp_path) as talk:
        before = talk.modes()
        talk.wait_for("> ")
        if how == "quit":
            talk.type("/quit\n")
        else:
            talk.type("one\n")
            assert begun.wait(PATIENCE_S)
            wait_until(lambda: not talk.modes()[3] & termios.ECHO)
            if how == "killed":
                talk.process.terminate()
            else:
                talk.type("\x03")
                wait_until(lambda: other.told('"cancel"'))
                talk.type("\x03")
                talk.wait_for("Ctrl-C again ends this")
                talk.type("\x03")
        code = talk.wait_ended()
        after = talk.modes()
        stopped.set()

    assert code == {"quit": 0, "killed": 128 + signal.SIGTERM, "interrupted": 130}[how]
    assert after == before


def test_lines_of_this_session_come_back(other: StandIn, tmp_path: Path) -> None:
    """With the arrow keys; nothing of them is on disk."""
    with talking(other, tmp_path) as talk:
        talk.wait_for("> ")
        talk.type("remember me\n")
        talk.wait_for("Yes.")
        talk.wait_for("> ")
        talk.type("\x1b[A!\n")
        talk.wait_for("Yes.")

    assert other.asked[1][-1]["content"] == "remember me!"
    kept = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not any(b"remember me" in path.read_bytes() for path in kept)
