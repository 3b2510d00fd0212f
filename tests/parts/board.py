"""Folders that stand for boards: of ``/sys`` and ``/proc`` what anybody reads.

Zones, trip points, ties and names are those of the boards' device trees and drivers; the readings
are of a box at rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

_THERMAL = "sys/class/thermal"
_HWMON = "sys/class/hwmon"
_CPUFREQ = "sys/devices/system/cpu/cpufreq"

MEMINFO = """\
MemTotal:        8245392 kB
MemFree:         3145728 kB
MemAvailable:    6291456 kB
Buffers:           40960 kB
Cached:          3014656 kB
SwapTotal:        524288 kB
SwapFree:         524288 kB
HugePages_Total:       0
"""

PRESSURE = """\
some avg10=0.00 avg60=0.00 avg300=0.00 total=0
full avg10=0.00 avg60=0.00 avg300=0.00 total=0
"""


@dataclass
class Board:
    """A folder that stands for a board.

    Attributes:
        root: Where its ``sys`` and ``proc`` stand.
        temps: Files of the processor's sensors, below ``root``.
    """

    root: Path
    temps: list[str] = field(default_factory=list)

    def write(self, path: str, text: str | int) -> None:
        """Write a file as the kernel would show it."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        # Emptying a file before it is written makes ext4 send it to the disk at once: 20 ms.
        with file.open("r+" if file.exists() else "w") as out:
            out.write(f"{text}\n")
            out.truncate()

    def raw(self, path: str, content: bytes) -> None:
        """Write a file byte by byte."""
        (self.root / path).write_bytes(content)

    def remove(self, path: str) -> None:
        """Take a file away, or a folder with files in it."""
        target = self.root / path
        if target.is_dir():
            for file in target.iterdir():
                file.unlink()
            target.rmdir()
        else:
            target.unlink()

    def heat(self, temp_c: float) -> None:
        """Bring the processor to a temperature."""
        for path in self.temps:
            self.write(path, round(temp_c * 1000))

    def throttle(self, state: int) -> None:
        """Have the kernel turn every cooling device that slows the processor down to ``state``."""
        for folder in (self.root / _THERMAL).glob("cooling_device*"):
            if "cpufreq" in (folder / "type").read_text():
                self.write(f"{_THERMAL}/{folder.name}/cur_state", state)

    def memory(self, **kib: int) -> None:
        """Change lines of ``meminfo``, such as ``MemAvailable=100``."""
        lines = []
        for line in (self.root / "proc/meminfo").read_text().splitlines():
            name = line.partition(":")[0]
            lines.append(f"{name}: {kib[name]} kB" if name in kib else line)
        self.write("proc/meminfo", "\n".join(lines))

    def zone(
        self,
        number: int,
        kind: str,
        trips: Iterable[tuple[str, int]] = (),
        *,
        ties: Mapping[int, int] | None = None,
        policy: str = "step_wise",
    ) -> None:
        """Add a thermal zone at 45 °C.

        Args:
            number: Of the zone.
            kind: Its name.
            trips: Kind and temperature, thousandths of a degree.
            ties: Cooling devices, by number, and the number of the trip point each is tied to.
            policy: The kernel's way of cooling it.
        """
        zone = f"{_THERMAL}/thermal_zone{number}"
        files: dict[str, str | int] = {"type": kind, "mode": "enabled", "policy": policy}
        files |= {"temp": 45000}
        for index, (trip, temp_mc) in enumerate(trips):
            files |= {f"trip_point_{index}_temp": temp_mc, f"trip_point_{index}_type": trip}
        for name, text in files.items():
            self.write(f"{zone}/{name}", text)
        for place, (cooler, trip_index) in enumerate((ties or {}).items()):
            self.tie(number, place, cooler=cooler, trip=trip_index)

    def tie(self, number: int, place: int, *, cooler: int, trip: int) -> None:
        """Tie a cooling device to a trip point of a zone, as the binding of this place."""
        zone = f"{_THERMAL}/thermal_zone{number}"
        (self.root / zone / f"cdev{place}").symlink_to(f"../cooling_device{cooler}")
        self.write(f"{zone}/cdev{place}_trip_point", trip)

    def coolers(self, *kinds: str) -> None:
        """Add cooling devices, all off."""
        for number, kind in enumerate(kinds):
            self.write(f"{_THERMAL}/cooling_device{number}/type", kind)
            self.write(f"{_THERMAL}/cooling_device{number}/cur_state", 0)

    def chip(self, number: int, name: str, **files: int | str) -> None:
        """Add a sensor chip with files such as ``temp1_input``."""
        self.write(f"{_HWMON}/hwmon{number}/name", name)
        for file, text in files.items():
            self.write(f"{_HWMON}/hwmon{number}/{file}", text)

    def clocks(self, khz: Mapping[int, int]) -> None:
        """Add groups of cores, by the number of their first, with their highest clock."""
        for first, most_khz in khz.items():
            for name in ("cpuinfo_max_freq", "scaling_max_freq", "scaling_cur_freq"):
                self.write(f"{_CPUFREQ}/policy{first}/{name}", most_khz)


