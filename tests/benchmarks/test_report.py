"""Figures become tables, JSON and a part of a page."""

from __future__ import annotations

import pytest

from benchmarks.speed.report import (
    BEGIN,
    END,
    Report,
    Run,
    from_json,
    number,
    page_part,
    put_into,
    result_tables,
    to_json,
)
from benchmarks.speed.result import Claim, Figure, Result

RESULT = Result(
    "throughput",
    "starter",
    (
        Figure("1 stream", "raw limit", "tok/s", (119.0, 121.0, 120.0)),
        Figure("1 stream", "Inglenook", "tok/s", (118.0, 118.0, 118.0)),
        Figure("8 streams", "Inglenook", "tok/s", (220.0,)),
    ),
    (Claim("1 stream: of the raw limit", (0.99, 0.96, 0.98), 0.97, at_least=True),),
)
RUN = Run(RESULT, "2026-01-31", "python -m benchmarks", {"board": "A board", "load": "0.1"})


def test_a_table_has_medians_and_their_spread() -> None:
    """A row a measurement, a column a contender; what was not measured stays empty."""
    assert result_tables(RESULT) == (
        "|  | raw limit | Inglenook |\n| --- | --- | --- |\n"
        "| 1 stream | 120 tok/s (119 to 121) | 118 tok/s |\n"
        "| 8 streams |  | 220 tok/s |\n"
        "\n"
        "| what should hold | is | should be |  |\n| --- | --- | --- | --- |\n"
        "| 1 stream: of the raw limit | 0.98 | ≥ 0.97 | yes |\n"
    )


@pytest.mark.parametrize(
    ("rounds", "bound", "at_least", "holds"),
    [
        ((0.9, 0.97, 5.0), 0.97, True, True),
        ((0.96, 0.96, 5.0), 0.97, True, False),
        ((8.0,), 8.0, False, True),
        ((8.1,), 8.0, False, False),
    ],
)
def test_a_claim_is_held_against_its_median(
    rounds: tuple[float, ...], bound: float, at_least: bool, holds: bool
) -> None:
    """One lucky round proves nothing, nor does an unlucky one."""
    claim = Claim("", rounds, bound, at_least)

    assert claim.holds is holds
    assert ("**no**" in result_tables(Result("s", "m", RESULT.figures, (claim,)))) is not holds


def test_json_comes_back_as_it_was() -> None:
    """So that one scenario can be measured anew beside the others."""
    report = Report([RUN])

    assert from_json(to_json(report)) == report


def test_a_new_run_takes_the_place_of_its_predecessor() -> None:
    """Another scenario's and another model's stay."""
    other = Run(Result("throughput", "larger", RESULT.figures, ()), "2026-01-31", "", {})
    again = Run(RESULT, "2026-02-01", "python -m benchmarks throughput", {})

    assert Report([RUN, other]).with_run(again).runs == [again, other]


def test_a_page_keeps_what_stands_around_the_figures() -> None:
    """Prose is written by people; only what is between the marks is not."""
    page = f"# Before\n{BEGIN}\nearlier\n{END}\nafter\n"
    written = put_into(page, page_part(Report([RUN])))

    assert written.startswith(f"# Before\n{BEGIN}\n![")
    assert written.endswith(f"{END}\nafter\n")
    assert "earlier" not in written
    assert written.index("## throughput") < written.index("A board")
    assert "    python -m benchmarks\n" in written
    with pytest.raises(ValueError, match="figures"):
        put_into("# A page of somebody else's", "")


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (1.23456, "1.23"), (0.98765, "0.988"), (119.6, "120"), (12345.6, "12,346")],
)
def test_numbers_have_three_figures(value: float, text: str) -> None:
    """More would say more than was measured."""
    assert number(value) == text
