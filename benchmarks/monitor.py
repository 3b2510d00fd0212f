"""What watching the board costs: one reading a second, as a share of one core.

Run as ``python -m benchmarks.monitor``; exit code 1 if it is more than promised. The boards are
folders that stand for them; the last row reads the kernel's own files. Kind: hands.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

from inglenook.governor.probes import Probes
from tests.parts.board import amd_nas, intel_nas, pi_4, pi_5, rk3588_mainline, rk3588_vendor

#: Of one core, at one reading a second.
_SHARE_MAX = 0.002

#: Between two looks for files; the governor's own.
_READINGS_PER_LOOK = 60


def main() -> int:
    """Measure every board, and print a line for each."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.monitor")
    parser.add_argument("--readings", type=int, default=600, help="of each board; 600")
    readings = parser.parse_args().readings
    print(f"{'board':20} {'a reading':>10} {'looking':>10} {'of one core':>12}")
    shares = []
    for make in (pi_4, pi_5, rk3588_mainline, rk3588_vendor, intel_nas, amd_nas):
        with tempfile.TemporaryDirectory() as folder:
            make(Path(folder))
            shares.append(_measure(make.__name__, Path(folder), readings))
    shares.append(_measure("this machine", Path("/"), readings))
    return 0 if max(shares) <= _SHARE_MAX else 1


def _measure(name: str, root: Path, readings: int) -> float:
    """Print what a board costs, and return its share."""
    now = 0.0
    probes = Probes(root, os.getpid, lambda: now)
    plain_s: list[float] = []
    looking_s: list[float] = []
    for number in range(readings):
        # thread_time is the processor's: other programs do not count.
        before_s = time.thread_time()
        probes.read()
        times_s = plain_s if number % _READINGS_PER_LOOK else looking_s
        times_s.append(time.thread_time() - before_s)
        now += 1.0
    share = (sum(plain_s) + sum(looking_s)) / readings
    plain_ms, looking_ms = statistics.mean(plain_s) * 1e3, statistics.mean(looking_s) * 1e3
    print(f"{name:20} {plain_ms:7.3f} ms {looking_ms:7.3f} ms {share:11.3%}")
    return share


if __name__ == "__main__":
    sys.exit(main())