def virtual_machine(root: Path) -> Board:
    """A virtual machine or a container: memory, and nothing else."""
    board = Board(root)
    board.write("proc/cpuinfo", "processor\t: 0\nmodel name\t: Common KVM processor")
    board.write("proc/meminfo", MEMINFO.rstrip())
    board.write("proc/pressure/memory", PRESSURE.rstrip())
    return board


def pi_4(root: Path) -> Board:
    """A Raspberry Pi 4 without a fan."""
    board = _raspberry_pi(root, "Raspberry Pi 4 Model B Rev 1.4", "bcm2711", "soc")
    board.zone(0, "cpu-thermal", [("critical", 90000)])
    board.clocks({0: 1800000})
    board.chip(0, "cpu_thermal", temp1_input=45000)
    board.chip(1, "rpi_volt", in0_lcrit_alarm=0)
    return board


def pi_5(root: Path) -> Board:
    """A Raspberry Pi 5 with its fan: trip points for the fan, none for the clock."""
    board = _raspberry_pi(root, "Raspberry Pi 5 Model B Rev 1.0", "bcm2712", "soc@107c000000")
    board.coolers("pwm-fan")
    fan = [("active", temp_mc) for temp_mc in (50000, 60000, 67500, 75000)]
    board.zone(0, "cpu-thermal", [("critical", 110000), *fan], ties={0: 1})
    board.clocks({0: 2400000})
    board.chip(0, "cpu_thermal", temp1_input=45000)
    board.chip(1, "rp1_adc", temp1_input=51000)
    board.chip(2, "rpi_volt", in0_lcrit_alarm=0)
    board.chip(3, "nvme", temp1_input=48000, temp1_label="Composite", temp1_crit=84850)
    return board


def _raspberry_pi(root: Path, model: str, chip: str, soc: str) -> Board:
    board = virtual_machine(root)
    board.write("proc/device-tree/model", f"{model}\0")
    board.write("proc/device-tree/compatible", f"raspberrypi,{model[13]}-model-b\0brcm,{chip}\0")
    board.write("proc/cpuinfo", f"processor\t: 0\n\nRevision\t: c04170\nModel\t\t: {model}")
    board.write(f"sys/devices/platform/{soc}/{soc}:firmware/get_throttled", "0")
    board.temps.append(f"{_THERMAL}/thermal_zone0/temp")
    return board


def rk3588_mainline(root: Path) -> Board:
    """An RK3588 with Linux's own kernel."""
    board = _rk3588(root)
    board.coolers("cpufreq-cpu0", "cpufreq-cpu4", "cpufreq-cpu6", "devfreq-fb000000.gpu", "pwm-fan")
    passive = [("passive", 85000), ("critical", 115000)]
    board.zone(0, "package-thermal", [("critical", 115000)])
    board.zone(1, "bigcore0-thermal", passive, ties={1: 0})
    board.zone(2, "bigcore2-thermal", passive, ties={2: 0})
    board.zone(3, "littlecore-thermal", passive, ties={0: 0})
    board.zone(4, "center-thermal", [("critical", 115000)])
    board.zone(5, "gpu-thermal", passive, ties={3: 0})
    board.zone(6, "npu-thermal", [("critical", 115000)])
    board.temps.extend(f"{_THERMAL}/thermal_zone{number}/temp" for number in range(4))
    return board


