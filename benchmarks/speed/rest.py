"""What a box costs that nobody asks: its memory, and its part of a core. Kind: hands."""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from benchmarks.guests import guests
from benchmarks.household import House, free_port
from benchmarks.speed.result import Bench, Ledger, Result
from benchmarks.speed.servers import daemon

PHONES = 20

#: Long enough for whatever is done once a minute.
WINDOW_S = 60.0

#: What a change of level sets off is over by then.
_SETTLE_S = 5.0

_UNLOAD_AFTER_S = 5
_MEMORY_MAX_MB, _SHARE_MAX_PERCENT = 60, 0.3

_ASLEEP, _LOADED = "unloaded (L2)", "loaded (L1)"
_MEMORY = "daemon's memory"
_ALONE, _WITH = f"{_MEMORY}, nobody connected", f"{_MEMORY}, {PHONES} phones"
_SHARE = f"daemon's part of a core, {PHONES} phones"
_WAKEUPS = f"daemon's wake-ups, {PHONES} phones"
_ENGINE_SHARE = "engine's part of a core"


@dataclass(frozen=True, slots=True)
class _Cost:
    """Of one process over a while.

    Attributes:
        memory_mb: Resident at the end, millions of bytes.
        percent: Of one core.
        wakeups: How often any of its threads had waited, a second.
    """

    memory_mb: float
    percent: float
    wakeups: float


def rest(bench: Bench) -> Result:
    """Memory and processor time of a box at rest, with its model unloaded and loaded."""
    ledger = Ledger()
    for column, unload_after in ((_ASLEEP, f"{_UNLOAD_AFTER_S}s"), (_LOADED, "0")):
        tls_port = free_port()
        settings: dict[str, Mapping[str, Any]] = {
            "power": {"unload_after": unload_after},
            "listen": {"tls_port": tls_port},
            "governor": {"enabled": True, "root": "/"},
            "discovery": {"enabled": True},
            "wake": {"udp_port": free_port(socket.SOCK_DGRAM)},
        }
        with daemon(bench.setting, **settings) as house:
            _measure(ledger, bench, house, column, f"https://127.0.0.1:{tls_port}")
    for row in (_ALONE, _WITH):
        ledger.claim(f"{row}, {_ASLEEP}, MB", (row, _ASLEEP), at_most=_MEMORY_MAX_MB)
    for column in (_ASLEEP, _LOADED):
        ledger.claim(f"{_SHARE}, {column}, %", (_SHARE, column), at_most=_SHARE_MAX_PERCENT)
    return ledger.result("at rest", bench.setting)


def _measure(ledger: Ledger, bench: Bench, house: House, column: str, tls_url: str) -> None:
    if column == _ASLEEP:
        house.wait_asleep()
    time.sleep(_SETTLE_S)
    memory_mb = psutil.Process(house.pid).memory_info().rss / 1e6
    ledger.note(_ALONE, column, "MB", memory_mb)
    with guests(house, tls_url, PHONES):
        # Whoever comes in brings the model back.
        engine = house.engine_pid()
        if column == _ASLEEP:
            house.wait_asleep()
        time.sleep(_SETTLE_S)
        for number in range(bench.rounds):
            bench.say(f"at rest, {column}, minute {number + 1}")
            pids = [house.pid] if column == _ASLEEP else [house.pid, engine]
            cost, *engines = _watch(pids)
            ledger.note(_WITH, column, "MB", cost.memory_mb)
            ledger.note(_SHARE, column, "%", cost.percent)
            ledger.note(_WAKEUPS, column, "a second", cost.wakeups)
            for other in engines:
                ledger.note(_ENGINE_SHARE, column, "%", other.percent)


def _watch(pids: list[int]) -> list[_Cost]:
    """See what processes cost while nothing is asked of them."""
    processes = [psutil.Process(pid) for pid in pids]
    before = [(_cpu_s(process), _wakeups(process)) for process in processes]
    began_s = time.monotonic()
    time.sleep(WINDOW_S)
    duration_s = time.monotonic() - began_s
    return [
        _Cost(
            process.memory_info().rss / 1e6,
            100 * (_cpu_s(process) - cpu_s) / duration_s,
            (_wakeups(process) - wakeups) / duration_s,
        )
        for process, (cpu_s, wakeups) in zip(processes, before, strict=True)
    ]


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


def _wakeups(process: psutil.Process) -> int:
    """How often its threads have waited for something so far; see proc(5)."""
    count = 0
    for status in Path(f"/proc/{process.pid}/task").glob("*/status"):
        lines = status.read_text().splitlines()
        count += sum(int(n.split()[1]) for n in lines if n.startswith("voluntary_ctxt"))
    return count
