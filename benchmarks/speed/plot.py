"""Results as one picture. Kind: hands."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.speed.report import Report, number
from benchmarks.speed.result import Figure, Result
from benchmarks.speed.stream import Unmeasurable

#: A colour each, also told apart by people who see few: of Okabe and Ito's palette.
_COLOURS = {"raw limit": "#999999", "llama-server": "#E69F00", "Inglenook": "#0072B2"}
_OTHERS = ("#56B4E9", "#009E73", "#D55E00")

#: What is drawn of a scenario: the rows whose names begin so, under this title.
_DRAWN = {
    "throughput": ("", "tokens a second", "linear"),
    "crowd": ("", "tokens a second, by phones", "linear"),
    "stall": ("longest gap", "longest gap of a stream while a long text is read, ms", "log"),
    "turns": ("", "first text of a 1,000-token conversation, s", "log"),
    "typed": ("first text", "first text after sending, s", "log"),
}


def draw(report: Report, path: Path) -> None:
    """Draw a panel for each scenario and model into a PNG file.

    Raises:
        Unmeasurable: If matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure as Canvas
    except ImportError as exc:
        text = "there is no matplotlib here to draw with: `pip install matplotlib`"
        raise Unmeasurable(text) from exc
    results = [run.result for run in report.runs if run.result.scenario in _DRAWN]
    models = list(dict.fromkeys(result.model for result in results))
    scenarios = [name for name in _DRAWN if any(r.scenario == name for r in results)]
    if not results:
        return
    size = (6.5 * len(models), 3.2 * len(scenarios))
    canvas = Canvas(figsize=size, layout="constrained")
    axes = canvas.subplots(len(scenarios), len(models), squeeze=False)
    for panel in axes.flat:
        panel.set_axis_off()
    for result in results:
        panel = axes[scenarios.index(result.scenario)][models.index(result.model)]
        # Not every scenario was run on every model.
        panel.set_axis_on()
        _draw_result(panel, result)
    canvas.savefig(path, dpi=120)


def _draw_result(panel: Any, result: Result) -> None:
    prefix, title, scale = _DRAWN[result.scenario]
    figures = [f for f in result.figures if f.unit and f.what.startswith(prefix)]
    # One unit a panel: the first is what it is about.
    figures = [f for f in figures if f.unit == figures[0].unit and f.what != "longest wait"]
    rows = list(dict.fromkeys(figure.what for figure in figures))
    columns = list(dict.fromkeys(figure.who for figure in figures))
    width = 0.8 / len(columns)
    for place, column in enumerate(columns):
        _draw_bars(panel, [f for f in figures if f.who == column], rows, (place, width))
    panel.set_xticks([n + width * (len(columns) - 1) / 2 for n in range(len(rows))], rows)
    panel.set_yscale(scale)
    panel.set_title(f"{title}\n{result.model}", fontsize=9)
    panel.tick_params(labelsize=8)
    panel.margins(y=0.15)
    panel.legend(fontsize=7)


def _draw_bars(
    panel: Any, figures: Sequence[Figure], rows: Sequence[str], place: tuple[int, float]
) -> None:
    number_of, width = place
    column = figures[0].who
    bars = panel.bar(
        [rows.index(figure.what) + number_of * width for figure in figures],
        [figure.median for figure in figures],
        width,
        label=column,
        color=_COLOURS.get(column, _OTHERS[number_of % len(_OTHERS)]),
    )
    panel.bar_label(bars, [number(figure.median) for figure in figures], fontsize=7)
