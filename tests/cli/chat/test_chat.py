"""`inglenook chat` answers a pipe, and talks with a person at a terminal."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from inglenook.cli.chat.answer_view import AnswerView
from tests.cli.conftest import Inglenook
from tests.parts.box import Box, free_port, terminal
from tests.parts.starter import CAPITAL, HISTORY, PARIS


def test_a_pipe_gets_the_answer_and_nothing_else(box: Box, token: str) -> None:
    """On stdout; stderr stays empty."""
    ran = box.run("chat", "--url", box.url, "--token", token, stdin=CAPITAL)

    assert (ran.returncode, ran.err) == (0, "")
    assert ran.out == f"{PARIS}\n"


def test_an_address_may_be_typed_without_its_scheme(
    inglenook: Inglenook, box: Box, token: str
) -> None:
    """As people read it from the page; nothing asked is nothing answered."""
    ran = inglenook("chat", "--url", f"127.0.0.1:{box.port}/", "--token", token, stdin=b" \n")

    assert (ran.returncode, ran.out, ran.err) == (0, "", "")


@pytest.mark.slow
def test_on_the_box_itself_it_pairs_by_itself_and_remembers(box: Box) -> None:
    """Whoever may use the owner's door need not type a code; once removed it comes in anew."""
    first = box.run("chat", stdin=CAPITAL)
    second = box.run("chat", stdin=CAPITAL)
    devices = box.run("devices").out
    kept = json.loads((box.folder / ".local/share/inglenook/tokens.json").read_text())
    # The daemon hears of it a moment later, and would end the third answer in the middle.
    box.revoke("Terminal on " + _host(devices), *(key["token"] for key in kept["entries"].values()))
    third = box.run("chat", stdin=CAPITAL)

    assert (first.returncode, second.returncode) == (0, 0)
    assert devices.count("Terminal on ") == 1
    assert (third.returncode, third.out.strip()) == (0, PARIS)


def _host(devices: str) -> str:
    return devices.split("Terminal on ")[1].split("\t", maxsplit=1)[0]


@pytest.mark.parametrize("wrong", ["wrong", "\udcff"])
def test_a_wrong_token_is_a_sentence(inglenook: Inglenook, box: Box, wrong: str) -> None:
    """Exit code 1; also if it is no text at all."""
    ran = inglenook("chat", "--url", box.url, "--token", wrong, stdin=b"Hi")

    assert (ran.returncode, ran.out) == (1, "")
    assert "not paired" in ran.err


@pytest.mark.parametrize("options", [("--token", "t"), ()])
@pytest.mark.parametrize(
    "url",
    [
        "nonsense.invalid",
        "ftp://x",
        "http://",
        "http://127.0.0.1:{free}",
        "http://127.0.0.1:99999",
        "http://[::1",
        "https://127.0.0.1:{port}",
        "http://127.0.0.1:{port}/elsewhere",
    ],
)
def test_an_address_where_no_box_is_is_a_sentence(
    inglenook: Inglenook, box: Box, url: str, options: tuple[str, ...]
) -> None:
    """Exit code 1; it is named, with a token and without."""
    url = url.format(free=free_port(), port=box.port)
    ran = inglenook("chat", "--url", url, *options, stdin=b"Hi")

    assert (ran.returncode, ran.out) == (1, "")
    assert "no box answers at" in ran.err or "is no address" in ran.err


def test_elsewhere_an_unpaired_pipe_hears_what_to_do(inglenook: Inglenook, box: Box) -> None:
    """Nobody is there to type a code."""
    ran = inglenook("chat", "--url", box.url, stdin=b"Hi")

    assert (ran.returncode, ran.out) == (1, "")
    assert "this terminal is not paired" in ran.err


@pytest.mark.parametrize(
    ("question", "words"),
    [(b"word " * 9000, "tokens long"), (b"word " * 60_000, "too long to send")],
)
def test_a_question_too_long_is_a_sentence(
    inglenook: Inglenook, box: Box, token: str, question: bytes, words: str
) -> None:
    """Longer than the context, and longer than a frame."""
    ran = inglenook("chat", "--url", box.url, "--token", token, stdin=question)

    assert (ran.returncode, ran.out.strip()) == (1, "")
    assert words in ran.err


