"""Reads everything the governor decides by, once a second. Kind: hands.

Everything is looked for under a root, so that a folder can stand for a board.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from inglenook.governor.memory.cgroup import Group, find_groups
from inglenook.governor.memory.memory import read_memory
from inglenook.governor.memory.process import ProcessUse, read_process
from inglenook.governor.readings import Neighbour, Readings, Zone
from inglenook.governor.sensors.board import BoardProfile
from inglenook.governor.sensors.clock import (
    CpufreqPolicy,
    find_firmware,
    find_policies,
    read_firmware,
    read_freq_hz,
    read_freq_ratio,
)
from inglenook.governor.sensors.report import describe_box, describe_cooler, describe_sensor
from inglenook.governor.sensors.sensor import CoolingDevice, Sensor, SourceReport
from inglenook.governor.sensors.sensor_health import SensorHistory, assess
from inglenook.governor.sensors.supply import find_supplies, read_supplies
from inglenook.governor.sensors.zones import (
    find_board,
    find_coolers,
    find_sensors,
    is_turned_on,
    peek,
    read_temp_c,
)

#: Looking for files costs more than reading them. Drivers come and go, trip points are moved:
#: once a minute is soon enough, and at once, but not more often than this, if a sensor fails.
_LOOK_AGAIN_S = 60.0
_LOOK_AGAIN_AFTER_FAULT_S = 5.0


@dataclass(frozen=True, slots=True)
class _Sources:
    """What was found to read from."""

    board: BoardProfile
    sensors: list[Sensor]
    coolers: list[CoolingDevice]
    policies: list[CpufreqPolicy]
    firmware: str | None
    groups: list[Group]
    supplies: list[str]


class Probes:
    """All that this board can say about itself.

    Both methods block for a moment, the first time some milliseconds: call them in a thread, and
    from one at a time.

    Args:
        root: Folder in which ``sys`` and ``proc`` stand.
        engine_pid: Gives the engine's process id; None while there is none.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        root: Path,
        engine_pid: Callable[[], int | None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._root = root
        self._engine_pid = engine_pid
        self._clock = clock
        self._sources: _Sources | None = None
        self._looked_at_s = 0.0
        self._pasts: dict[str, SensorHistory] = {}
        self._neighbours: dict[str, SensorHistory] = {}
        self._engine: tuple[int, float, ProcessUse] | None = None

    def read(self) -> Readings:
        """Read everything now."""
        now = self._clock()
        sources = self._look(now)
        engine_cores, engine = self._read_engine(now)
        self._judge(sources, engine_cores, now)
        on_battery, battery_percent = read_supplies(sources.supplies)
        memory = read_memory(self._root, sources.groups)
        if engine is not None:
            memory = replace(memory, weights_bytes=engine.mapped_bytes)
        return Readings(
            zones=tuple(
                Zone(
                    sensor.name,
                    past.temp_c,
                    sensor.passive_c,
                    sensor.critical_c,
                    sensor.slows_from_c,
                )
                for sensor in sources.sensors
                if (past := self._pasts.get(sensor.name)) is not None and past.fault is None
            ),
            neighbours=self._read_neighbours(sources, now),
            faulty=tuple(name for name, past in self._pasts.items() if past.fault is not None),
            throttled_by_kernel=any(
                is_turned_on(cooler) for cooler in sources.coolers if cooler.counts
            ),
            firmware=read_firmware(sources.firmware) if sources.firmware else None,
            freq_ratio=read_freq_ratio(sources.policies),
            freq_hz=read_freq_hz(sources.policies),
            memory=memory,
            engine_rss_bytes=None if engine is None else engine.rss_bytes,
            on_battery=on_battery,
            battery_percent=battery_percent,
        )

    def describe(self) -> list[SourceReport]:
        """Read everything now; say of each source what it says, and whether it counts and why."""
        readings = self.read()
        assert self._sources is not None
        sensors, coolers = self._sources.sensors, self._sources.coolers
        gone = sorted(set(self._pasts) - {sensor.name for sensor in sensors})
        return [
            *(
                describe_sensor(sensor, peek(sensor), self._pasts.get(sensor.name))
                for sensor in sensors
            ),
            *(
                SourceReport(name, "has gone", True, "counts as hot until it is back")
                for name in gone
            ),
            *(describe_cooler(cooler, turned_on=is_turned_on(cooler)) for cooler in coolers),
            *describe_box(self._sources.board, readings),
        ]

    def _look(self, now: float) -> _Sources:
        """Look for files, if it is time to."""
        troubled = any(past.doubts or past.fault is not None for past in self._pasts.values())
        wait_s = _LOOK_AGAIN_AFTER_FAULT_S if troubled else _LOOK_AGAIN_S
        if self._sources is not None and now - self._looked_at_s < wait_s:
            return self._sources
        board = find_board(self._root) if self._sources is None else self._sources.board
        self._looked_at_s = now
        self._sources = _Sources(
            board,
            find_sensors(self._root, board),
            find_coolers(self._root),
            find_policies(self._root),
            find_firmware(self._root),
            find_groups(self._root),
            find_supplies(self._root),
        )
        for sensor in self._sources.sensors:
            # A better one has come; this one has not failed.
            if not sensor.counts:
                self._pasts.pop(sensor.name, None)
        return self._sources

    def _judge(self, sources: _Sources, engine_cores: float, now: float) -> None:
        """Read every sensor that counts; those that have gone say nothing."""
        temps_c = {sensor.name: read_temp_c(sensor) for sensor in sources.sensors if sensor.counts}
        for name in [*temps_c, *(set(self._pasts) - set(temps_c))]:
            past = assess(self._pasts.get(name), temps_c.get(name), engine_cores, now)
            if past is not None:
                self._pasts[name] = past

    def _read_neighbours(self, sources: _Sources, now: float) -> tuple[Neighbour, ...]:
        """Read what else the kernel slows the processor for; one that fails is passed over."""
        pasts, found = {}, []
        for sensor in sources.sensors:
            if sensor.counts or sensor.slows_from_c is None:
                continue
            past = assess(self._neighbours.get(sensor.name), read_temp_c(sensor), 0.0, now)
            if past is None:
                continue
            pasts[sensor.name] = past
            if past.fault is None:
                neighbour = Neighbour(
                    sensor.name, past.temp_c, sensor.slows_from_c, sensor.critical_c
                )
                found.append(neighbour)
        self._neighbours = pasts
        return tuple(found)

    def _read_engine(self, now: float) -> tuple[float, ProcessUse | None]:
        """How many cores the engine has kept busy since the last time, and what it takes."""
        pid = self._engine_pid()
        use = None if pid is None else read_process(self._root, pid)
        if pid is None or use is None:
            self._engine = None
            return 0.0, None
        before, self._engine = self._engine, (pid, now, use)
        if before is None or before[0] != pid or now <= before[1]:
            return 0.0, use
        return (use.cpu_s - before[2].cpu_s) / (now - before[1]), use
