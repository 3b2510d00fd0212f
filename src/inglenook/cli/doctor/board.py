"""The doctor's checks of the board: cores, heat, memory, and the limits that follow."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import psutil

from inglenook.cli.doctor.result import CheckResult, fix, ok, warning
from inglenook.common.units import format_bytes
from inglenook.engine.cores import choose_cores
from inglenook.governor.limits import Capacity
from inglenook.governor.preview import Mark, heat_marks, memory_shortages
from inglenook.governor.probes import Probes
from inglenook.governor.readings import Readings
from inglenook.governor.sensors.clock import find_policies
from inglenook.governor.sensors.files import text_of
from inglenook.governor.sensors.sensor import SourceReport
from inglenook.governor.thermal.thermal import held_back_by
from inglenook.models.board_identity import read_board


def cores(root: Path, engine_pid: int | None) -> CheckResult:
    """Report the cores, their clocks, and those that the engine computes on."""
    text = f"{read_board(root).cores} may be used"
    clocks: Counter[int] = Counter()
    for policy in find_policies(root):
        clocks[policy.most_khz] += len(text_of(f"{policy.folder}/related_cpus").split())
    kinds = [f"{clocks[khz]} at {khz / 1e6:.1f} GHz" for khz in sorted(clocks, reverse=True)]
    if clocks.total():
        text = f"{', '.join(kinds)}; {text}"
    choice = choose_cores(root)
    text += f"; worth computing on: {_ranges(choice.cores)} ({choice.rule})"
    if engine_pid is not None:
        try:
            text += f"; the engine keeps to {', '.join(map(str, _cores_of(engine_pid)))}"
        except (psutil.Error, OSError):
            return ok("cores", text)
    return ok("cores", text)


def _ranges(numbers: Iterable[int]) -> str:
    """Numbers of cores as the kernel writes them: 0-3,6."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and runs[-1][-1] == number - 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ",".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)


def _cores_of(engine_pid: int) -> list[int]:
    """The cores of an engine's compute threads, which are pinned to one each.

    A single compute thread may have several cores; the thread that writes files is not pinned.
    """
    process = psutil.Process(engine_pid)
    masks = [os.sched_getaffinity(thread.id) for thread in process.threads()]
    own = {core for mask in masks if len(mask) == 1 for core in mask}
    return sorted(own or process.cpu_affinity())


def examine(root: Path, engine_pid: Callable[[], int | None]) -> tuple[Readings, list[CheckResult]]:
    """Read every source of the governor, whether it counts or not."""
    probes = Probes(root, engine_pid)
    found = probes.describe()
    readings = probes.read()
    lines = [_source(source, readings) for source in found]
    if not readings.zones and not readings.faulty:
        text = "no sensor of the processor was found, so heat limits nothing; see to good cooling"
        if any(source.what == "board" and source.reads.startswith("Raspberry") for source in found):
            text += ", or take Raspberry Pi's own kernel, which has one"
        lines.insert(0, warning("temperature", text))
    return readings, lines


def outlook(readings: Readings, capacity: Capacity) -> list[CheckResult]:
    """Report the governor's limits by temperature and by available memory."""
    lines = []
    if readings.zones:
        zone = min(readings.zones, key=lambda zone: zone.passive_c)
        marks = heat_marks(zone, capacity)
        lines.append(ok(f"below {marks[1].at:g} °C", _at(marks[0])))
        lines += [ok(f"from {mark.at:g} °C", _at(mark)) for mark in marks[1:]]
    for shortage in memory_shortages(readings.memory, capacity):
        first, *_, last = shortage.course
        text = f"{first.does}; step by step, after {last.at:g} s: {last.does}"
        lines.append(ok(f"{format_bytes(shortage.below_bytes)} left", text))
    return lines


def _at(mark: Mark) -> str:
    return f"{mark.level}: {mark.does}"


def _source(found: SourceReport, readings: Readings) -> CheckResult:
    text = "; ".join(filter(None, (found.reads, found.note)))
    flags = readings.firmware
    held_by = held_back_by(readings)
    if found.what in readings.faulty or (held_by is not None and found.what == held_by.name):
        return warning(found.what, text)
    if found.what == "firmware" and flags is not None:
        if flags.undervoltage:
            return fix(found.what, f"{text}: use a stronger supply or a shorter cable")
        if flags.freq_capped or flags.throttled or flags.soft_limit:
            return warning(found.what, f"{text}: see to its cooling")
    return ok(found.what, text, tells=found.counts)