def test_input_that_is_not_text_is_taken_as_well_as_it_can(
    inglenook: Inglenook, box: Box, token: str
) -> None:
    """A file in an old encoding is piped in."""
    question = b"Say hello, \xff\xfe."

    assert inglenook("chat", "--url", box.url, "--token", token, stdin=question).returncode == 0


@pytest.mark.slow
def test_a_person_talks_stops_an_answer_and_leaves(box: Box, token: str) -> None:
    """Ctrl-C stops the answer; at the prompt Ctrl-D ends with 0."""
    words = ["chat", "--url", box.url, "--token", token]
    with terminal(words, box.environ()) as talk:
        talk.wait_for("Ctrl-D ends.")
        talk.wait_for("> ")
        talk.type(f"{HISTORY}\n")
        talk.wait_for(f"{HISTORY}\r\n")
        talk.wait_for(" ")
        talk.type("\x03")
        talk.wait_for("\r\n> ")
        talk.type("\n")
        talk.wait_for("> ")
        talk.type("\x04")

        assert talk.wait_ended() == 0
    assert "Traceback" not in talk.shown


def test_a_machine_with_a_long_name_is_let_in_too(
    inglenook: Inglenook, box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a container's may be: 63 characters, where a device's name has 64 in all."""
    monkeypatch.setattr("socket.gethostname", lambda: "h" * 63)

    ran = inglenook("chat", "--config", str(box.config), stdin=b"\n")

    assert (ran.returncode, ran.out, ran.err) == (0, "", "")


def test_ctrl_c_twice_at_the_prompt_ends_it(box: Box, token: str) -> None:
    """The first may have been meant for an answer that has just ended; it says so."""
    words = ["chat", "--url", box.url, "--token", token]
    with terminal(words, box.environ()) as talk:
        talk.wait_for("> ")
        talk.type("half a quest\x03")
        talk.wait_for("Ctrl-C again ends this, and so does Ctrl-D.")
        talk.wait_for("> ")
        talk.type("/new\n")
        talk.wait_for("A new conversation.")
        talk.wait_for("> ")
        talk.type("\x03")
        talk.wait_for("Ctrl-C again ends this")
        talk.wait_for("> ")
        talk.type("\x03")

        assert talk.wait_ended() == 128 + signal.SIGINT
    assert "Traceback" not in talk.shown


@pytest.mark.slow
def test_elsewhere_a_person_types_the_code(box: Box, tmp_path: Path) -> None:
    """Once it is right; the token is kept for the next time."""
    environ = {**box.environ(), "HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path)}
    words = ["chat", "--url", box.url]
    with terminal(words, environ) as talk:
        talk.wait_for("Code: ")
        talk.type("0000-0000\n")
        assert talk.wait_ended() == 1
    assert "That code is not right" in talk.shown
    with terminal(words, environ) as talk:
        talk.wait_for("Code: ")
        talk.type(f"{box.pairing_code()}\n")
        talk.wait_for("> ")
        talk.type("\x04")
        assert talk.wait_ended() == 0
    with terminal(words, environ) as talk:
        talk.wait_for("> ")

    assert "Code" not in talk.shown


@pytest.mark.parametrize(
    ("finish_reason", "said"),
    [("stop", ""), ("length", "cut off at the length limit"), ("repetition", "repeated itself")],
)
def test_an_answer_that_is_not_whole_is_said_to_be(
    capsys: pytest.CaptureFixture[str], finish_reason: str, said: str
) -> None:
    """On standard error: a pipe gets the answer's text and nothing else."""
    view = AnswerView()
    view.show({"type": "response.done", "finish_reason": finish_reason, "error": None})
    shown = capsys.readouterr()

    assert shown.out == "\n"
    assert said in shown.err
    assert bool(shown.err) is bool(said)
