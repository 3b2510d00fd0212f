"""What a sensor's name says of whose it is."""

from __future__ import annotations

import pytest

from inglenook.governor.sensors.names import is_processor, other_part


@pytest.mark.parametrize(
    "name",
    [
        *("cpu-thermal", "cpu_thermal", "CPU-therm", "cpu0-thermal", "cpu-top-thermal"),
        *("soc-thermal", "soc_thermal", "package-thermal", "bigcore0-thermal", "soc0-thermal"),
        *("littlecore-thermal", "cluster0-thermal", "x86_pkg_temp", "coretemp", "k10temp"),
        *("ap-thermal-cpu0", "ap-cpu0-thermal", "core-cluster1", "pwr-cluster-thermal"),
        *("cpuss-0-0-thermal", "cpuillc-0-0-thermal", "mpu0-thermal", "mpu-thermal", "tj-thermal"),
        *("big-cluster", "big-cl-thermal", "little-cl-thermal", "cpu-0-0-0-thermal"),
    ],
)
def test_the_processors_sensors_are_known_by_name(name: str) -> None:
    """Of Raspberry Pi, Rockchip, Amlogic, Allwinner, NVIDIA, Qualcomm, TI, Arm, Intel and AMD."""
    assert is_processor(name)
    assert other_part(name) == ""


@pytest.mark.parametrize(
    ("name", "part"),
    [
        *((name, "graphics") for name in ("gpu-thermal", "gpuss-0-thermal", "g3d-thermal")),
        *((name, "memory") for name in ("ddr_thermal", "ddr-cluster5", "mem-thermal")),
        *((name, "power chip") for name in ("pm8994-thermal", "pmic-thermal0", "pmi632-thermal")),
        *((name, "power chip") for name in ("pf53soc-thermal", "pf53-soc-thermal", "PMIC-Die")),
        *((name, "power chip") for name in ("pmcx0102-c0-thermal", "bigcpu-reg-thermal")),
        *((name, "radio") for name in ("iwlwifi_1", "wifi-thermal", "modem1-top-thermal")),
        *((name, "radio") for name in ("rf-pa0-thermal", "mdmss-0-thermal")),
        *((name, "case or board") for name in ("cpu-skin-thermal", "xo-thermal", "tboard1")),
        *((name, "case or board") for name in ("skin-temp-thermal", "quiet-thermal")),
        *((name, "battery") for name in ("BAT0", "charger-thermal", "battery")),
        *((name, "camera or screen") for name in ("camera-thermal", "ve-thermal", "img-thermal")),
        *((name, "co-processor") for name in ("npu-thermal", "q6-hvx-thermal", "mcu-thermal")),
        *((name, "disk or fan") for name in ("nvme", "drivetemp", "ufs-thermal")),
        *((name, "firmware") for name in ("acpitz", "pch_cometlake", "INT3400 Thermal")),
    ],
)
def test_other_parts_are_known_by_name(name: str, part: str) -> None:
    """Whatever else is in it; and working slower would not help them."""
    assert other_part(name) == part
    assert not is_processor(name)


@pytest.mark.parametrize(
    "name",
    [
        *("main0-thermal", "wkup0-thermal", "cls0-thermal", "sensor3-thermal", "a55-thermal"),
        *("atlas0-thermal", "apu-thermal", "center-thermal", "aoss0-thermal", "ap-ic-thermal"),
        *("rp1_adc", "socket-thermal", "amdgpu", ""),
    ],
)
def test_of_others_nothing_is_known(name: str) -> None:
    """Their ties decide; or, if nothing else counts, they do."""
    assert not is_processor(name)
    assert other_part(name) == ""
