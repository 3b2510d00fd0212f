"""What a person sees of an answer, and what a pipe gets."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.parts.box import run_inglenook
from tests.parts.standin import StandIn, answering, talking


@pytest.mark.slow
def test_lines_break_at_spaces_on_a_terminal_alone(other: StandIn, tmp_path: Path) -> None:
    """80 columns; what is piped has the model's own lines."""
    text = "fireplaces " * 20
    other.speech = answering(text)
    environ = {"HOME": str(tmp_path), "INGLENOOK_TOKEN": "token"}
    piped = run_inglenook(("chat", "--url", other.url), environ, stdin="one")
    with talking(other, tmp_path) as talk:
        talk.wait_for("> ")
        talk.type("one\n")
        shown = talk.wait_for("\r\n> ")

    assert piped.out == f"{text}\n"
    lines = shown.replace("one\r\n", "", 1).removesuffix("\r\n> ").split("\r\n")
    assert [len(line) for line in lines] == [76, 76, 65]
    assert all(set(line.split(" ")) == {"fireplaces"} for line in lines)


@pytest.mark.slow
def test_what_a_model_writes_does_not_act_on_the_terminal(other: StandIn, tmp_path: Path) -> None:
    """An escape sequence could rename the window, or type into it; a pipe gets what there is."""
    other.speech = answering("a\x1b]0;b\x07\x9bc\x08d")
    environ = {"HOME": str(tmp_path), "INGLENOOK_TOKEN": "token"}
    piped = run_inglenook(("chat", "--url", other.url), environ, stdin="one")
    with talking(other, tmp_path) as talk:
        talk.wait_for("> ")
        talk.type("one\n")
        talk.wait_for("a]0;bcd\r\n")

    assert piped.out == "a\x1b]0;b\x07\x9bc\x08d\n"
