"""`inglenook doctor` names everything it found, and what the box would do about it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from inglenook.daemon.statefolder import held_state_folder
from inglenook.engine.cores import choose_cores, placement_order
from tests.cli.conftest import Inglenook
from tests.parts import board
from tests.parts.box import Box, Ran, free_port, made_box, run_inglenook, running_box

MakeBoard = Callable[[Path], board.Board]


@pytest.fixture
def settings(config: Path, tmp_path: Path, starter_model: Path) -> Path:
    """Settings of a box whose board is a folder."""
    config.write_text(
        yaml.safe_dump(
            {
                "name": "Kitchen",
                "state_dir": str(tmp_path / "state"),
                "listen": {"host": "127.0.0.1", "port": free_port(), "tls_port": 0},
                "discovery": {"enabled": False},
                "governor": {"root": str(tmp_path / "root")},
                "model": {"path": str(starter_model)},
                "engine": {"threads": 4},
            }
        )
    )
    return config


def said(ran: Ran) -> dict[str, tuple[str, str]]:
    """Verdict and text of each thing; a script gets nothing else."""
    rows = [line.split("\t") for line in ran.out.splitlines()]
    assert ran.err == ""
    return {what: (verdict, text) for verdict, what, text in rows}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "sensors", "marks"),
    [
        (
            board.pi_4,
            {
                "cpu-thermal": "slows down at 80 °C (the kernel does not say; assumed for: "
                "Raspberry Pi 4), shuts down at 90 °C, computes nothing from 88 °C on; counts by "
                "its name",
                "cpu_thermal temp1": "its zone says the same",
                "firmware": "all is well",
            },
            ("from 68 °C", "from 80 °C"),
        ),
        (
            board.pi_5,
            {
                "cpu-thermal": "shuts down at 110 °C",
                "nvme Composite": "not the processor's",
                "rp1_adc temp1": "not the processor's",
                "pwm-fan": "does not slow the processor",
            },
            ("from 68 °C", "from 80 °C"),
        ),
        (
            board.rk3588_mainline,
            {
                "package-thermal": "slows down at 85 °C (the least that another zone here tells: "
                "bigcore0-thermal)",
                "bigcore0-thermal": "slows down at 85 °C (its passive trip point), shuts down at "
                "115 °C, computes nothing from 110 °C on; counts as the processor's cooling is",
                "bigcore2-thermal": "its passive trip point",
                "littlecore-thermal": "its passive trip point",
                "center-thermal": "not the processor's",
                "gpu-thermal": "not the processor's (graphics)",
                "npu-thermal": "not the processor's",
                "cpufreq-cpu4": "slows the processor down when on",
            },
            ("from 73 °C", "from 85 °C"),
        ),
        (
            board.rk3588_vendor,
            {"soc-thermal": "slows down at 75 °C (its passive trip point)"},
            ("from 63 °C", "from 75 °C"),
        ),
        (
            board.trogdor,
            {
                "cpu-thermal": "slows down at 90 °C (its passive trip point)",
                "skin-temp-thermal": "not the processor's (case or board); the kernel slows the "
                "processor for it from 42 °C on, which working less would not cure; nothing is "
                "computed from 58 °C on",
            },
            ("from 78 °C", "from 90 °C"),
        ),
        (
            board.intel_nas,
            {
                "coretemp Package id 0": "slows down at 100 °C (its critical mark less 5 °C",
                "coretemp Core 3": "Package id 0 says it better",
                "x86_pkg_temp": "coretemp says the same",
                "iwlwifi_1": "not the processor's",
            },
            ("from 88 °C", "from 100 °C"),
        ),
        (
            board.amd_nas,
            {"k10temp Tdie": "assumed for: AMD processor", "k10temp Tctl": "Tdie says it better"},
            ("from 73 °C", "from 85 °C"),
        ),
    ],
)
@pytest.mark.usefixtures("settings")
def test_every_sensor_and_its_trip_points_are_named(
    inglenook: Inglenook,
    tmp_path: Path,
    make: MakeBoard,
    sensors: dict[str, str],
    marks: tuple[str, str],
) -> None:
    """With why it counts or not; and what would happen at which temperature follows from them."""
    make(tmp_path / "root")

    ran = inglenook("doctor")

    lines = said(ran)
    assert ran.returncode == 0, ran.out
    for name, words in sensors.items():
        assert words in lines[name][1], name
    warm, critical = marks
    assert lines[warm][1] == "warm: everything goes on"
    assert lines[critical][1].startswith("critical: computes ")


@pytest.mark.usefixtures("settings")
def test_a_box_that_does_not_run_is_examined_too(inglenook: Inglenook, tmp_path: Path) -> None:
    """What it would need, and what is there; nothing is broken, and nothing is made."""
    board.pi_5(tmp_path / "root")

    ran = inglenook("doctor")

    lines = said(ran)
    assert ran.returncode == 0
    assert lines["daemon"][0] == "warning"
    assert "`inglenook up`" in lines["daemon"][1]
    assert lines["memory for it"][1].endswith("which are free")
    assert lines["in force"][1].startswith("8 answers at once when it runs")
    assert lines["402.7 MiB left"][1].startswith("no new questions; step by step, after 48 s: 1 of")
    assert lines["201.6 MiB left"][1].endswith("after 20 s: the model is unloaded, answers wait")
    assert lines["ports"][1].endswith("free for the daemon")
    assert lines["cache"][1].startswith("0 B of ")
    assert not (tmp_path / "state").exists()


@pytest.mark.usefixtures("settings")
def test_without_a_sensor_it_warns(inglenook: Inglenook, tmp_path: Path) -> None:
    """As in most virtual machines."""
    board.virtual_machine(tmp_path / "root")

    ran = inglenook("doctor")

    assert ran.returncode == 0
    assert said(ran)["temperature"][0] == "warning"


@pytest.mark.usefixtures("settings")
def test_a_pi_without_a_sensor_is_told_where_there_is_one(
    inglenook: Inglenook, tmp_path: Path
) -> None:
    """Debian's kernel has none for a Pi 5."""
    made = board.pi_5(tmp_path / "root")
    made.remove("sys/class/thermal/thermal_zone0")
    made.remove("sys/class/hwmon/hwmon0")

    verdict, text = said(inglenook("doctor"))["temperature"]

    assert verdict == "warning"
    assert text.endswith("Raspberry Pi's own kernel, which has one")


