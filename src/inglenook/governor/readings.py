"""What the board says about itself at one moment. Kind: words."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Zone:
    """One sensor of the processor, with a reading that can be believed.

    Attributes:
        name: As the kernel calls it; no two zones of one board have the same.
        temp_c: Degrees Celsius; some boards have steps of 1 °C.
        passive_c: Where the board begins to slow itself down: the trip point that does it, else
            what is known of this kind of board.
        critical_c: Where the kernel shuts the board down; None if it does not say.
        slows_from_c: Where the kernel slows the processor already, if that is lower than a box at
            work can keep to.
    """

    name: str
    temp_c: float
    passive_c: float
    critical_c: float | None = None
    slows_from_c: float | None = None


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A sensor of another part, such as the case, for which the kernel slows the processor down.

    Working less does not cure that; but the kernel may shut the board down for it, too.

    Attributes:
        name: As the kernel calls it.
        temp_c: Degrees Celsius.
        slows_from_c: Where the kernel begins to slow the processor down.
        critical_c: Where the kernel shuts the board down; None if it does not say.
    """

    name: str
    temp_c: float
    slows_from_c: float
    critical_c: float | None = None


@dataclass(frozen=True, slots=True)
class FirmwareFlags:
    """What a Raspberry Pi's firmware is doing right now (not: has done since it was switched on).

    Attributes:
        undervoltage: The supply is below 4.63 V.
        freq_capped: The clock may not rise.
        throttled: The clock has been lowered.
        soft_limit: The first temperature limit is reached (on boards that have two).
    """

    undervoltage: bool = False
    freq_capped: bool = False
    throttled: bool = False
    soft_limit: bool = False


@dataclass(frozen=True, slots=True)
class MemoryReadings:
    """Memory of the box, and of the control group that leaves us least. None: cannot be told.

    Attributes:
        total_bytes: All there is.
        available_bytes: The kernel's estimate of what it could give without swapping. It would give
            mapped files away, too.
        swap_total_bytes: 0 without swap.
        swap_free_bytes: Part of it that is not in use.
        limit_bytes: Most that the tightest control group may use; None without a limit.
        used_bytes: What it uses, less the file cache it could drop; mapped files are used.
        psi_some_avg10: Percent of the last 10 s in which some task waited for memory; of the whole
            box or of that control group, whichever is more.
        psi_full_avg10: The same, all tasks at once.
        oom_kills: Processes of our control group that the kernel has killed for memory so far.
        weights_bytes: Files the engine has mapped, which it needs for every token; 0 without one.
    """

    total_bytes: int | None = None
    available_bytes: int | None = None
    swap_total_bytes: int | None = None
    swap_free_bytes: int | None = None
    limit_bytes: int | None = None
    used_bytes: int | None = None
    psi_some_avg10: float | None = None
    psi_full_avg10: float | None = None
    oom_kills: int | None = None
    weights_bytes: int = 0

    @property
    def left_bytes(self) -> int | None:
        """What can still be had: the less of the box's and the control group's."""
        left = []
        if self.available_bytes is not None:
            left.append(max(0, self.available_bytes - self.weights_bytes))
        if self.limit_bytes is not None and self.used_bytes is not None:
            left.append(max(0, self.limit_bytes - self.used_bytes))
        return min(left, default=None)


@dataclass(frozen=True, slots=True)
class Readings:
    """Everything the governor decides by.

    Attributes:
        zones: Sensors of the processor; empty on a box that has none.
        neighbours: Sensors of other parts for which the kernel slows the processor down.
        faulty: Names of sensors that have worked and now do not, or do not move; not in `zones`.
        throttled_by_kernel: A cooling device holds the processor's clock down.
        firmware: Flags of a Raspberry Pi; None elsewhere.
        freq_ratio: Highest clock allowed now over the highest the processor has, of the core that
            is held down most, 0 to 1; None without cpufreq.
        freq_hz: Clock of the fastest core; None without cpufreq.
        memory: All about memory.
        engine_rss_bytes: Resident memory of the engine, mapped weights included; None without one.
        on_battery: Runs from a battery or UPS; None if it has neither.
        battery_percent: Charge of the emptiest, 0 to 100.
    """

    zones: tuple[Zone, ...] = ()
    neighbours: tuple[Neighbour, ...] = ()
    faulty: tuple[str, ...] = ()
    throttled_by_kernel: bool = False
    firmware: FirmwareFlags | None = None
    freq_ratio: float | None = None
    freq_hz: int | None = None
    memory: MemoryReadings = MemoryReadings()
    engine_rss_bytes: int | None = None
    on_battery: bool | None = None
    battery_percent: float | None = None

    @property
    def hottest(self) -> Zone | None:
        """The sensor nearest to where the board slows itself down; None without any."""
        return min(self.zones, key=lambda zone: zone.passive_c - zone.temp_c, default=None)
