"""On a narrow terminal no line is broken in a word, and what the next command needs is whole."""

from __future__ import annotations

import re
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from tests.parts.box import Box, made_box, terminal

WIDTHS = (40, 80)

#: Colours, and what clears a line.
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")

#: Each command that prints and ends, well or not, with a box that runs.
COMMANDS: tuple[tuple[str, ...], ...] = (
    ("--help",),
    ("devices", "--help"),
    ("config",),
    ("devices",),
    ("devices", "revoke", "Nobody in particular"),
    ("model",),
    ("model", "info"),
    ("model", "info", "/nowhere/at/all/a-model.gguf"),
    ("model", "rm", "other.gguf"),
    ("cache",),
    ("cache", "purge"),
    ("status", "--once"),
    ("doctor",),
    ("find",),
    ("wake", "aa:bb:cc:dd:ee:zz"),
    ("wake", "Kitchen"),
    ("tune",),
    ("service", "install", "--config", "/nowhere/config.yaml"),
    ("run",),
)


def lines_of(words: Sequence[str], environ: Mapping[str, str], columns: int) -> list[str]:
    """Everything a command shows in a terminal of that width, up to its end."""
    with terminal(words, {**environ, "TERM": "xterm"}, columns=columns) as held:
        held.wait_ended()
        return shown_lines(held.shown)


def shown_lines(text: str) -> list[str]:
    """What stands on the terminal, a line each; of one that is written over, the last."""
    plain = _ESCAPES.sub("", text).replace("\r\n", "\n")
    return [line.rpartition("\r")[2].rstrip() for line in plain.split("\n")]


def broken_lines(lines: Sequence[str], columns: int) -> list[str]:
    """The lines in which the terminal breaks a word that would have fitted a line of its own."""
    wide = [line for line in lines if len(line) > columns]
    return [line for line in wide if max(map(len, line.split())) <= columns]


@pytest.fixture(scope="module")
def settings(box: Box) -> list[str]:
    return ["--config", str(box.config)]


@pytest.mark.slow
@pytest.mark.parametrize("columns", WIDTHS)
@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_no_word_is_broken(
    box: Box, token: str, settings: list[str], words: tuple[str, ...], columns: int
) -> None:
    """Whatever a command has to say, from its help to its faults."""
    given = words if "--config" in words or "--help" in words else (*words, *settings)

    lines = lines_of(given, box.environ(), columns)

    assert any(lines)
    assert not any("Traceback" in line for line in lines)
    assert broken_lines(lines, columns) == []


@pytest.mark.slow
@pytest.mark.parametrize("columns", WIDTHS)
def test_an_id_is_whole_and_revokes(box: Box, settings: list[str], columns: int) -> None:
    """What `devices list` shows is what `devices revoke` wants."""
    name = f"The telephone of somebody with a long name, {columns}"
    box.add_device(name)

    [device_id] = [row.split("\t")[0] for row in box.run("devices").out.splitlines() if name in row]

    lines = lines_of(("devices", *settings), box.environ(), columns)

    assert not any("…" in line for line in lines)
    assert any(device_id in line.split() for line in lines)
    assert box.run("devices", "revoke", device_id).returncode == 0
    assert name not in box.run("devices").out


@pytest.mark.parametrize("columns", WIDTHS)
def test_pairing_shows_a_code_that_can_be_used(box: Box, settings: list[str], columns: int) -> None:
    """A QR code only where lines do not break it; the code to type in any case."""
    environ = {**box.environ(), "TERM": "xterm"}
    with terminal(("pair", *settings), environ, columns=columns) as pairing:
        pairing.wait_for("It works once")
        pairing.process.send_signal(signal.SIGINT)
        pairing.wait_ended()
        lines = shown_lines(pairing.shown)

    assert broken_lines(lines, columns) == []
    assert all(len(line) <= columns for line in lines if "█" in line)
    assert columns == 40 or any("█" in line for line in lines)
    assert any(re.search(r"\b[0-9A-Z]{4}-[0-9A-Z]{4}\b", line) for line in lines)
    assert any(line.strip().startswith("http://") or "  http://" in line for line in lines)


@pytest.mark.slow
@pytest.mark.parametrize("columns", WIDTHS)
def test_a_start_breaks_no_word(starter_model: Path, columns: int) -> None:
    """The log, the welcome and the code; with a long line of each kind."""
    with made_box(starter_model) as box:
        box.write_config()
        environ = {**box.environ(), "TERM": "xterm"}
        words = ("up", "--config", str(box.config))
        with terminal(words, environ, columns=columns) as held:
            held.wait_for("more devices in.")
            held.process.send_signal(signal.SIGINT)
            held.wait_ended()
            lines = shown_lines(held.shown)

    assert any("is ready" in line for line in lines)
    assert broken_lines(lines, columns) == []


@pytest.mark.parametrize("columns", WIDTHS)
def test_what_chat_says_of_itself_is_broken_between_words(
    box: Box, token: str, settings: list[str], columns: int
) -> None:
    """Its greeting, its help, and what it says to a wrong command and to Ctrl-C."""
    environ = {**box.environ(), "TERM": "xterm", "INGLENOOK_TOKEN": token}
    with terminal(("chat", "--url", box.url, *settings), environ, columns=columns) as talk:
        for typed in ("/help\n", "/nonsense\n", "\x03"):
            talk.wait_for("> ")
            talk.type(typed)
        talk.wait_for("> ")
        talk.type("\x04")
        assert talk.wait_ended() == 0

    lines = shown_lines(talk.shown)
    assert any("/help lists" in line for line in lines)
    assert any("two" in line for line in lines)
    assert broken_lines(lines, columns) == []
