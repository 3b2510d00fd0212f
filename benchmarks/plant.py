"""Boards as a simulation: how they heat up, how their kernel slows them, how fast they write.

Two heat capacities, the die and what it sits on, and a room. Kind: rules.

Where the numbers come from is said beside each. Those without a source are fitted so that what is
published comes out; none was measured by us. Heat of the die alone is meant, not at the socket.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Literal

#: Share of the memory bandwidth that so many of four threads reach: one core of such a board
#: cannot fill its bus alone, three nearly can (assumed).
_BANDWIDTH = {1: 0.45, 2: 0.8, 3: 0.95, 4: 1.0}

#: A core that waits for memory takes this share of what it takes computing (assumed).
_WAITING = 0.65

#: Leakage: the idle power grows by so much per °C (assumed, at 60 °C).
_LEAK_PER_C, _LEAK_AT_C = 0.008, 60.0

#: Jitter of a sensor before it is rounded.
JITTER_C = 0.3

STEP_S = 0.25
THREADS = 4

#: Clock and voltage, as shares of the highest. Cortex-A76 in the RK3588: its operating points in
#: arch/arm64/boot/dts/rockchip/rk3588-opp.dtsi (1.2 GHz at 675 mV to 2.4 GHz at 1 V). The Pi 5 has
#: the same cores, and none of its clocks is below 1.5 of 2.4 GHz (circle-rpi.readthedocs.io, "CPU
#: clock rate management"); those of Intel's N series are taken to scale like the RK3588's.
CLOCKS = (
    (1.0, 1.0), (0.92, 0.9875), (0.84, 0.925), (0.75, 0.85), (0.67, 0.7625), (0.59, 0.725),
    (0.5, 0.675), (0.42, 0.675), (0.34, 0.675), (0.25, 0.675),
)  # fmt: skip
PI5_CLOCKS = (
    (1.0, 1.0), (2.3 / 2.4, 0.9935), (2.2 / 2.4, 0.985), (2.1 / 2.4, 0.952), (2.0 / 2.4, 0.919),
    (1.9 / 2.4, 0.885), (0.75, 0.85), (1.7 / 2.4, 0.804), (1.6 / 2.4, 0.761), (0.625, 0.741),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Board:
    """A board in its case.

    Attributes:
        name: Of board and cooling.
        die_k_per_w: From the die to what it sits on.
        die_j_per_k: Heat capacity of the die and its package.
        sink_k_per_w: From there to the room; with a fan, (above so many °C of the die, value).
        sink_j_per_k: Heat capacity of board and heat sink.
        idle_w: Heat of the die at rest, at 60 °C.
        shared_w: What caches and the way to memory, clocked like the cores, add while computing.
        core_w: What each computing core adds, at the highest clock.
        weights_s: One reading of all weights, by all threads at the highest clock.
        token_s: Computing one token on top of that.
        memory_follows: How much of `weights_s` grows as the clock falls, as a share.
        trip_c: Where the board begins to slow itself down.
        quantum_c: Step of its sensor.
        throttle: How it slows itself down: the kernel's ``step_wise``, or firmware between `trip_c`
            and 5 °C more.
        clocks: Those it has, and the voltage of each, highest first.
    """

    name: str
    die_k_per_w: float
    die_j_per_k: float
    sink_k_per_w: tuple[tuple[float, float], ...]
    sink_j_per_k: float
    idle_w: float
    shared_w: float
    core_w: float
    weights_s: float
    token_s: float
    memory_follows: float
    trip_c: float
    quantum_c: float
    throttle: Literal["step_wise", "firmware"]
    clocks: tuple[tuple[float, float], ...] = CLOCKS

    def step_s(self, active: int, threads: int, clock: float = 1.0) -> float:
        """One token for each of so many answers."""
        reading_s, computing_s = self._parts_s(active, threads, clock)
        return reading_s + computing_s

    def tokens_per_s(self, active: int, threads: int, duty: float, clock: float = 1.0) -> float:
        """Tokens of all answers together."""
        return duty * active / self.step_s(active, threads, clock) if active else 0.0

    def busy_w(self, active: int, threads: int, clock: float = 1.0, volts: float = 1.0) -> float:
        """What computing adds to the heat, while it computes."""
        reading_s, computing_s = self._parts_s(active, threads, clock)
        share = (computing_s + _WAITING * reading_s) / (computing_s + reading_s)
        return (self.shared_w + threads * self.core_w * share) * clock * volts**2

    def idle_at(self, die_c: float) -> float:
        """Heat of the die at rest, in watts."""
        return self.idle_w * (1 + _LEAK_PER_C * (die_c - _LEAK_AT_C))

    def sink_at(self, die_c: float) -> float:
        """From the heat sink to the room, in K/W; a fan sees the die's temperature."""
        for above_c, k_per_w in self.sink_k_per_w:
            if die_c >= above_c:
                return k_per_w
        raise AssertionError("the last stage has no lower bound")

    def _parts_s(self, active: int, threads: int, clock: float) -> tuple[float, float]:
        slower = 1 + self.memory_follows * (1 / clock - 1)
        reading_s = self.weights_s / _BANDWIDTH[threads] * slower
        return reading_s, active * self.token_s * THREADS / threads / clock


