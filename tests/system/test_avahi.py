from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.parts.avahi import Seen, avahi, browse, resolve
from tests.parts.netns import Machine, stop, wait_for
from tests.system.conftest import BoxProgram

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]

# Probing and announcing take 2.5 s, a network change settles for 2 s; slow boards get the rest.
FOUND_S = 30.0
# The program promises five seconds. A goodbye is kept for one of them (RFC 6762 section 10.1), and
# each look takes another; without one the box would be listed for two minutes.
GONE_S = 5.0
STOP_S = 5.0

HOLD_PORT_5353 = """
import signal, socket
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
    taken.bind(("", 5353))
    signal.pause()
"""

FIND = """
import asyncio
from inglenook.discovery.browse import find_boxes
for found in asyncio.run(find_boxes(10, until=lambda found: len(found.box.addresses) == 2)):
    print(found.box.name, found.url, *found.box.addresses)
"""


def test_a_phone_sees_name_address_port_and_txt(
    box: Machine, phone: Machine, program: BoxProgram, tmp_path: Path
) -> None:
    """Over IPv4 and over IPv6, with nothing typed; the host name resolves to both addresses."""
    box.connect()
    with box.running(*program.command, log=tmp_path / "box.log"):
        for entry in wait_for("the box", lambda: over_both(phone), timeout_s=FOUND_S):
            assert entry.name == program.name
            assert entry.host_name == program.host_name
            assert entry.address in {box.ipv4, box.ipv6}
            assert entry.port == program.port
            assert entry.txt == program.txt
        assert resolve(phone, program.host_name, family=4) == box.ipv4
        assert resolve(phone, program.host_name, family=6) == box.ipv6


def test_a_phone_sees_nothing_after_a_clean_stop(
    box: Machine, phone: Machine, program: BoxProgram, tmp_path: Path
) -> None:
    """SIGTERM, goodbye, gone: no list on any phone names a box that is switched off."""
    box.connect()
    with box.running(*program.command, log=tmp_path / "box.log") as process:
        wait_for("the box", lambda: over_both(phone), timeout_s=FOUND_S)
        assert stop(process, timeout_s=STOP_S) == 0
        wait_for("an empty list", lambda: not browse(phone), timeout_s=GONE_S)


def test_a_box_with_avahi_of_its_own_is_found_too(
    box: Machine, phone: Machine, program: BoxProgram, tmp_path: Path
) -> None:
    """Raspberry Pi OS runs Avahi; both answer on port 5353, each for its own names."""
    box.connect()
    with avahi(box, tmp_path), box.running(*program.command, log=tmp_path / "box.log"):
        wait_for("the box", lambda: over_both(phone), timeout_s=FOUND_S)
        assert resolve(phone, program.host_name, family=4) == box.ipv4
        assert resolve(phone, f"{box.name}.local", family=4) == box.ipv4


def test_a_new_address_is_announced(
    box: Machine, phone: Machine, program: BoxProgram, tmp_path: Path
) -> None:
    """A router that hands out another address does not lose the box."""
    box.connect()
    with box.running(*program.command, log=tmp_path / "box.log"):
        wait_for("the box", lambda: over_both(phone), timeout_s=FOUND_S)
        box.run("ip", "address", "delete", f"{box.ipv4}/24", "dev", "lan0")
        box.run("ip", "address", "add", "10.77.0.99/24", "dev", "lan0")
        wait_for(
            "the new address",
            lambda: resolve(phone, program.host_name, family=4) == "10.77.0.99",
            timeout_s=FOUND_S,
        )


def test_a_cable_plugged_in_later_is_noticed(
    box: Machine, phone: Machine, program: BoxProgram, tmp_path: Path
) -> None:
    """With loopback alone the program goes on and says why it is not announced."""
    log = tmp_path / "box.log"
    with box.running(*program.command, log=log) as process:
        wait_for("a state", lambda: "no network interface" in log.read_text(), timeout_s=FOUND_S)
        assert process.poll() is None
        box.connect()
        wait_for("the box", lambda: over_both(phone), timeout_s=FOUND_S)


def test_a_taken_port_is_a_warning_until_it_is_free(
    box: Machine, phone: Machine, program: BoxProgram, tmp_path: Path
) -> None:
    """The program goes on, and is announced at the next network change once the port is free."""
    box.connect()
    log = tmp_path / "box.log"
    with box.running(sys.executable, "-c", HOLD_PORT_5353, log=tmp_path / "holder.log") as holder:
        wait_for(
            "the port taken", lambda: box.run("ss", "-Hlun", "sport = :5353"), timeout_s=FOUND_S
        )
        with box.running(*program.command, log=log) as process:
            wait_for("a state", lambda: "holds UDP port 5353" in log.read_text(), timeout_s=FOUND_S)
            assert process.poll() is None
            stop(holder)
            box.run("ip", "address", "add", "10.77.0.99/24", "dev", "lan0")
            wait_for("the box", lambda: over_both(phone), timeout_s=FOUND_S)


def test_find_lists_a_box_beside_avahi(
    box: Machine, phone: Machine, program: BoxProgram, tmp_path: Path
) -> None:
    """`inglenook find` on a machine whose port 5353 Avahi uses: IPv4 first, then IPv6."""
    box.connect()
    with box.running(*program.command, log=tmp_path / "box.log"):
        wait_for("the box", lambda: over_both(phone), timeout_s=FOUND_S)
        assert phone.run(sys.executable, "-c", FIND).splitlines() == [
            f"{program.name} http://{box.ipv4}:{program.port} {box.ipv4} {box.ipv6}"
        ]


def over_both(phone: Machine) -> list[Seen]:
    """Give what the phone sees once it has resolved it over IPv4 and over IPv6."""
    seen = browse(phone)
    return seen if {entry.transport for entry in seen} == {"IPv4", "IPv6"} else []
