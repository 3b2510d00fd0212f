"""`inglenook status` says how the box is, and why it is slow."""

from __future__ import annotations

from typing import Any

import pytest
from rich.console import Console

from inglenook.cli.status import plain_lines
from inglenook.cli.status_picture import Bounds, bars, picture
from tests.cli.conftest import Inglenook
from tests.parts.box import Box, terminal

GIB = 2**30

STATE: dict[str, Any] = {
    "level": "hot",
    "reason": "thermal",
    "sentence": "79 °C, 1 °C below where the board slows itself down: computing 82 % of the time",
    "eta_s": 41,
    "max_active": 4,
    "active": 3,
    "queued": 2,
    "model": "tiny",
    "engine": "ready",
    "engine_why": "",
    "journal_error": None,
    "loaded": None,
    "cpu_c": 79,
    "mem_available_bytes": 2 * GIB,
}
UNKNOWN: dict[str, Any] = {
    **STATE,
    "level": "unknown",
    "reason": "none",
    "sentence": "",
    "eta_s": None,
    "model": "",
    "cpu_c": None,
    "mem_available_bytes": None,
}
BOUNDS = Bounds("Kitchen", 8, 8 * GIB)


def drawn(past: list[dict[str, Any]], width: int, bounds: Bounds = BOUNDS) -> list[str]:
    """The picture as a terminal of that width shows it."""
    console = Console(width=width, force_terminal=True, color_system=None)
    with console.capture() as shown:
        console.print(picture(past, bounds, width))
    return shown.get().splitlines()


def minute() -> list[dict[str, Any]]:
    """A box that became hot."""
    return [{**STATE, "cpu_c": 40 + second * 39 / 59} for second in range(60)]


@pytest.mark.parametrize(
    ("values", "upper", "lower"),
    [
        ([], "    ", "    "),
        ([0, 25, 50, 100], "   █", "▁▄██"),
        ([75], "   ▄", "   █"),
        ([None, 100], "   █", "   █"),
        ([-50, 150], "   █", "  ▁█"),
        ([100, 0, 0, 0, 0], "    ", "▁▁▁▁"),
    ],
)
def test_bars_are_two_rows_high(values: list[float | None], upper: str, lower: str) -> None:
    """The newest on the right; what is unknown is blank, what is beyond the chart ends with it."""
    assert bars(values, 0, 100, 4) == (upper, lower)


@pytest.mark.parametrize("width", [60, 80, 200])
@pytest.mark.parametrize("past", [minute(), [UNKNOWN]])
def test_the_picture_fits_the_terminal(past: list[dict[str, Any]], width: int) -> None:
    """Each chart has two rows, and no row of it is broken in two."""
    rows = drawn(past, width)

    assert all(len(row) <= width for row in rows)
    begin = next(index for index, row in enumerate(rows) if row.startswith(" heat"))
    labels = [row[1:9].strip() for row in rows[begin : begin + 8]]
    assert labels == ["heat", "", "", "memory", "", "", "answers", ""]


@pytest.mark.parametrize("width", [40, 80])
def test_the_values_of_a_large_box_leave_the_charts_in_place(width: int) -> None:
    """Its memory, and the longest queue, take more columns than a small one's."""
    state = {**STATE, "queued": 1024, "mem_available_bytes": 15 * GIB}
    rows = drawn([state], width, Bounds("Kitchen", 8, int(15.8 * GIB)))

    lower = next(row for row in rows if "of 15.8 GiB" in row)
    assert lower.rstrip().endswith("█")
    assert len(lower.rstrip()) == len(next(row for row in rows if "1024 waiting" in row).rstrip())
    assert len(lower.rstrip()) == len(next(row for row in rows if "15.0 GiB" in row).rstrip())


def test_the_picture_says_why_and_what_would_change_it() -> None:
    """The governor's sentence, and when it may be better."""
    text = " ".join(" ".join(drawn(minute(), 80)).split())

    assert "79 °C, 1 °C below where the board slows itself down" in text
    assert "(at the earliest in 41 s)" in text
    assert "60 s ago" in text


def test_a_model_that_cannot_be_loaded_is_what_is_said() -> None:
    """Whatever the temperature."""
    state = {**STATE, "engine": "missing", "engine_why": "there is no such file"}

    assert dict(plain_lines(state, BOUNDS))["limits"] == "No answers now: there is no such file."


def test_a_journal_that_fails_is_said_in_the_lines_and_in_the_picture() -> None:
    """With its reason, and what would come of a restart now."""
    state = {**STATE, "journal_error": "No space left on device"}

    said = dict(plain_lines(state, BOUNDS))["journal"]
    assert said.startswith("Answers are not stored on disk: No space left on device. They would be")
    assert said in " ".join(" ".join(drawn([state], 80)).split())
    assert "journal" not in dict(plain_lines(STATE, BOUNDS))


def test_loading_says_how_far_it_is() -> None:
    """In percent."""
    lines = dict(plain_lines({**STATE, "engine": "loading", "loaded": 0.43}, BOUNDS))

    assert lines["engine"] == "loading, 43 %"


def test_what_is_not_known_is_said_to_be_so() -> None:
    """A box without sensors, before anybody has looked."""
    lines = dict(plain_lines(UNKNOWN, BOUNDS))

    assert lines["heat"] == "no temperature sensor"
    assert lines["memory"] == "unknown"
    assert lines["model"] == "none"
    assert "limits" not in lines


def test_into_a_pipe_it_is_said_once(box: Box) -> None:
    """A label and a text a line, of the daemon that runs; no token is asked for."""
    ran = box.run("status")

    assert ran.returncode == 0, ran.err
    lines = dict(line.split(maxsplit=1) for line in ran.out.splitlines())
    assert lines["name"] == "Kitchen"
    assert lines["model"].startswith("SmolLM2")
    assert lines["engine"] == "ready"
    assert lines["answers"] == "0 of 8 at once, 0 waiting"
    assert lines["memory"].endswith(" available")


@pytest.mark.slow
def test_in_a_terminal_it_is_drawn_until_ctrl_c(box: Box) -> None:
    """Once a second; to stop it is no failure."""
    environ = {**box.environ(), "TERM": "xterm", "COLUMNS": "80", "LINES": "40"}
    with terminal(("status", "--config", str(box.config)), environ) as held:
        held.wait_for("Kitchen")
        held.wait_for("60 s ago")
        held.wait_for("60 s ago")
        held.type("\x03")

        assert held.wait_ended() == 0


def test_without_a_daemon_it_says_what_to_do(inglenook: Inglenook) -> None:
    """And fails."""
    ran = inglenook("status")

    assert (ran.returncode, ran.out) == (1, "")
    assert "no daemon is running" in ran.err
    assert "`inglenook up`" in ran.err


def test_what_failed_unforeseen_is_shown() -> None:
    """In both forms, with where to look; an older daemon does not tell."""
    state = {**STATE, "unexpected_errors": {"mdns": 2, "governor": 0}}
    said = "Unexpected errors: mdns (2). Please report their traces in the log."

    assert plain_lines(state, BOUNDS)[-1] == ("errors", said)
    assert any(said in line for line in drawn([state], 100))
    assert not any("Unexpected" in line for line in drawn([STATE], 100))