# A 1.5 B model in 4 bits: some 9 tokens/s for one answer, and 55 read, on a Pi 5; a little more on
# the others.
_NO_FAN = -273.0

PI5_BARE = Board(
    name="Pi 5, bare",
    # 50 °C idle (beamostore.com, "Raspberry Pi 5 overheating"), 80 °C "within a few minutes" of
    # stress at 22 °C (pidiylab.com, "Raspberry Pi 5 cooling guide"), 81 °C on average and 89 °C at
    # the most in a suite of benchmarks (phoronix.com, "Raspberry Pi 5 benchmarks").
    die_k_per_w=3.0, die_j_per_k=1.0, sink_k_per_w=((_NO_FAN, 12.5),), sink_j_per_k=45.0,
    idle_w=1.9, shared_w=1.4, core_w=1.2,
    weights_s=0.095, token_s=0.018, memory_follows=0.5,
    # raspberrypi.com, "Frequency management": slowed progressively from 80 to 85 °C.
    trip_c=80.0, quantum_c=0.55, throttle="firmware",
    clocks=PI5_CLOCKS,
)  # fmt: skip

PI5_FAN = Board(
    name="Pi 5, Active Cooler",
    # 61 °C under stress (github.com/nschloe/stressberry, issue 139); the fan's steps at 50, 60,
    # 67.5 and 75 °C are those of the Pi 5's device tree.
    die_k_per_w=2.2, die_j_per_k=1.0,
    sink_k_per_w=((75.0, 1.6), (67.5, 1.9), (60.0, 2.4), (50.0, 3.2), (_NO_FAN, 6.0)),
    sink_j_per_k=60.0,
    idle_w=1.9, shared_w=1.4, core_w=1.2,
    weights_s=0.095, token_s=0.018, memory_follows=0.5,
    trip_c=80.0, quantum_c=0.55, throttle="firmware",
    clocks=PI5_CLOCKS,
)  # fmt: skip

RK3588_PASSIVE = Board(
    name="RK3588, passive",
    # 68 to 74 °C at 10 to 12 W of the whole module, 4 to 5 W at rest (turingpi.com, "RK1 compute
    # module benchmarks"). Trip at 85 °C and steps of 1 °C: rk3588s.dtsi and its review.
    die_k_per_w=1.0, die_j_per_k=2.5, sink_k_per_w=((_NO_FAN, 4.3),), sink_j_per_k=90.0,
    idle_w=2.2, shared_w=1.8, core_w=1.35,
    weights_s=0.070, token_s=0.014, memory_follows=0.3,
    trip_c=85.0, quantum_c=1.0, throttle="step_wise",
)  # fmt: skip