@pytest.mark.slow
@pytest.mark.usefixtures("settings")
@pytest.mark.parametrize(
    ("flags", "verdict", "words"),
    [
        ("1", "fix", "the supply's voltage is too low: use a stronger supply"),
        ("4", "warning", "the clock is lowered: see to its cooling"),
        ("50000", "ok", "all is well"),
    ],
)
def test_what_the_firmware_complains_of_is_passed_on(
    inglenook: Inglenook, tmp_path: Path, flags: str, verdict: str, words: str
) -> None:
    """A weak supply is broken; what once was is over."""
    made = board.pi_4(tmp_path / "root")
    made.write("sys/devices/platform/soc/soc:firmware/get_throttled", flags)

    ran = inglenook("doctor")

    found, text = said(ran)["firmware"]
    assert found == verdict
    assert text.startswith(words)
    assert ran.returncode == (1 if verdict == "fix" else 0)


@pytest.mark.slow
@pytest.mark.usefixtures("settings")
def test_what_working_less_would_not_cure_is_worth_knowing(
    inglenook: Inglenook, tmp_path: Path
) -> None:
    """While it lasts."""
    made = board.trogdor(tmp_path / "root")
    cool = said(inglenook("doctor"))
    made.throttle(3)
    held = said(inglenook("doctor"))

    assert cool["skin-temp-thermal"][0] == "ok"
    assert held["skin-temp-thermal"][0] == "warning"
    assert held["cpu-thermal"][0] == "ok"


