"""Which zones count: by their ties, their names, or for want of better ones."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inglenook.governor.sensors.board import UNKNOWN, recognise
from inglenook.governor.sensors.counting import count_zones
from inglenook.governor.sensors.names import other_part
from inglenook.governor.sensors.sensor import (
    CoolingBinding,
    CountingRule,
    LimitSource,
    Sensor,
    ThermalZone,
    TripPoint,
)
from inglenook.governor.thermal.pausing import pause_c


def zone(name: str, *marks: str) -> ThermalZone:
    """A zone; marks as ``85p→cpu``."""
    kinds = {"p": "passive", "a": "active", "h": "hot", "c": "critical"}
    trips = []
    for mark in marks:
        head, _, tied = mark.partition("→")
        tie = {"": CoolingBinding.NOTHING, "cpu": CoolingBinding.CPU}.get(
            tied, CoolingBinding.OTHER
        )
        trips.append(TripPoint(kinds[head[-1]], float(head[:-1]), tie))
    return ThermalZone(name, f"/sys/{name}", trips=tuple(trips))


def counted(
    *zones: ThermalZone, chips: bool = False
) -> dict[str, tuple[CountingRule | str, float]]:
    """Rule and limit of those that count."""
    sensors = count_zones(zones, UNKNOWN, chips=chips)
    return {sensor.name: (sensor.why, sensor.passive_c) for sensor in sensors if sensor.counts}


def one(*zones: ThermalZone, name: str) -> Sensor:
    """What is said of one of them."""
    [sensor] = [each for each in count_zones(zones, UNKNOWN, chips=False) if each.name == name]
    return sensor


NANO = zone("cpu-thermal", "102.5c", "98.5h→heavy", "96.5c→fan", "70h→fan", "50a→fan", "30p→fan")


@pytest.mark.parametrize(
    ("zones", "right"),
    [
        # A passive mark that only starts a fan.
        ([NANO], {"cpu-thermal": (CountingRule.NAMED, 85.0)}),
        # Marks at which nothing happens.
        ([zone("cpu-thermal", "60p", "70p", "110c")], {"cpu-thermal": (CountingRule.NAMED, 85.0)}),
        # Names that nobody has listed: what is tied decides ...
        (
            [zone("main0-thermal", "115p→cpu", "125c"), zone("gpu-thermal", "95p→gpu", "110c")],
            {"main0-thermal": (CountingRule.TIED, 115.0)},
        ),
        (
            [zone("sensor1-thermal", "120c"), zone("sensor3-thermal", "68p→cpu", "120c")],
            {"sensor3-thermal": (CountingRule.TIED, 68.0)},
        ),
        # ... and where nothing is, all that is not known as something else.
        (
            [zone("main0-thermal", "105c"), zone("gpu0-thermal", "105c"), zone("pm8150-thermal")],
            {"main0-thermal": (CountingRule.LEFT, 85.0)},
        ),
        ([zone("pm8994-thermal", "95p", "125c"), zone("quiet-thermal", "125c")], {}),
        # One in whose name another is.
        (
            [zone("a55-thermal", "105p→cpu", "125c"), zone("pf53soc-thermal", "140p", "155c")],
            {"a55-thermal": (CountingRule.TIED, 105.0)},
        ),
        # Ties are no reason to forget a name.
        (
            [zone("package-thermal", "115c"), zone("bigcore0-thermal", "85p→cpu", "115c")],
            {
                "package-thermal": (CountingRule.NAMED, 85.0),
                "bigcore0-thermal": (CountingRule.TIED, 85.0),
            },
        ),
        # A mark that nobody can keep is the kernel's business.
        (
            [zone("cpu-thermal", "47p→cpu", "67a→cpu", "87h", "107c")],
            {"cpu-thermal": (CountingRule.TIED, 67.0)},
        ),
        ([zone("cpu_thermal", "55p→cpu", "85c")], {"cpu_thermal": (CountingRule.TIED, 80.0)}),
        # Another part counts only if all its marks can be kept.
        (
            [zone("cpu0-thermal", "90p→cpu", "110c"), zone("skin-temp", "58p→cpu", "62.5p→cpu")],
            {"cpu0-thermal": (CountingRule.TIED, 90.0)},
        ),
        (
            [zone("cpu0-thermal", "90p→cpu", "105c"), zone("pmic-thermal", "110p→cpu", "125c")],
            {"cpu0-thermal": (CountingRule.TIED, 90.0), "pmic-thermal": (CountingRule.TIED, 110.0)},
        ),
        # Hot slows nothing down.
        (
            [zone("cpu-thermal", "125c", "120h", "115a→fan")],
            {"cpu-thermal": (CountingRule.NAMED, 85.0)},
        ),
        ([zone("soc-thermal", "30a", "80h")], {"soc-thermal": (CountingRule.NAMED, 80.0)}),
        # What is told of one zone holds for those that tell nothing, and not what is assumed.
        (
            [zone("cpu0-thermal", "90p→cpu", "110c"), zone("cluster0-thermal", "90h", "110c")],
            {
                "cpu0-thermal": (CountingRule.TIED, 90.0),
                "cluster0-thermal": (CountingRule.NAMED, 90.0),
            },
        ),
        (
            [zone("cpu0-thermal", "90p→cpu"), zone("cpu1-thermal", "95p→cpu"), zone("soc", "84c")],
            {
                "cpu0-thermal": (CountingRule.TIED, 90.0),
                "cpu1-thermal": (CountingRule.TIED, 95.0),
                "soc": (CountingRule.NAMED, 79.0),
            },
        ),
        # But not what is left of it where another is shut down.
        (
            [zone("cpu0-thermal", "90p→cpu", "61c"), zone("cpu1-thermal", "110c")],
            {"cpu0-thermal": (CountingRule.TIED, 58.0), "cpu1-thermal": (CountingRule.NAMED, 90.0)},
        ),
        # So do hints, if there is nothing better; but what a case tells holds for it alone.
        (
            [zone("cpu0-thermal", "90p", "110c"), zone("cluster0-thermal", "110c")],
            {
                "cpu0-thermal": (CountingRule.NAMED, 90.0),
                "cluster0-thermal": (CountingRule.NAMED, 90.0),
            },
        ),
        (
            [zone("cpu-thermal", "101c"), zone("cpu-skin-thermal", "70p→cpu")],
            {
                "cpu-thermal": (CountingRule.NAMED, 85.0),
                "cpu-skin-thermal": (CountingRule.TIED, 70.0),
            },
        ),
    ],
)
def test_zones_count_by_tie_then_by_name_then_for_want_of_better(
    zones: list[ThermalZone], right: dict[str, tuple[CountingRule, float]]
) -> None:
    """And limits are where the processor is slowed down."""
    assert counted(*zones) == right


def test_no_zone_stands_in_for_a_chip() -> None:
    """On a PC without ties, a zone of an unknown name may be of anything."""
    unknown = zone("SEN1", "90c")

    assert counted(unknown, chips=True) == {}
    assert counted(unknown, chips=False) == {"SEN1": (CountingRule.LEFT, 85.0)}


def test_a_board_that_is_known_has_a_limit_of_its_own() -> None:
    """Where no zone tells one."""
    [sensor] = count_zones([zone("cpu-thermal", "90c")], recognise("bcm2711"), chips=False)

    assert sensor.passive_c == 80.0
    assert sensor.source == "the kernel does not say; assumed for: Raspberry Pi 4"


def test_what_slows_the_processor_and_is_no_goal_is_kept() -> None:
    """To say so when it does."""
    cpu = zone("cpu-thermal", "47p→cpu", "67a→cpu", "107c")
    skin = zone("skin-temp-thermal", "42p→cpu", "60c")

    assert one(cpu, name="cpu-thermal").slows_from_c == 47.0
    told = one(cpu, skin, name="skin-temp-thermal")
    assert (told.counts, told.slows_from_c, told.critical_c) == (False, 42.0, 60.0)
    assert told.why == "not the processor's (case or board)"
    usual = zone("cpu-thermal", "85p→cpu", "95c")
    assert one(usual, name="cpu-thermal").slows_from_c is None


@pytest.mark.parametrize(
    ("zones", "name", "source"),
    [
        ([zone("cpu", "85p→cpu")], "cpu", LimitSource.PASSIVE),
        ([zone("cpu", "47p→cpu", "67a→cpu")], "cpu", LimitSource.ACTIVE),
        ([zone("cpu", "90p")], "cpu", LimitSource.HINT),
        ([zone("cpu", "90p→cpu"), zone("soc")], "soc", f"{LimitSource.LEAST}: cpu"),
        ([zone("cpu")], "cpu", "the kernel does not say; assumed for: unknown board"),
        ([zone("cpu", "80h")], "cpu", "the kernel does not say; its hot trip point"),
        (
            [zone("cpu", "80c")],
            "cpu",
            "the kernel does not say; 5 °C below where it shuts down",
        ),
    ],
)
def test_each_limit_says_where_it_is_from(zones: list[ThermalZone], name: str, source: str) -> None:
    """For the operator."""
    assert one(*zones, name=name).source == source


TRIPS = st.builds(
    TripPoint,
    st.sampled_from(["active", "passive", "hot", "critical"]),
    st.integers(20, 130).map(float),
    st.sampled_from(CoolingBinding),
)
NAMES = st.sampled_from(
    ["cpu0-thermal", "soc-thermal", "main0-thermal", "sensor2-thermal", "skin", "gpu", "pm8150"]
)
ZONES = st.builds(
    ThermalZone, NAMES, st.just("/sys/t"), trips=st.lists(TRIPS, max_size=6).map(tuple)
)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(ZONES, min_size=1, max_size=5))
def test_on_a_board_that_nobody_has_listed(zones: list[ThermalZone]) -> None:
    """Whatever its trip points are, the same holds as for those that are."""
    sensors = count_zones(zones, UNKNOWN, chips=False)

    for zone, sensor in zip(zones, sensors, strict=True):
        tied = [
            trip.temp_c
            for trip in zone.trips
            if trip.kind in ("active", "passive") and trip.tie is CoolingBinding.CPU
        ]
        if not sensor.counts:
            # Nothing that slows the processor is passed over unsaid.
            assert sensor.slows_from_c == min(tied, default=None)
            continue
        # It is kept to what can be kept, and to less only if the board is shut down there.
        near_its_end = sensor.critical_c is not None and sensor.critical_c - 5 <= sensor.passive_c
        assert sensor.passive_c >= 60 or near_its_end
        # The pause comes before that.
        if sensor.critical_c is not None:
            assert pause_c(sensor.passive_c, sensor.critical_c) <= sensor.critical_c - 2
        # Where the kernel slows the processor before, that is said.
        if tied and min(tied) < sensor.passive_c:
            assert sensor.slows_from_c == min(tied)
        # And no mark at which nothing is done to the processor is a limit below 85 °C.
        others = {trip.temp_c for trip in zone.trips if trip.tie is CoolingBinding.OTHER}
        if sensor.passive_c in others - set(tied) and sensor.passive_c < 85 and not near_its_end:
            assert not sensor.source.startswith((LimitSource.PASSIVE, LimitSource.ACTIVE))
    if not any(sensor.counts for sensor in sensors):
        assert all(other_part(zone.name) for zone in zones)
