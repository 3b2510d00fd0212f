"""A box's addresses and names where there is more than one network, or more than one box."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from pathlib import Path

import pytest

from tests.parts.avahi import Seen, avahi, browse, resolve
from tests.parts.lans import Lans, lans
from tests.parts.mdns_ear import Said, heard
from tests.parts.netns import Machine, stop, wait_for

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]

#: What comes, comes within some 5 s; a machine that others use takes its time, and what a phone
#: knows already is true to it for two minutes.
FOUND_S = 150.0
TYPE_A, TYPE_PTR = 1, 12

Running = AbstractContextManager[subprocess.Popen[bytes]]


@pytest.fixture
def net(tmp_path: Path) -> Iterator[Lans]:
    """Give two networks that are not joined."""
    with lans("one", "two") as made:
        yield made


def announcing(
    machine: Machine, log: Path, *, name: str = "Kitchen", box_id: str, folder: Path | None = None
) -> Running:
    """Run a box on a machine; it keeps its names in ``folder``."""
    kept = [] if folder is None else [str(folder)]
    program = [sys.executable, "-m", "tests.parts.announce_box", name, box_id, "8377", *kept]
    return machine.running(*program, log=log)


def claiming(machine: Machine, log: Path, name: str, host: str, address: str) -> Running:
    """Run what uses names without asking for them."""
    program = [sys.executable, "-m", "tests.parts.claim_box", name, host, address, "8377"]
    return machine.running(*program, log=log)


@contextmanager
def listening(
    machine: Machine, log: Path, interface: str = "lan0"
) -> Iterator[Callable[[], list[Said]]]:
    """Write down all that is said on a link; gives what reads it."""
    program = [sys.executable, "-m", "tests.parts.mdns_ear", interface]
    with machine.running(*program, log=log):
        wait_for("the ear", log.read_text, timeout_s=FOUND_S)
        yield lambda: heard(log)


def last_line(log: Path) -> str:
    """Give the state that a box wrote last; empty if it wrote none."""
    return ([""] + [line for line in log.read_text().splitlines() if "announced" in line])[-1]


def called(log: Path) -> tuple[str, str]:
    """Give the name and host name in that line; empty where it is not announced."""
    line = last_line(log)
    if "announced as" not in line:
        return ("", "")
    return (
        line.partition('"')[2].partition('"')[0],
        line.partition("(")[2].partition(".local)")[0],
    )


def name_in(log: Path) -> str:
    """Give the name alone."""
    return called(log)[0]


def wait_called(log: Path, *names: tuple[str, str]) -> tuple[str, str]:
    """Wait until a box says that it is announced by one of these names."""
    wait_for(f"a box called {names}", lambda: called(log) in names, timeout_s=FOUND_S)
    return called(log)


def over_both(phone: Machine) -> list[Seen]:
    """Give what a phone sees once it has resolved it over IPv4 and over IPv6."""
    seen = browse(phone)
    return seen if {entry.transport for entry in seen} == {"IPv4", "IPv6"} else []


def found(phone: Machine) -> dict[str, Seen]:
    """Give what a phone sees over IPv4, by name."""
    return {seen.name: seen for seen in browse(phone) if seen.transport == "IPv4"}


def test_each_network_hears_the_addresses_that_it_can_reach(net: Lans, tmp_path: Path) -> None:
    """A phone on one of them is not sent to the other (RFC 6762 section 6.2)."""
    box, left, right = (net.machine(name) for name in ("box", "left", "right"))
    net.plug(box, "lan0", "one", "10.88.0.3/24", "fd88::3/64")
    net.plug(box, "lan1", "two", "10.77.0.33/24", "fd77::33/64")
    net.plug(left, "lan0", "one", "10.88.0.4/24", "fd88::4/64")
    net.plug(right, "lan0", "two", "10.77.0.4/24", "fd77::4/64")
    log = tmp_path / "box.log"
    reachable = {left: {"10.88.0.3", "fd88::3"}, right: {"10.77.0.33", "fd77::33"}}
    with (
        avahi(left, tmp_path / "left"),
        avahi(right, tmp_path / "right"),
        listening(left, tmp_path / "left.log") as left_hears,
        listening(right, tmp_path / "right.log") as right_hears,
        announcing(box, log, box_id="22222222"),
    ):
        wait_called(log, ("Kitchen", "kitchen-2222"))
        for phone, own in reachable.items():
            seen = wait_for("the box", partial(over_both, phone), timeout_s=FOUND_S)
            assert {entry.address for entry in seen} <= own
            assert resolve(phone, "kitchen-2222.local", family=4) in own
            assert resolve(phone, "kitchen-2222.local", family=6) in own
        for hears, own in ((left_hears, reachable[left]), (right_hears, reachable[right])):
            said = {record.data for record in hears() if record.name == "kitchen-2222.local."}
            assert said - {"-"} == own


def test_a_link_that_has_only_a_link_local_address_hears_that(net: Lans, tmp_path: Path) -> None:
    """A box cabled directly to a laptop is found there, though it is in the Wi-Fi as well."""
    box, laptop = net.machine("box"), net.machine("laptop")
    net.plug(box, "lan0", "one", "10.88.0.3/24")
    net.plug(box, "lan1", "two", "169.254.3.4/16")
    net.plug(laptop, "lan0", "two", "169.254.7.8/16")
    log = tmp_path / "box.log"
    with avahi(laptop, tmp_path / "laptop"), announcing(box, log, box_id="22222222"):
        wait_called(log, ("Kitchen", "kitchen-2222"))
        wait_for("the box", lambda: found(laptop), timeout_s=FOUND_S)
        assert {seen.address for seen in found(laptop).values()} == {"169.254.3.4"}


def test_two_cards_in_one_network_say_the_same(net: Lans, tmp_path: Path) -> None:
    """Cable and Wi-Fi: if each named only itself, a phone would forget the one for the other."""
    box, phone = net.machine("box"), net.machine("phone")
    net.plug(box, "lan0", "one", "10.88.0.3/24")
    net.plug(box, "lan1", "one", "10.88.0.33/24")
    net.plug(phone, "lan0", "one", "10.88.0.4/24")
    log = tmp_path / "box.log"
    with listening(phone, tmp_path / "phone.log") as hears, announcing(box, log, box_id="22222222"):
        wait_called(log, ("Kitchen", "kitchen-2222"))
        for sender in ("10.88.0.3", "10.88.0.33"):
            said = {r.data for r in hears() if r.type == TYPE_A and r.sender == sender}
            assert said == {"10.88.0.3", "10.88.0.33"}


def test_a_box_behind_a_reflector_keeps_its_names_after_a_kill(net: Lans, tmp_path: Path) -> None:
    """A router that repeats mDNS tells it of its life before, at an address it no longer has."""
    box, router, phone = (net.machine(name) for name in ("box", "router", "phone"))
    for number, switch in enumerate(("one", "two")):
        net.plug(box, f"lan{number}", switch, f"10.{number}.0.33/24", f"fd0{number}::33/64")
        net.plug(router, f"lan{number}", switch, f"10.{number}.0.1/24", f"fd0{number}::1/64")
    net.plug(phone, "lan0", "one", "10.0.0.4/24", "fd00::4/64")
    names = ("Kitchen", "kitchen-2222")
    kept = tmp_path / "kept"
    kept.mkdir()
    with (
        avahi(router, tmp_path / "router", interfaces="lan0,lan1", reflects=True),
        avahi(phone, tmp_path / "phone"),
    ):
        for life in range(3):
            log = tmp_path / f"box{life}.log"
            with announcing(box, log, box_id="22222222", folder=kept) as process:
                wait_called(
                    log, names, ("Kitchen-2", "kitchen-2222"), ("Kitchen", "kitchen-2222-2")
                )
                assert called(log) == names, f"in life {life}"
                wait_for("the box", lambda: found(phone), timeout_s=FOUND_S)
                process.send_signal(signal.SIGKILL)
                process.wait()
            box.run("ip", "address", "delete", f"10.1.0.{33 + life}/24", "dev", "lan1")
            box.run("ip", "address", "add", f"10.1.0.{34 + life}/24", "dev", "lan1")


def test_boxes_that_come_to_hear_each_other_later_end_with_two_names(
    net: Lans, tmp_path: Path
) -> None:
    """A switch that forwards late, or a cable between two: neither box notices at its own end."""
    one, two, phone = (net.machine(name) for name in ("box-one", "box-two", "phone"))
    net.plug(one, "lan0", "one", "10.88.0.3/24")
    net.plug(two, "lan0", "two", "10.88.0.33/24")
    net.plug(phone, "lan0", "one", "10.88.0.4/24")
    logs = tmp_path / "one.log", tmp_path / "two.log"
    with (
        announcing(one, logs[0], box_id="11111111"),
        announcing(two, logs[1], box_id="22222222"),
    ):
        wait_called(logs[0], ("Kitchen", "kitchen-1111"))
        wait_called(logs[1], ("Kitchen", "kitchen-2222"))
        net.join("one", "two")
        # Whoever knows one Kitchen already asks for no other until that is two minutes old.
        with avahi(phone, tmp_path / "phone"):
            wait_for_two(phone, logs, {"10.88.0.3", "10.88.0.33"})


def test_a_box_asks_anew_on_a_network_it_comes_to(net: Lans, tmp_path: Path) -> None:
    """A second cable into the network of a box of the same name."""
    one, two, phone = (net.machine(name) for name in ("box-one", "box-two", "phone"))
    net.plug(one, "lan0", "one", "10.88.0.3/24")
    net.plug(two, "lan0", "two", "10.77.0.33/24")
    net.plug(phone, "lan0", "one", "10.88.0.4/24")
    logs = tmp_path / "one.log", tmp_path / "two.log"
    with (
        avahi(phone, tmp_path / "phone"),
        announcing(one, logs[0], box_id="11111111"),
        announcing(two, logs[1], box_id="22222222"),
    ):
        wait_called(logs[0], ("Kitchen", "kitchen-1111"))
        wait_called(logs[1], ("Kitchen", "kitchen-2222"))
        net.plug(two, "lan1", "one", "10.88.0.33/24")
        wait_for_two(phone, logs, {"10.88.0.3", "10.88.0.33"})


def wait_for_two(phone: Machine, logs: tuple[Path, Path], addresses: set[str]) -> None:
    """Wait until a phone sees two boxes by two names at these addresses, and they say so, too."""

    def both() -> bool:
        seen = found(phone)
        names = {called(log)[0] for log in logs}
        return names == {"Kitchen", "Kitchen-2"} == set(seen) and addresses == {
            box.address for box in seen.values()
        }

    wait_for("two boxes by two names", both, timeout_s=FOUND_S)


def test_a_stranger_that_never_gives_way_is_given_way_to(net: Lans, tmp_path: Path) -> None:
    """By its own rules it might stay for ever; the host name is looked after as well."""
    box, other, phone = (net.machine(name) for name in ("box", "other", "phone"))
    net.plug(box, "lan0", "one", "10.88.0.33/24")
    net.plug(other, "lan0", "one", "10.88.0.3/24")
    net.plug(phone, "lan0", "one", "10.88.0.4/24")
    log = tmp_path / "box.log"
    with avahi(phone, tmp_path / "phone"), announcing(box, log, box_id="22222222"):
        wait_called(log, ("Kitchen", "kitchen-2222"))
        with claiming(other, tmp_path / "other.log", "Kitchen", "kitchen-2222", "10.88.0.3"):

            def given_way() -> bool:
                browse(phone)  # somebody has to ask, for anybody to speak
                return called(log) == ("Kitchen-2", "kitchen-2222-2")

            wait_for("another name", given_way, timeout_s=FOUND_S)
            assert resolve(phone, "kitchen-2222-2.local", family=4) == "10.88.0.33"


def test_an_old_address_is_taken_back_before_the_new_one_is_told(net: Lans, tmp_path: Path) -> None:
    """Told again, or less than a second before, a phone would try it for two minutes."""
    box, phone = net.machine("box"), net.machine("phone")
    net.plug(box, "lan0", "one", "10.77.0.1/24", "fd77::1/64")
    net.plug(phone, "lan0", "one", "10.77.0.2/24", "fd77::2/64")
    log = tmp_path / "box.log"
    with listening(phone, tmp_path / "ear.log") as hears, announcing(box, log, box_id="11111111"):
        wait_called(log, ("Kitchen", "kitchen-1111"))
        wait_for("all its words", lambda: len(addresses(hears())) >= 3, timeout_s=FOUND_S)
        before = len(addresses(hears()))
        box.run("ip", "address", "add", "10.77.0.99/24", "dev", "lan0")
        box.run("ip", "address", "delete", "10.77.0.1/24", "dev", "lan0")
        # The kernel takes the second address of a network away with the first.
        box.run("ip", "address", "replace", "10.77.0.99/24", "dev", "lan0")
        wait_for(
            "the new address",
            lambda: sum(r.data == "10.77.0.99" for r in addresses(hears())) >= 3,
            timeout_s=FOUND_S,
        )
        since = addresses(hears())[before:]
        assert {record.data for record in since} == {"10.77.0.1", "10.77.0.99"}
        assert {r.ttl_s for r in since if r.data == "10.77.0.1"} == {0}
        first_new = next(n for n, r in enumerate(since) if r.data == "10.77.0.99")
        assert all(record.data == "10.77.0.99" for record in since[first_new:])


def addresses(said: list[Said]) -> list[Said]:
    """The A records among all that was said."""
    return [record for record in said if record.type == TYPE_A]


def test_boxes_of_one_name_keep_their_names_whoever_starts_first(net: Lans, tmp_path: Path) -> None:
    """After a power cut every list still means the same box by the same name."""
    phone = net.machine("phone")
    net.plug(phone, "lan0", "one", "10.88.0.4/24")
    boxes = {"11111111": net.machine("box-one"), "22222222": net.machine("box-two")}
    for number, (box_id, box) in enumerate(boxes.items()):
        net.plug(box, "lan0", "one", f"10.88.0.{number + 10}/24")
        (tmp_path / box_id).mkdir()

    def start(stack: ExitStack, *order: str) -> dict[str, str]:
        names: dict[str, str] = {}
        for box_id in order:
            log = tmp_path / f"{box_id}.log"
            folder = tmp_path / box_id
            stack.enter_context(announcing(boxes[box_id], log, box_id=box_id, folder=folder))
            names[box_id] = wait_for("a name", partial(name_in, log), timeout_s=FOUND_S)
        return names

    with ExitStack() as stack:
        first = start(stack, "11111111", "22222222")
    assert first == {"11111111": "Kitchen", "22222222": "Kitchen-2"}
    with ExitStack() as stack:
        assert start(stack, "22222222", "11111111") == first


@pytest.mark.parametrize("at_once", [False, True])
def test_a_box_with_a_copied_card_takes_other_names(
    net: Lans, tmp_path: Path, at_once: bool
) -> None:
    """It has the id, the kept names and all; by its names each leads to itself."""
    one, two, phone = (net.machine(name) for name in ("box-one", "box-two", "phone"))
    net.plug(one, "lan0", "one", "10.88.0.3/24")
    net.plug(two, "lan0", "one", "10.88.0.33/24")
    net.plug(phone, "lan0", "one", "10.88.0.4/24")
    logs = tmp_path / "one.log", tmp_path / "two.log"
    with avahi(phone, tmp_path / "phone"), ExitStack() as stack:
        stack.enter_context(announcing(one, logs[0], box_id="11111111"))
        if not at_once:
            wait_called(logs[0], ("Kitchen", "kitchen-1111"))
        stack.enter_context(announcing(two, logs[1], box_id="11111111"))

        def apart() -> bool:
            browse(phone)
            return {called(log) for log in logs} == {
                ("Kitchen", "kitchen-1111"),
                ("Kitchen-2", "kitchen-1111-2"),
            }

        wait_for("two names", apart, timeout_s=FOUND_S)
        for log, address in zip(logs, ("10.88.0.3", "10.88.0.33"), strict=True):
            there = partial(is_at, phone, *called(log), address)
            wait_for(f"{called(log)} at {address}", there, timeout_s=FOUND_S)


def is_at(phone: Machine, name: str, host: str, address: str) -> bool:
    """Whether both names lead a phone to this address."""
    if resolve(phone, f"{host}.local", family=4) != address:
        return False
    seen = found(phone).get(name)
    return seen is not None and seen.address == address


def test_a_stopped_box_says_goodbye_on_every_link(net: Lans, tmp_path: Path) -> None:
    """On each before it closes anything."""
    box, left, right = (net.machine(name) for name in ("box", "left", "right"))
    net.plug(box, "lan0", "one", "10.88.0.3/24")
    net.plug(box, "lan1", "two", "10.77.0.33/24")
    net.plug(left, "lan0", "one", "10.88.0.4/24")
    net.plug(right, "lan0", "two", "10.77.0.4/24")
    log = tmp_path / "box.log"
    with (
        listening(left, tmp_path / "left.log") as left_hears,
        listening(right, tmp_path / "right.log") as right_hears,
    ):
        with announcing(box, log, box_id="22222222") as process:
            wait_called(log, ("Kitchen", "kitchen-2222"))
            assert stop(process) == 0
        for hears in (left_hears, right_hears):
            wait_for("a goodbye", partial(goodbyes, hears), timeout_s=FOUND_S)


def goodbyes(hears: Callable[[], list[Said]]) -> list[Said]:
    """Those for the service, among all that was said."""
    return [record for record in hears() if record.type == TYPE_PTR and record.ttl_s == 0]
