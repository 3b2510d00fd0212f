"""Two machines on one cable: network namespaces joined by a veth pair, for tests that need root.

Nothing is named and nothing outlives its test: a namespace exists as long as a process in it does,
and every process started here is killed by the kernel when the test run ends, however it ends.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

# What comes, comes sooner; a machine that others use at the same time takes its time.
START_S = 30.0
COMMAND_S = 60.0
STOP_S = 30.0
POLL_S = 0.05

# Fresh mounts, so that /sys shows the namespace's own interfaces and /run nobody else's sockets.
_INSIDE = """
mount -t sysfs sysfs /sys
mount -t tmpfs tmpfs /run
ip link set lo up
echo ready
exec sleep infinity
"""


@dataclass(frozen=True, slots=True)
class Machine:
    """One namespace, named after what stands in it, with the process that keeps it alive."""

    name: str
    pid: int
    ipv4: str
    ipv6: str

    def command(self, *command: str) -> list[str]:
        """Wrap a command so that it runs in here and dies with the test run."""
        enter = ["nsenter", f"--target={self.pid}", "--net", "--mount", f"--wdns={Path.cwd()}"]
        return ["setpriv", "--pdeathsig", "KILL", *enter, *command]

    def run(self, *command: str) -> str:
        """Run a command to its end and return its stdout; a failure shows its stderr."""
        done = subprocess.run(
            self.command(*command), capture_output=True, text=True, timeout=COMMAND_S, check=False
        )
        assert done.returncode == 0, f"{' '.join(command)} in {self.name}: {done.stderr}"
        return done.stdout

    @contextlib.contextmanager
    def running(self, *command: str, log: Path) -> Iterator[subprocess.Popen[bytes]]:
        """Keep a program running in here, its output in ``log``; ends it with SIGTERM."""
        with log.open("wb") as output:
            process = subprocess.Popen(
                self.command(*command),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            yield process
        finally:
            stop(process)

    def connect(self) -> None:
        """Give the cable's end its addresses and bring it up."""
        # Without waiting for duplicate address detection: there is nobody else on this cable.
        self.run("sysctl", "--quiet", "--write", "net.ipv6.conf.lan0.accept_dad=0")
        self.run("ip", "address", "add", f"{self.ipv4}/24", "dev", "lan0")
        self.run("ip", "address", "add", f"{self.ipv6}/64", "dev", "lan0", "nodad")
        self.run("ip", "link", "set", "lan0", "up")


@contextlib.contextmanager
def box_and_phone() -> Iterator[tuple[Machine, Machine]]:
    """Make two machines whose interfaces ``lan0`` are joined by a cable, both ends still down."""
    with contextlib.ExitStack() as stack:
        box = Machine("box", stack.enter_context(_namespace()), "10.77.0.1", "fd77::1")
        phone = Machine("phone", stack.enter_context(_namespace()), "10.77.0.2", "fd77::2")
        ends = ["lan0", "netns", str(box.pid), "type", "veth", "peer", "name", "lan0"]
        subprocess.run(
            ["ip", "link", "add", *ends, "netns", str(phone.pid)], check=True, timeout=COMMAND_S
        )
        yield box, phone


@contextlib.contextmanager
def lone_machine(name: str) -> Iterator[Machine]:
    """Make a machine without any cable."""
    with _namespace() as pid:
        yield Machine(name, pid, "", "")


def missing(*programs: str) -> str:
    """Say which programs are not installed, or that this is not root; empty if all is there."""
    if os.geteuid() != 0:
        return "these tests make network namespaces and need root"
    absent = [program for program in programs if shutil.which(program) is None]
    return f"not installed: {', '.join(absent)}" if absent else ""


def wait_for(what: str, look: Callable[[], T], *, timeout_s: float) -> T:
    """Look again and again until there is something to see, and return it."""
    deadline_s = time.monotonic() + timeout_s
    while not (seen := look()):
        assert time.monotonic() < deadline_s, f"not within {timeout_s} s: {what}"
        time.sleep(POLL_S)
    return seen


def stop(process: subprocess.Popen[bytes], *, timeout_s: float = STOP_S) -> int:
    """End a program with SIGTERM and return its exit status; one that does not end is killed."""
    process.terminate()
    try:
        return process.wait(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise


@contextlib.contextmanager
def _namespace() -> Iterator[int]:
    """Hold an empty network namespace and a mount namespace; gives the process that is in them."""
    inside = ["unshare", "--net", "--mount", "--propagation=private", "sh", "-ec", _INSIDE]
    with subprocess.Popen(
        ["setpriv", "--pdeathsig", "KILL", *inside], stdout=subprocess.PIPE, text=True
    ) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "ready\n", "no network namespace could be made"
            yield holder.pid
        finally:
            holder.kill()
