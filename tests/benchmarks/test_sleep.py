"""What was measured of sleep becomes a part of its page."""

from __future__ import annotations

from pathlib import Path

from benchmarks.sleep import page_part
from benchmarks.speed.report import put_into
from benchmarks.speed.result import Claim, Figure, Result

RESULT = Result(
    "waking",
    "shape",
    (Figure("packet to first text", "woken", "s", (1.0, 2.0, 3.0)),),
    (Claim("sooner than cold", (6.0, 7.0, 8.0), 5.0, at_least=True),),
)
MACHINE = {
    "board": "a board",
    "cores": "4",
    "memory": "8 GiB",
    "system": "Linux",
    "Inglenook": "1",
    "llama-server": "of no matter here",
}


def test_the_page_says_what_was_measured_on_what_and_how() -> None:
    """Of the machine only what matters for sleep."""
    part = page_part([RESULT], MACHINE, "2026-01-31", "python -m benchmarks.sleep")

    assert "**waking**, shape, median of 3, 2026-01-31\n" in part
    assert "| packet to first text | 2 s (1 to 3) |\n" in part
    assert "| sooner than cold | 7 | ≥ 5 | yes |\n" in part
    assert "board: a board; cores: 4; memory: 8 GiB; system: Linux; Inglenook: 1.\n" in part
    assert part.endswith("    python -m benchmarks.sleep\n")


def test_the_page_has_a_place_for_it() -> None:
    """Between the marks, and nowhere else."""
    page = (Path(__file__).parents[2] / "docs" / "sleep.md").read_text()

    assert "\nfigures of today\n" in put_into(page, "figures of today")