N100_FANLESS = Board(
    name="N100, fanless NAS",
    # 15 W sustained, as a maker has set it (forum.level1techs.com, 217362), 105 °C by Intel's data
    # sheet; the case is fitted so that this is just too much in a warm room. Slowed by heat, memory
    # slows too: 7-zip lost 28 % on such a board (github.com/geerlingguy/sbc-reviews, issue 64).
    die_k_per_w=1.3, die_j_per_k=3.0, sink_k_per_w=((_NO_FAN, 3.9),), sink_j_per_k=250.0,
    idle_w=3.0, shared_w=2.5, core_w=2.5,
    weights_s=0.060, token_s=0.013, memory_follows=1.0,
    trip_c=105.0, quantum_c=1.0, throttle="step_wise",
)  # fmt: skip

BOARDS = (PI5_BARE, PI5_FAN, RK3588_PASSIVE, N100_FANLESS)


class Plant:
    """One board, running.

    Attributes:
        room_c: Temperature around it.
        other_w: What other programs add to the heat of the die.
        slowed: By how many clocks it slows itself down.
    """

    def __init__(self, board: Board, room_c: float) -> None:
        """Start at rest, as warm as the board gets at rest in a room of ``room_c``."""
        self.board = board
        self.room_c = room_c
        self.other_w = 0.0
        self.slowed = 0
        self._random = Random(1)
        self._known: dict[tuple[int, int, int], tuple[float, float]] = {}
        self.sink_c = self.die_c = room_c
        for _ in range(200):
            idle_w = board.idle_at(self.die_c)
            self.sink_c = room_c + idle_w * board.sink_at(self.die_c)
            self.die_c = self.sink_c + idle_w * board.die_k_per_w
        self.reading_c = self._read()

    def run(self, active: int, threads: int, duty: float, cap: int = 0) -> float:
        """Run for one `STEP_S`, at no higher than the ``cap``th clock; return the tokens."""
        board = self.board
        busy_w, tokens_per_s = self._work(active, threads, max(cap, self.slowed))
        heat_w = board.idle_at(self.die_c) + self.other_w + duty * busy_w
        up_w = (self.die_c - self.sink_c) / board.die_k_per_w
        out_w = (self.sink_c - self.room_c) / board.sink_at(self.die_c)
        self.die_c += STEP_S * (heat_w - up_w) / board.die_j_per_k
        self.sink_c += STEP_S * (up_w - out_w) / board.sink_j_per_k
        before_c, self.reading_c = self.reading_c, self._read()
        self._slow_down(before_c)
        return STEP_S * duty * tokens_per_s

    def _work(self, active: int, threads: int, slowed: int) -> tuple[float, float]:
        """Heat and tokens of computing all the time; looked up, for it is asked 30,000 times."""
        key = (active, threads, slowed)
        if key not in self._known:
            clock, volts = self.board.clocks[slowed]
            busy_w = self.board.busy_w(active, threads, clock, volts) if active else 0.0
            self._known[key] = busy_w, self.board.tokens_per_s(active, threads, 1.0, clock)
        return self._known[key]

    def _read(self) -> float:
        shown_c = self.die_c + self._random.uniform(-JITTER_C, JITTER_C)
        return shown_c // self.board.quantum_c * self.board.quantum_c

    def _slow_down(self, before_c: float) -> None:
        """Do as the kernel or the firmware does; see Linux, drivers/thermal/gov_step_wise.c."""
        slowest, trip_c = len(self.board.clocks) - 1, self.board.trip_c
        if self.board.throttle == "firmware":
            wanted = -int(-(self.reading_c - trip_c) // (5.0 / slowest))
            wanted = max(0, min(slowest, wanted))
            self.slowed += (wanted > self.slowed) - (wanted < self.slowed)
        elif self.reading_c >= trip_c and self.reading_c > before_c:
            self.slowed = min(self.slowed + 1, slowest)
        elif self.reading_c < trip_c and self.reading_c < before_c:
            self.slowed = max(self.slowed - 1, 0)
