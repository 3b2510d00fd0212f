"""Machines on several networks: namespaces plugged into switches, for tests that need root."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator

from tests.parts.netns import COMMAND_S, Machine, lone_machine


class Lans:
    """Switches that are joined by nothing, and machines to plug into them."""

    def __init__(self, rack: Machine, stack: contextlib.ExitStack) -> None:
        self._rack = rack
        self._stack = stack
        self._cables = 0

    def switch(self, name: str) -> None:
        """Put up a switch that forwards everything at once."""
        self._rack.run("ip", "link", "add", name, "type", "bridge", "mcast_snooping", "0")
        self._rack.run("ip", "link", "set", name, "up")

    def machine(self, name: str) -> Machine:
        """Put up a machine."""
        return self._stack.enter_context(lone_machine(name))

    def plug(self, machine: Machine, interface: str, switch: str, *addresses: str) -> None:
        """Lay a cable from a machine to a switch, and give its end these addresses.

        Args:
            machine: Whose end it is.
            interface: What that is called.
            switch: Where the other end is.
            addresses: With their prefix lengths; none leaves what the kernel gives by itself.
        """
        self._cables += 1
        port = f"port{self._cables}"
        ends = [interface, "netns", str(machine.pid), "type", "veth", "peer", "name", port]
        subprocess.run(
            ["ip", "link", "add", *ends, "netns", str(self._rack.pid)],
            check=True,
            timeout=COMMAND_S,
        )
        # Without waiting for duplicate address detection: no address is given twice here.
        machine.run("sysctl", "--quiet", "--write", f"net.ipv6.conf.{interface}.accept_dad=0")
        for address in addresses:
            nodad = ["nodad"] if ":" in address else []
            machine.run("ip", "address", "add", address, "dev", interface, *nodad)
        self._rack.run("ip", "link", "set", port, "master", switch, "up")
        machine.run("ip", "link", "set", interface, "up")

    def join(self, one: str, other: str) -> None:
        """Connect two switches: no machine notices anything at its own end."""
        self._rack.run("ip", "link", "add", "trunk0", "type", "veth", "peer", "name", "trunk1")
        self._rack.run("ip", "link", "set", "trunk0", "master", one, "up")
        self._rack.run("ip", "link", "set", "trunk1", "master", other, "up")


@contextlib.contextmanager
def lans(*switches: str) -> Iterator[Lans]:
    """Make these switches, with nothing plugged in yet."""
    with contextlib.ExitStack() as stack:
        made = Lans(stack.enter_context(lone_machine("rack")), stack)
        for name in switches:
            made.switch(name)
        yield made
