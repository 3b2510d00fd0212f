"""Finds and reads temperature sensors and cooling devices under ``/sys``. Kind: hands."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from inglenook.governor.sensors.board import (
    OFFSET_COOLER,
    BoardProfile,
    chip_limits,
    chosen_labels,
    is_cpu_cooler,
    recognise,
)
from inglenook.governor.sensors.counting import NOT_THE_PROCESSORS, count_zones
from inglenook.governor.sensors.files import number_of, parse_number, read_text, text_of
from inglenook.governor.sensors.names import is_processor
from inglenook.governor.sensors.sensor import (
    CoolingBinding,
    CoolingDevice,
    CountingRule,
    Sensor,
    ThermalZone,
    TripPoint,
)
from inglenook.governor.sensors.trips import PACKAGE_ZONE


def find_board(root: Path) -> BoardProfile:
    """Find out what kind of board this is."""
    # A container may see only one of the three.
    tree = [text_of(root / "proc/device-tree" / name) for name in ("compatible", "model")]
    try:
        # Longer than what is read in one go, with many cores; a Pi's model stands at the end.
        cpuinfo = (root / "proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        cpuinfo = ""
    return recognise("\n".join([*tree, cpuinfo]))


def find_sensors(root: Path, board: BoardProfile) -> list[Sensor]:
    """List every temperature sensor, and say of each whether it counts."""
    found = list(_zones(root))
    # The kernel shows a zone as a chip once more, with `_` for `-`.
    twins = {zone.name.replace("-", "_") for zone in found}
    chips = [
        _without(chip, "its zone says the same") if chip.name.split()[0] in twins else chip
        for chip in _chips(root, board)
    ]
    zones = count_zones(found, board, chips=any(chip.counts for chip in chips))
    # Intel's zone and chip read the same register, and the chip knows the processor's limit.
    if any(chip.counts and chip.name.startswith("coretemp ") for chip in chips):
        zones = [
            _without(zone, "coretemp says the same") if zone.name == PACKAGE_ZONE else zone
            for zone in zones
        ]
    return _named_apart([*zones, *chips])


def find_coolers(root: Path) -> list[CoolingDevice]:
    """List every cooling device, and say of each whether it slows the processor down."""
    coolers = []
    for folder in _numbered(root / "sys/class/thermal", "cooling_device"):
        kind = text_of(folder / "type")
        coolers.append(CoolingDevice(kind, str(folder / "cur_state"), is_cpu_cooler(kind)))
    return coolers


def read_temp_c(sensor: Sensor) -> float | None:
    """Read a sensor, degrees Celsius; None if it gives no number."""
    millis = number_of(sensor.path)
    return None if millis is None else millis / 1000


def peek(sensor: Sensor) -> str:
    """What a sensor says at this moment, for people, whether it can be so or not."""
    try:
        text = read_text(sensor.path)
    except OSError as error:
        return error.strerror or type(error).__name__
    millis = parse_number(text)
    return f"not a number: {text[:20]!r}" if millis is None else f"{millis / 1000:.1f} °C"


def is_turned_on(cooler: CoolingDevice) -> bool:
    """Whether the kernel uses a cooling device at the moment."""
    return (number_of(cooler.path) or 0) > 0


def _zones(root: Path) -> Iterator[ThermalZone]:
    for folder in _numbered(root / "sys/class/thermal", "thermal_zone"):
        kind = text_of(folder / "type")
        if kind:
            yield ThermalZone(
                kind,
                str(folder / "temp"),
                text_of(folder / "policy"),
                text_of(folder / "mode") == "disabled",
                tuple(_trips(folder)),
            )


def _trips(zone: Path) -> Iterator[TripPoint]:
    ties: dict[str, CoolingBinding] = {}
    for link in _numbered(zone, "cdev"):
        index = text_of(zone / f"{link.name}_trip_point")
        if is_cpu_cooler(text_of(link / "type")):
            ties[index] = CoolingBinding.CPU
        else:
            ties.setdefault(index, CoolingBinding.OTHER)
    for file in zone.glob("trip_point_*_temp"):
        index = file.name.split("_")[2]
        millis = number_of(file)
        if millis is not None:
            kind = text_of(zone / f"trip_point_{index}_type")
            yield TripPoint(kind, millis / 1000, ties.get(index, CoolingBinding.NOTHING))


def _chips(root: Path, board: BoardProfile) -> Iterator[Sensor]:
    offsets = [cooler.path for cooler in find_coolers(root) if cooler.name == OFFSET_COOLER]
    offset_c = max((number_of(path) or 0 for path in offsets), default=0)
    for folder in _numbered(root / "sys/class/hwmon", "hwmon"):
        chip = text_of(folder / "name")
        if not chip:
            continue
        stems = [file.name.removesuffix("_input") for file in folder.glob("temp*_input")]
        labels = {stem: text_of(folder / f"{stem}_label") or stem for stem in sorted(stems)}
        chosen = chosen_labels(list(labels.values()))
        for stem, label in labels.items():
            crit_millis = number_of(folder / f"{stem}_crit")
            crit_c = None if crit_millis is None else crit_millis / 1000
            passive_c, source = chip_limits(crit_c, offset_c, board)
            sensor = Sensor(
                f"{chip} {label}",
                str(folder / f"{stem}_input"),
                True,
                CountingRule.NAMED,
                passive_c,
                source,
            )
            if not is_processor(chip):
                sensor = _without(sensor, NOT_THE_PROCESSORS)
            elif label not in chosen:
                sensor = _without(sensor, f"{chosen[0]} says it better")
            yield sensor


def _without(sensor: Sensor, why: str) -> Sensor:
    """The same sensor, not counted; the first reason stays."""
    return replace(sensor, counts=False, why=why) if sensor.counts else sensor


def _named_apart(sensors: list[Sensor]) -> list[Sensor]:
    """Give the second of a name the folder's name beside it: two disks, two packages."""
    seen: set[str] = set()
    apart = []
    for sensor in sensors:
        folder = Path(sensor.path).parent.name
        name = f"{sensor.name} ({folder})" if sensor.name in seen else sensor.name
        seen.add(sensor.name)
        apart.append(replace(sensor, name=name))
    return apart


def _numbered(folder: Path, prefix: str) -> list[Path]:
    """Entries such as ``thermal_zone0``, by number."""
    numbers = {
        path: path.name.removeprefix(prefix)
        for path in folder.glob(f"{prefix}*")
        if path.name.removeprefix(prefix).isdecimal()
    }
    return sorted(numbers, key=lambda path: int(numbers[path]))
