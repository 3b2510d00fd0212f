"""Real boards, as device trees describe them: what counts, by which rule, and what comes of it.

The table is ``tests/parts/socs.txt``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from inglenook.governor.limits import Capacity, Decision, Level
from inglenook.governor.policy import PolicyState, decide
from inglenook.governor.probes import Probes
from inglenook.governor.sensors.sensor import CountingRule, LimitSource, Sensor
from inglenook.governor.sensors.zones import find_board, find_sensors
from inglenook.governor.thermal.pausing import neighbour_pause_c, pause_c
from tests.parts.board import Board
from tests.parts.socs import Soc, Zones, read_socs

SOCS = read_socs()
CAPACITY = Capacity(max_active=8, threads=4)

each_soc = pytest.mark.parametrize("soc", SOCS, ids=lambda soc: f"{soc.name} {soc.about}".strip())

RULES = {"tied": CountingRule.TIED, "named": CountingRule.NAMED, "left": CountingRule.LEFT}
SOURCES = {
    "passive": LimitSource.PASSIVE,
    "active": LimitSource.ACTIVE,
    "hint": LimitSource.HINT,
    "least": f"{LimitSource.LEAST}: ",
    "assumed": f"{LimitSource.UNKNOWN}; assumed for: ",
    "critical": f"{LimitSource.UNKNOWN}; 5 °C below where it shuts down",
    "hot": f"{LimitSource.UNKNOWN}; its hot trip point",
}


def said_of(sensor: Sensor) -> str:
    """What the table would say of it."""
    from_c = "" if sensor.slows_from_c is None else f" from {sensor.slows_from_c:g}"
    if not sensor.counts:
        if not from_c:
            return "no"
        assert sensor.critical_c is not None
        return f"beside{from_c} pause {neighbour_pause_c(sensor.critical_c):g}"
    rule = next(word for word, why in RULES.items() if why == sensor.why)
    begins = [word for word, text in SOURCES.items() if sensor.source.startswith(text)]
    source = max(begins, key=lambda word: len(SOURCES[word]))
    paused_c = pause_c(sensor.passive_c, sensor.critical_c)
    return f"{rule} {sensor.passive_c:g} {source} {paused_c:g}{from_c}"


@each_soc
def test_what_counts_and_by_which_rule(soc: Soc, tmp_path: Path) -> None:
    """Zone by zone, with the limit, where it is from, and where computing pauses; and no twin."""
    soc.lay_out(tmp_path)
    sensors = find_sensors(tmp_path, find_board(tmp_path))
    names = [name for zones in soc.zones for name in zones.names]

    said = {sensor.name: said_of(sensor) for sensor in sensors[: len(names)]}
    assert said == {name: zones.right for zones in soc.zones for name in zones.names}
    assert not any(sensor.counts for sensor in sensors[len(names) :])


class Watch:
    """A governor that looks at a board, a second after the other."""

    def __init__(self, board: Board) -> None:
        self.now = 0.0
        self.probes = Probes(board.root, lambda: None, lambda: self.now)
        self.state = PolicyState()

    def look(self) -> Decision:
        self.now += 1.0
        self.state, decision = decide(self.state, self.probes.read(), CAPACITY, self.now, busy=True)
        return decision


def slows_at(soc: Soc, temp_c: float) -> bool:
    """Whether the kernel slows the processor if every zone is at this temperature."""
    return any(
        trip.temp_c <= temp_c and trip.kind in "ap" and {"cpu", "cpu-idle"} & set(trip.ties)
        for zones in soc.zones
        for trip in zones.trips
    )


@each_soc
def test_none_is_held_back_at_50_degrees(soc: Soc, tmp_path: Path) -> None:
    """A warm room and some work; the kernel may slow some of them already, and is not fought."""
    board = soc.lay_out(tmp_path)
    board.heat(50.0)
    board.throttle(3 if slows_at(soc, 50.0) else 0)
    watch = Watch(board)

    for _ in range(90):
        decision = watch.look()
        assert watch.state.heat.effort.spent >= 0.3, decision.sentence
        assert decision.level is not Level.CRITICAL, decision.sentence


def shut_down() -> Iterator[tuple[Soc, Zones]]:
    """Zones at which a board is shut down, of those that are looked at."""
    for soc in SOCS:
        for zones in soc.zones:
            if zones.right != "no" and any(trip.kind == "c" for trip in zones.trips):
                yield soc, zones


@pytest.mark.parametrize(
    ("soc", "zones"),
    [
        pytest.param(soc, zones, id=f"{soc.name} {soc.about}: {zones.names[0]}")
        for soc, zones in shut_down()
    ],
)
def test_none_computes_two_degrees_below_where_it_is_shut_down(
    soc: Soc, zones: Zones, tmp_path: Path
) -> None:
    """Whichever zone it is that gets so hot, and however cool the others are."""
    board = soc.lay_out(tmp_path)
    path = board.temps[[name for row in soc.zones for name in row.names].index(zones.names[0])]
    last_c = min(trip.temp_c for trip in zones.trips if trip.kind == "c") - 2.0
    watch = Watch(board)
    watch.look()
    for degrees in range(46, int(last_c)):
        board.write(path, degrees * 1000)
        board.throttle(3 if slows_at(soc, degrees) else 0)
        watch.look()
    board.write(path, round(last_c * 1000))
    decision = watch.look()

    assert decision.duty == 0.0, decision.sentence
    assert "paused until" in decision.sentence


def test_the_table_is_of_some_sixty_socs() -> None:
    """Of all makers; and each rule is needed by some."""
    said = {word for soc in SOCS for zones in soc.zones for word in zones.right.split()}

    assert len({soc.name for soc in SOCS}) >= 60
    assert said >= {*RULES, *SOURCES, "beside", "from", "no"}
