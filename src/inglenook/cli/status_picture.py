"""The live picture of ``inglenook status``: charts over the last minute."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from inglenook.common.guarded import failed_in
from inglenook.common.units import format_bytes

#: Seconds that the charts show, one column each.
PAST_S = 60

#: Columns before the charts, and after; a lower value also has the label's.
LABEL_COLUMNS, _VALUE, _GAPS = 8, 10, 2

_BARS = " ▁▂▃▄▅▆▇█"

#: Range of the temperature's chart, unless it has been hotter.
_COLD_C, _HOT_C = 30.0, 90.0

_LEVEL_STYLES = {"cool": "green", "warm": "yellow", "hot": "red", "critical": "bold red"}

_REASON_STYLES = {"memory": "red", "power": "yellow"}


@dataclass(frozen=True, slots=True)
class Bounds:
    """The box's maxima.

    Attributes:
        name: The box's name.
        answers: Answers at once.
        memory_bytes: All memory, or a control group's limit; None if unknown.
    """

    name: str
    answers: int
    memory_bytes: int | None


def picture(past: Sequence[Mapping[str, Any]], bounds: Bounds, width: int) -> RenderableType:
    """Draw the box's state.

    Args:
        past: The daemon's states, one a second; the last is the current one.
        bounds: Full scale of the charts.
        width: Columns of the terminal; 80 show the whole minute.
    """
    state = past[-1]
    columns = max(10, min(PAST_S, width - LABEL_COLUMNS - _VALUE - _GAPS))
    axis = Text(f"{f'{columns} s ago':{columns - 3}}now", "dim")
    axis.pad_left(LABEL_COLUMNS + _VALUE + 1)
    style = "default"
    if state["reason"] != "none":
        style = _REASON_STYLES.get(state["reason"], _level_style(state))
    sentence = Text(limits_text(state), style)
    charts = _charts(past, bounds, columns)
    lost = [Text(journal_text(state), "red")] if state.get("journal_error") else []
    errors = Text(failed_in(state.get("unexpected_errors", {})), "red")
    shown = Group(_title(state, bounds), *charts, axis, "", sentence, *lost, errors)
    return Padding(shown, (0, 0, 0, 1))


def bars(
    values: Sequence[float | None], least: float, most: float, columns: int
) -> tuple[str, str]:
    """Draw the newest values as bars two rows high: the upper row, and the lower.

    Unknown values are blank, known ones at least a thin line.
    """
    newest = list(values)[-columns:]
    sixteenths = [
        0 if value is None else min(16, max(1, round(16 * (value - least) / (most - least))))
        for value in newest
    ]
    upper = "".join(_BARS[max(0, size - 8)] for size in sixteenths)
    lower = "".join(_BARS[min(8, size)] for size in sixteenths)
    return upper.rjust(columns), lower.rjust(columns)


def _title(state: Mapping[str, Any], bounds: Bounds) -> RenderableType:
    ready = state["engine"] == "ready"
    title = Table.grid(expand=True)
    title.add_column()
    title.add_column(justify="right")
    title.add_row(
        Text(bounds.name, "bold"),
        Text.assemble((engine_text(state), "green" if ready else "yellow"), "  ", state["model"]),
    )
    return title


def _charts(
    past: Sequence[Mapping[str, Any]], bounds: Bounds, columns: int
) -> list[RenderableType]:
    state = past[-1]
    cpu_c = state["cpu_c"]
    temps_c = [state["cpu_c"] for state in past]
    hottest_c = max((temp_c for temp_c in temps_c if temp_c is not None), default=_HOT_C)
    heat = _chart(
        "heat",
        ("no sensor" if cpu_c is None else f"{cpu_c:.0f} °C", state["level"]),
        bars(temps_c, _COLD_C, max(_HOT_C, hottest_c), columns),
        _level_style(state),
    )
    memory = _chart(
        "memory",
        memory_texts(state, bounds),
        bars(
            [state["mem_available_bytes"] for state in past], 0, bounds.memory_bytes or 1, columns
        ),
        "red" if state["reason"] == "memory" else "cyan",
    )
    answers = _chart(
        "answers",
        (f"{state['active']} of {state['max_active']}", waiting_text(state)),
        bars([state["active"] for state in past], 0, bounds.answers, columns),
        "blue",
    )
    return ["", heat, "", memory, "", answers]


def _level_style(state: Mapping[str, Any]) -> str:
    return _LEVEL_STYLES.get(state["level"], "dim")


def _chart(
    label: str, values: tuple[str, str], rows: tuple[str, str], style: str
) -> RenderableType:
    first = Text.assemble(
        (f"{label:{LABEL_COLUMNS}}", "dim"), f"{values[0]:>{_VALUE}} ", (rows[0], style)
    )
    second = Text.assemble((f"{values[1]:>{LABEL_COLUMNS + _VALUE}} ", "dim"), (rows[1], style))
    return Group(first, second)


def engine_text(state: Mapping[str, Any]) -> str:
    """The engine's state, with the loading's progress."""
    if state["engine"] == "loading" and state["loaded"] is not None:
        return f"loading, {100 * state['loaded']:.0f} %"
    if state["engine"] == state.get("sleep") == "unloaded":
        return "asleep until the next request"
    return str(state["engine"])


def waiting_text(state: Mapping[str, Any]) -> str:
    """The number of waiting requests."""
    return f"{state['queued']} waiting"


def memory_texts(state: Mapping[str, Any], bounds: Bounds) -> tuple[str, str]:
    """The available memory, and of how much."""
    left_bytes, all_bytes = state["mem_available_bytes"], bounds.memory_bytes
    if left_bytes is None:
        return "unknown", ""
    return format_bytes(left_bytes), "" if all_bytes is None else f"of {format_bytes(all_bytes)}"


def journal_text(state: Mapping[str, Any]) -> str:
    """The journal's fault, and what follows from it."""
    return (
        f"Answers are not stored on disk: {state['journal_error']}. They would be lost if the box"
        " were restarted now. It tries again every minute."
    )


def limits_text(state: Mapping[str, Any]) -> str:
    """The reason for the limits in force, and when they may change."""
    if state["engine_why"]:
        return f"No answers now: {state['engine_why']}."
    text = state["sentence"] or "Heat and memory have not been measured yet"
    if state["eta_s"]:
        text += f" (at the earliest in {state['eta_s']:.0f} s)"
    return f"{text}."