def rk3588_vendor(root: Path) -> Board:
    """An RK3588 with its maker's kernel: one zone cools, and begins to at its first mark."""
    board = _rk3588(root)
    board.coolers(
        "thermal-cpufreq-0", "thermal-cpufreq-1", "thermal-cpufreq-2", "thermal-devfreq-0"
    )
    trips = [("passive", 75000), ("passive", 85000), ("critical", 115000)]
    ties = {0: 1, 1: 1, 2: 1, 3: 1}
    board.zone(0, "soc-thermal", trips, ties=ties, policy="power_allocator")
    others = ("bigcore0", "bigcore1", "littlecore", "center", "gpu", "npu")
    for number, name in enumerate(others, start=1):
        board.zone(number, f"{name}-thermal", policy="power_allocator")
    board.temps.extend(f"{_THERMAL}/thermal_zone{number}/temp" for number in range(4))
    return board


def _rk3588(root: Path) -> Board:
    board = virtual_machine(root)
    board.write("proc/device-tree/model", "Orange Pi 5\0")
    board.write("proc/device-tree/compatible", "xunlong,orangepi-5\0rockchip,rk3588s\0")
    board.clocks({0: 1800000, 4: 2400000, 6: 2400000})
    return board


def trogdor(root: Path) -> Board:
    """A Chromebook with a Snapdragon 7c: the kernel slows the processor for its case, too."""
    board = virtual_machine(root)
    board.write("proc/device-tree/compatible", "google,coachz\0qcom,sc7180\0")
    board.coolers("cpufreq-cpu0", "cpufreq-cpu6")
    board.zone(0, "cpu-thermal", [("passive", 90000), ("critical", 110000)], ties={0: 0, 1: 0})
    skin = [("passive", 42000), ("passive", 45000), ("critical", 60000)]
    board.zone(1, "skin-temp-thermal", skin, ties={0: 0, 1: 1})
    board.temps.append(f"{_THERMAL}/thermal_zone0/temp")
    return board


def intel_nas(root: Path) -> Board:
    """A small NAS with an Intel N100, two disks and Wi-Fi."""
    board = virtual_machine(root)
    board.write("proc/cpuinfo", "vendor_id\t: GenuineIntel\nmodel name\t: Intel(R) N100")
    board.coolers(*["Processor"] * 4, "intel_powerclamp", "TCC Offset")
    board.write(f"{_THERMAL}/cooling_device4/cur_state", -1)
    board.write(f"{_THERMAL}/cooling_device5/cur_state", 5)
    board.zone(0, "acpitz", [("critical", 105000)])
    board.write(f"{_THERMAL}/thermal_zone0/temp", 27800)
    board.zone(1, "x86_pkg_temp", [("passive", -274000), ("passive", 62000)])
    board.zone(2, "iwlwifi_1")
    board.clocks(dict.fromkeys(range(4), 3400000))
    board.chip(0, "acpitz", temp1_input=27800)
    board.chip(1, "nvme", temp1_input=52000, temp1_label="Composite", temp1_crit=84800)
    board.chip(2, "drivetemp", temp1_input=38000)
    board.chip(3, "drivetemp", temp1_input=39000)
    cores: dict[str, int | str] = {f"temp{2 + core}_input": 44000 for core in range(4)}
    cores |= {f"temp{2 + core}_crit": 105000 for core in range(4)}
    cores |= {f"temp{2 + core}_label": f"Core {core}" for core in range(4)}
    cores |= {"temp1_input": 45000, "temp1_label": "Package id 0", "temp1_crit": 105000}
    board.chip(4, "coretemp", **cores)
    board.temps.append(f"{_HWMON}/hwmon4/temp1_input")
    return board


def amd_nas(root: Path) -> Board:
    """A NAS with an AMD Ryzen: two readings of the processor, and a graphics part of its own."""
    board = virtual_machine(root)
    board.write("proc/cpuinfo", "vendor_id\t: AuthenticAMD\nmodel name\t: AMD Ryzen V1500B")
    board.coolers(*["Processor"] * 4)
    board.clocks(dict.fromkeys(range(4), 2200000))
    tctl: dict[str, int | str] = {"temp1_input": 72000, "temp1_label": "Tctl", "temp1_max": 70000}
    board.chip(0, "k10temp", **tctl, temp2_input=45000, temp2_label="Tdie")
    board.chip(1, "amdgpu", temp1_input=50000, temp1_label="edge")
    board.temps.append(f"{_HWMON}/hwmon0/temp2_input")
    return board