@pytest.mark.slow
@pytest.mark.usefixtures("settings")
def test_sensors_of_which_none_counts_are_said_to_be_there(
    inglenook: Inglenook, tmp_path: Path
) -> None:
    """A power chip's alone."""
    made = board.virtual_machine(tmp_path / "root")
    made.zone(0, "pm8994-thermal", [("passive", 95000), ("critical", 125000)])

    lines = said(inglenook("doctor"))

    assert lines["temperature"][0] == "warning"
    assert lines["pm8994-thermal"][1].endswith("not the processor's (power chip)")


@pytest.mark.slow
def test_the_cores_worth_computing_on_are_said_with_the_rule(
    inglenook: Inglenook, settings: Path, tmp_path: Path
) -> None:
    """Of those this process may use."""
    made = board.pi_5(tmp_path / "root")
    allowed = sorted(os.sched_getaffinity(0))
    for core in allowed:
        made.write(f"sys/devices/system/cpu/cpu{core}/cpu_capacity", 1024 if core % 2 else 700)
    cores = choose_cores(tmp_path / "root").cores

    text = said(inglenook("doctor"))["cores"][1]

    assert "; worth computing on: " in text
    numbers, _, rule = text.partition("; worth computing on: ")[2].partition(" (")
    assert rule.startswith(choose_cores(tmp_path / "root").rule)
    found = [run.partition("-") for run in numbers.split(",")]
    assert {
        core for first, _, last in found for core in range(int(first), int(last or first) + 1)
    } == cores


@pytest.mark.slow
def test_cores_are_told_by_their_clock(
    inglenook: Inglenook, settings: Path, tmp_path: Path
) -> None:
    """The fast first."""
    made = board.rk3588_mainline(tmp_path / "root")
    for first, cores in {0: "0 1 2 3", 4: "4 5", 6: "6 7"}.items():
        made.write(f"sys/devices/system/cpu/cpufreq/policy{first}/related_cpus", cores)

    text = said(inglenook("doctor"))["cores"][1]

    assert text.startswith("4 at 2.4 GHz, 4 at 1.8 GHz; ")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("section", "broken", "what", "words"),
    [
        ("model", {"path": "/nowhere.gguf"}, "model", "/nowhere.gguf"),
        ("model", {"context": 1_000_000}, "memory for it", "model.context: 1000000"),
        ("listen", {"host": "192.0.2.1"}, "ports", "this machine has no such address"),
    ],
)
def test_what_is_broken_fails_it(
    inglenook: Inglenook,
    settings: Path,
    tmp_path: Path,
    section: str,
    broken: dict[str, object],
    what: str,
    words: str,
) -> None:
    """With what to do."""
    board.pi_5(tmp_path / "root")
    written = yaml.safe_load(settings.read_text())
    written[section] |= broken
    settings.write_text(yaml.safe_dump(written))

    ran = inglenook("doctor")

    verdict, text = said(ran)[what]
    assert (ran.returncode, verdict) == (1, "fix")
    assert words in text


@pytest.mark.slow
def test_memory_that_is_short_is_said_in_numbers(
    inglenook: Inglenook, settings: Path, tmp_path: Path
) -> None:
    """Before the model is loaded into it."""
    board.pi_5(tmp_path / "root").memory(MemAvailable=300_000)

    ran = inglenook("doctor")

    verdict, text = said(ran)["memory for it"]
    assert (ran.returncode, verdict) == (1, "fix")
    assert "293.0 MiB are free" in text


@pytest.mark.slow
def test_a_governor_that_is_off_is_worth_knowing(
    inglenook: Inglenook, settings: Path, tmp_path: Path
) -> None:
    """Then there is nothing that it would do."""
    board.pi_5(tmp_path / "root")
    written = yaml.safe_load(settings.read_text())
    written["governor"]["enabled"] = False
    settings.write_text(yaml.safe_dump(written))

    lines = said(inglenook("doctor"))

    assert lines["in force"][0] == "warning"
    assert not any(what.startswith("from ") for what in lines)


