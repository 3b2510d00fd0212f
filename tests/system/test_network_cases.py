"""Networks and names that are out of the ordinary, and in which a box is found all the same."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from tests.parts.avahi import avahi, browse
from tests.parts.lans import Lans, lans
from tests.parts.netns import Machine, wait_for

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]

FOUND_S = 150.0

#: As their owners have them, and as the network does where that differs.
NAMES = {
    "厨房": "厨房",
    "Anna's Küche": "Anna's Küche",
    "Box v2.0": "Box v2\u20240",
    ".hidden": "\u2024hidden",
    'a"b<c>& \\ ;': 'a"b<c>& \\ ;',
    "🏠" * 20: "🏠" * 15,
}


@pytest.fixture
def net(tmp_path: Path) -> Iterator[Lans]:
    """Give one network, with a phone that looks for boxes."""
    with lans("one") as made:
        yield made


@pytest.fixture
def phone(net: Lans, tmp_path: Path) -> Iterator[Machine]:
    """Give the phone; it has IPv6 as well, by itself."""
    phone = net.machine("phone")
    net.plug(phone, "lan0", "one", "10.88.0.4/24")
    with avahi(phone, tmp_path / "phone"):
        yield phone


def program(name: str, box_id: str, port: int = 8377) -> list[str]:
    """The program that announces a box."""
    return [sys.executable, "-m", "tests.parts.announce_box", name, box_id, str(port)]


def is_ready(log: Path) -> bool:
    """Whether a box says that it is announced."""
    return "ready" in log.read_text()


def seen_at(phone: Machine) -> set[str]:
    """Where a phone sees boxes."""
    return {seen.address for seen in browse(phone)}


def test_boxes_of_odd_names_are_all_found(net: Lans, phone: Machine, tmp_path: Path) -> None:
    """Whatever language, sign or length."""
    box = net.machine("box")
    net.plug(box, "lan0", "one", "10.88.0.3/24")
    with ExitStack() as stack:
        for number, name in enumerate(NAMES):
            command = program(name, f"0000000{number}", 8377 + number)
            stack.enter_context(box.running(*command, log=tmp_path / f"{number}.log"))
        wait_for(
            "all of them",
            lambda: {seen.name for seen in browse(phone)} == set(NAMES.values()),
            timeout_s=FOUND_S,
        )


def test_a_network_with_nothing_but_link_local_ipv6(
    net: Lans, phone: Machine, tmp_path: Path
) -> None:
    """No router, no DHCP: the kernel's own addresses are enough."""
    box = net.machine("box")
    net.plug(box, "lan0", "one")
    with box.running(*program("Kitchen", "11111111"), log=tmp_path / "box.log"):
        wait_for("the box", lambda: seen_at(phone), timeout_s=FOUND_S)
        assert all(address.startswith("fe80:") for address in seen_at(phone))


def test_an_address_that_comes_late_is_announced(net: Lans, phone: Machine, tmp_path: Path) -> None:
    """A DHCP server that is slower than the box; the link has been up all the time."""
    box = net.machine("box")
    net.plug(box, "lan0", "one")
    log = tmp_path / "box.log"
    with box.running(*program("Kitchen", "11111111"), log=log):
        wait_for("a start", lambda: "ready" in log.read_text(), timeout_s=FOUND_S)
        box.run("ip", "address", "add", "10.88.0.3/24", "dev", "lan0")
        wait_for("its address", lambda: "10.88.0.3" in seen_at(phone), timeout_s=FOUND_S)


def test_a_cable_that_was_out_for_a_moment(net: Lans, phone: Machine, tmp_path: Path) -> None:
    """The box keeps its names, and is announced anew: whoever came meanwhile has not heard it."""
    box = net.machine("box")
    net.plug(box, "lan0", "one", "10.88.0.3/24")
    log = tmp_path / "box.log"
    with box.running(*program("Kitchen", "11111111"), log=log):
        wait_for("the box", lambda: seen_at(phone), timeout_s=FOUND_S)
        box.run("ip", "link", "set", "lan0", "down")
        wait_for("a word", lambda: "plug in a cable" in log.read_text(), timeout_s=FOUND_S)
        box.run("ip", "link", "set", "lan0", "up")
        wait_for("the box", lambda: log.read_text().count("ready") == 2, timeout_s=FOUND_S)
        wait_for("the box", lambda: "10.88.0.3" in seen_at(phone), timeout_s=FOUND_S)
        assert {seen.name for seen in browse(phone)} == {"Kitchen"}


def test_a_box_that_was_killed_has_its_names_again(
    net: Lans, phone: Machine, tmp_path: Path
) -> None:
    """Phones still have its records of before, which are its own."""
    box = net.machine("box")
    net.plug(box, "lan0", "one", "10.88.0.3/24")
    for life in range(2):
        log = tmp_path / f"{life}.log"
        with box.running(*program("Kitchen", "11111111"), log=log) as process:
            wait_for("a start", partial(is_ready, log), timeout_s=FOUND_S)
            assert 'announced as "Kitchen" (kitchen-1111.local)' in log.read_text()
            wait_for("the box", lambda: seen_at(phone), timeout_s=FOUND_S)
            process.kill()
            process.wait()
