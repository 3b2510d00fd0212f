"""Systems on a chip as their device trees describe them, read from ``socs.txt`` beside this."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from tests.parts.board import Board, virtual_machine

_KINDS = {"p": "passive", "a": "active", "h": "hot", "c": "critical"}

#: What the kernel calls the cooling devices; others are called as they are.
_COOLERS = {
    "cpu": "cpufreq-cpu0",
    "cpu-idle": "idle-cpu0",
    "fan": "pwm-fan",
    "gpu": "devfreq-gpu",
}

#: Part numbers of Arm's cores, and of NVIDIA's.
_PARTS = (
    {"a7": 0xC07, "a15": 0xC0F, "a35": 0xD04, "a53": 0xD03, "a55": 0xD05, "a57": 0xD07}
    | {"a72": 0xD08, "a73": 0xD09, "a76": 0xD0B, "a78": 0xD41, "a78c": 0xD4B, "a510": 0xD46}
    | {"a520": 0xD80, "a710": 0xD47, "a715": 0xD4D, "a720": 0xD81, "x1c": 0xD4C, "x3": 0xD4E}
)
_DENVER = 0x4E0F0030


@dataclass(frozen=True)
class Trip:
    """A trip point: °C, kind, and what is tied to it."""

    temp_c: float
    kind: str
    ties: tuple[str, ...]


@dataclass(frozen=True)
class Zones:
    """Zones that are alike, and what is right for each."""

    names: tuple[str, ...]
    trips: tuple[Trip, ...]
    right: str


@dataclass(frozen=True)
class Cores:
    """Cores that are alike, in the order of their numbers; None where it is not told."""

    count: int
    design: str
    most_mhz: int | None
    capacity: int | None


@dataclass(frozen=True)
class Soc:
    """A system on a chip.

    Attributes:
        name: What its device tree's ``compatible`` says, with ``+`` between two.
        about: What it is in, or what is special about it.
        zones: Of its thermal zones.
        cores: Of its cores; empty where nothing is claimed of them.
        computing: Which of them compute, and by which rule.
    """

    name: str
    about: str
    zones: tuple[Zones, ...]
    cores: tuple[Cores, ...]
    computing: str

    def lay_out(self, root: Path) -> Board:
        """Make the folder that stands for it, its chips and cores included."""
        board = virtual_machine(root)
        board.remove("proc/cpuinfo")
        board.write("proc/device-tree/compatible", self.name.replace("+", "\0") + "\0")
        zones = [(name, row.trips) for row in self.zones for name in row.names]
        kinds = sorted({tie for _, trips in zones for trip in trips for tie in trip.ties})
        board.coolers(*(_COOLERS.get(kind, kind) for kind in kinds))
        for number, (name, trips) in enumerate(zones):
            millis = [(_KINDS[trip.kind], round(trip.temp_c * 1000)) for trip in trips]
            board.zone(number, name, millis)
            ties = [(tie, index) for index, trip in enumerate(trips) for tie in trip.ties]
            for place, (tie, index) in enumerate(ties):
                board.tie(number, place, cooler=kinds.index(tie), trip=index)
            board.chip(number, name.replace("-", "_"), temp1_input=45000)
            board.temps.append(f"sys/class/thermal/thermal_zone{number}/temp")
        self._lay_out_cores(board)
        return board

    def _lay_out_cores(self, board: Board) -> None:
        number = 0
        for cores in self.cores:
            for _ in range(cores.count):
                folder = f"sys/devices/system/cpu/cpu{number}"
                if cores.capacity is not None:
                    board.write(f"{folder}/cpu_capacity", cores.capacity)
                if cores.most_mhz is not None:
                    board.write(f"{folder}/cpufreq/cpuinfo_max_freq", cores.most_mhz * 1000)
                midr = _DENVER if cores.design == "denver" else 0
                if cores.design in _PARTS:
                    midr = 0x410F0000 | _PARTS[cores.design] << 4
                if midr:
                    board.write(f"{folder}/regs/identification/midr_el1", f"0x{midr:016x}")
                number += 1


@dataclass
class _Draft:
    name: str
    about: str
    zones: list[Zones] = field(default_factory=list)
    cores: tuple[Cores, ...] = ()
    computing: str = ""


def read_socs() -> list[Soc]:
    """Read them all."""
    drafts: list[_Draft] = []
    for line in Path(__file__).with_suffix(".txt").read_text(encoding="utf-8").splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        if not line.startswith(" "):
            name, _, about = line.partition(" ")
            drafts.append(_Draft(name, about.strip()))
            continue
        *facts, right = (part.strip() for part in line.split("|"))
        if facts[0].startswith("cores "):
            groups = facts[0].removeprefix("cores ").split(", ")
            drafts[-1].cores = tuple(_cores(group) for group in groups)
            drafts[-1].computing = right
        else:
            names = tuple(name for word in facts[0].split() for name in _names(word))
            trips = tuple(_trip(word) for word in facts[1].split())
            drafts[-1].zones.append(Zones(names, trips, right))
    return [
        Soc(draft.name, draft.about, tuple(draft.zones), draft.cores, draft.computing)
        for draft in drafts
    ]


def _names(word: str) -> list[str]:
    word = f"{word}thermal" if word.endswith("-") else word
    run = re.fullmatch(r"(.*?)(\d+)\.\.(\d+)(.*)", word)
    if run is None:
        return [word]
    before, first, last, after = run.groups()
    return [f"{before}{number}{after}" for number in range(int(first), int(last) + 1)]


def _trip(word: str) -> Trip:
    mark, _, ties = word.partition("→")
    return Trip(float(mark[:-1]), mark[-1], tuple(ties.split("+")) if ties else ())


def _cores(text: str) -> Cores:
    kind, mhz, capacity = text.split()
    count, _, design = kind.partition("x")
    return Cores(
        int(count),
        design,
        None if mhz == "?" else int(mhz),
        None if capacity == "?" else int(capacity),
    )