@pytest.mark.slow
def test_a_box_that_runs_is_asked(starter_model: Path, tmp_path: Path) -> None:
    """Its limits in force, its engine's cores, its ports; its model's memory is not missing."""
    board.pi_5(tmp_path)
    settings = {
        "governor": {"enabled": True, "root": str(tmp_path)},
        "engine": {"threads": 2},
    }
    with running_box(starter_model, settings) as box:
        ran = box.run("doctor")

    lines = said(ran)
    assert ran.returncode == 0, ran.out
    assert lines["daemon"][0] == "ok"
    kept = ", ".join(map(str, sorted(placement_order()[:2])))
    assert lines["cores"][1].endswith(f"the engine keeps to {kept}")
    assert lines["engine state"] == ("ok", "ready")
    count, _, why = lines["in force"][1].partition("; ")
    assert count == "8 of 8 answers at once"
    assert why[:1] == why[:1].lower(), why
    assert lines[f"port {box.port}"] == ("ok", "the daemon's")
    assert "engine.threads is set to 2" in lines["tuning"][1]


@pytest.mark.slow
def test_settings_that_are_not_in_force_yet_are_seen(box: Box, tmp_path: Path) -> None:
    """A port that was changed since the start."""
    port = free_port()
    written = yaml.safe_load(box.config.read_text())
    written["listen"]["port"] = port
    changed = tmp_path / "changed.yaml"
    changed.write_text(yaml.safe_dump(written))

    lines = said(run_inglenook(("doctor", "--config", str(changed)), box.environ()))

    assert lines[f"port {port}"][0] == "warning"
    assert "restart it" in lines[f"port {port}"][1]


@pytest.mark.slow
def test_another_program_on_the_port_is_to_be_fixed(box: Box, starter_model: Path) -> None:
    """Here it is another box."""
    with made_box(starter_model, {"listen": {"port": box.port}}) as other:
        other.write_config()
        ran = other.run("doctor")

    assert ran.returncode == 1
    verdict, text = said(ran)["ports"]
    assert verdict == "fix"
    assert "is taken by another program" in text


@pytest.mark.slow
def test_a_path_too_long_for_a_daemon_is_one_line_among_all(
    inglenook: Inglenook, settings: Path, tmp_path: Path
) -> None:
    """In the daemon's own words; everything else is looked at as ever."""
    board.pi_5(tmp_path / "root")
    written = yaml.safe_load(settings.read_text())
    written["state_dir"] = str(tmp_path / ("long" * 40))
    settings.write_text(yaml.safe_dump(written))
    words = f"{written['state_dir']} is too long a path for a socket; use a shorter"

    ran = inglenook("doctor")

    lines = said(ran)
    assert ran.returncode == 1
    assert lines["state_dir"] == ("fix", words)
    assert lines["daemon"][0] == "warning"
    assert lines["ports"][0] == "ok"
    for command in (("status", "--once"), ("pair",), ("run",)):
        assert inglenook(*command).err == f"inglenook: state_dir: {words}\n"


@pytest.mark.slow
@pytest.mark.usefixtures("settings")
def test_a_daemon_that_does_not_answer_is_one_line_among_all(
    inglenook: Inglenook, tmp_path: Path
) -> None:
    """It runs, so its ports are not free and its model's memory is not missing."""
    board.pi_5(tmp_path / "root")
    (tmp_path / "state").mkdir()
    with held_state_folder(tmp_path / "state"):
        ran = inglenook("doctor")

    lines = said(ran)
    assert ran.returncode == 1
    assert lines["daemon"][0] == "fix"
    assert "does not answer at" in lines["daemon"][1]
    assert lines["engine state"][0] == "warning"
    assert "memory for it" not in lines
    assert lines["state_dir"][0] != "fix"
