"""Who is found on two networks, behind a router that repeats mDNS, or beside a copy of itself."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import yaml

from tests.parts.avahi import avahi
from tests.parts.box import Ran
from tests.parts.lans import Lans, lans
from tests.parts.netns import Machine, wait_for

pytestmark = [pytest.mark.system, pytest.mark.timeout(900)]

# A search takes two to four seconds; a busy machine takes its time.
FOUND_S = 120.0
COMMAND_S = 120.0

ID, PORT = "ab12cd34", "8377"

#: Found in the first of these searches or in none: each makes the next one's answer late.
SEARCHES = 10


@pytest.fixture
def net() -> Iterator[Lans]:
    """Two networks that nothing joins yet."""
    with lans("upstairs", "downstairs") as made:
        yield made


@pytest.fixture
def boxes(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Starts boxes as python-zeroconf alone makes them, and ends them."""
    with ExitStack() as running:

        def start(machine: Machine, *words: str) -> subprocess.Popen[bytes]:
            log = tmp_path / f"{machine.name}-{words[0]}.log"
            program = [sys.executable, "-m", "tests.parts.plain_box", *words]
            process = running.enter_context(machine.running(*program, log=log))
            wait_for(words[0], lambda: "announced" in log.read_text(), timeout_s=FOUND_S)
            return process

        yield start


Start = Callable[..., "subprocess.Popen[bytes]"]


def run(machine: Machine, folder: Path, *words: str) -> Ran:
    """Run the program there, as a user whose home is this folder."""
    home = [f"HOME={folder}", f"XDG_DATA_HOME={folder}", f"XDG_STATE_HOME={folder}"]
    done = subprocess.run(
        machine.command("env", *home, sys.executable, "-m", "inglenook", *words),
        capture_output=True,
        text=True,
        timeout=COMMAND_S,
        check=False,
    )
    return Ran(done.returncode, done.stdout, done.stderr)


def rows(ran: Ran) -> list[tuple[str, str, str]]:
    """Name, address and state of each box that was found."""
    lines = [line.split("\t") for line in ran.out.splitlines()]
    return [(name, url, state) for name, url, _host_name, _model, state in lines]


def wait_rows(machine: Machine, folder: Path, wanted: list[tuple[str, str, str]]) -> Ran:
    """Search until exactly these are found; what was found last is shown if they never are."""
    last = Ran(0, "", "")

    def found() -> bool:
        nonlocal last
        last = run(machine, folder, "find")
        return rows(last) == wanted

    try:
        wait_for(f"{wanted}", found, timeout_s=FOUND_S)
    except AssertionError as exc:
        raise AssertionError(f"{exc}; last: {last}") from None
    return last


def test_a_box_on_two_networks_is_found_at_the_address_in_the_askers(
    net: Lans, boxes: Start, tmp_path: Path
) -> None:
    """Whatever order its addresses come in: there is no way to the other network from here."""
    box, asker = net.machine("box"), net.machine("asker")
    net.plug(box, "lan0", "upstairs", "10.88.0.3/24")
    net.plug(box, "lan1", "downstairs", "10.77.0.33/24")
    net.plug(asker, "lan0", "downstairs", "10.77.0.4/24")
    # Each is sent in an order of its own.
    names = [f"Box {number}" for number in range(4)]
    for number, name in enumerate(names):
        words = [f"0000000{number}", f"box-{number}", f"837{number}", "10.88.0.3,10.77.0.33"]
        boxes(box, name, *words, f"1000000{number}")

    wanted = [
        (name, f"http://10.77.0.33:837{number}", "ready") for number, name in enumerate(names)
    ]
    wait_rows(asker, tmp_path, wanted)


def test_a_search_just_after_another_finds_what_that_did(
    net: Lans, boxes: Start, tmp_path: Path
) -> None:
    """A shorter one than that is refused: what was told just now is told again a second late."""
    box, asker = net.machine("box"), net.machine("asker")
    net.plug(box, "lan0", "downstairs", "10.77.0.33/24")
    net.plug(asker, "lan0", "downstairs", "10.77.0.4/24")
    boxes(box, "Kitchen", ID, "kitchen-ab12", PORT, "10.77.0.33", "00000001")

    refused = run(asker, tmp_path, "find", "--timeout", "1")
    assert (refused.returncode, refused.out) == (2, "")
    for _search in range(SEARCHES):
        assert [name for name, *_ in rows(run(asker, tmp_path, "find", "--timeout", "2"))] == [
            "Kitchen"
        ]


@pytest.fixture
def router(net: Lans, tmp_path: Path) -> Iterator[Machine]:
    """A router between both networks that repeats mDNS from one in the other, by Avahi."""
    machine = net.machine("router")
    net.plug(machine, "lan0", "upstairs", "10.88.0.1/24")
    net.plug(machine, "lan1", "downstairs", "10.77.0.1/24")
    machine.run("sysctl", "--quiet", "--write", "net.ipv4.ip_forward=1")
    with avahi(machine, tmp_path / "router", interfaces="lan0,lan1", reflects=True):
        yield machine


@pytest.mark.usefixtures("router")
def test_through_a_router_that_repeats_mdns_the_dead_are_not_believed(
    net: Lans, boxes: Start, tmp_path: Path
) -> None:
    """It tells of a box that is off as it was; of one that came back otherwise, as both."""
    box, asker = net.machine("box"), net.machine("asker")
    net.plug(box, "lan0", "upstairs", "10.88.0.3/24")
    net.plug(asker, "lan0", "downstairs", "10.77.0.4/24")
    box.run("ip", "route", "add", "default", "via", "10.88.0.1")
    asker.run("ip", "route", "add", "default", "via", "10.77.0.1")
    first = boxes(box, "Kitchen", ID, "kitchen-ab12", PORT, "10.88.0.3", "00000001")
    wait_rows(asker, tmp_path, [("Kitchen", "http://10.88.0.3:8377", "ready")])

    first.kill()
    first.wait()
    ghost = wait_rows(asker, tmp_path, [("Kitchen", "http://10.88.0.3:8377", "no answer")])
    assert ghost.returncode == 1

    box.run("ip", "address", "delete", "10.88.0.3/24", "dev", "lan0")
    box.run("ip", "address", "add", "10.88.0.99/24", "dev", "lan0")
    box.run("ip", "route", "replace", "default", "via", "10.88.0.1")
    boxes(box, "Kitchen-2", ID, "kitchen-ab12-2", PORT, "10.88.0.99", "00000002")
    again = wait_rows(asker, tmp_path, [("Kitchen-2", "http://10.88.0.99:8377", "ready")])
    assert (again.returncode, again.err) == (0, "")


def test_a_box_and_its_copy_are_both_listed_and_told_of(
    net: Lans, boxes: Start, tmp_path: Path
) -> None:
    """A box that is announced under two names is one all the same."""
    box, copy, asker = net.machine("box"), net.machine("copy"), net.machine("asker")
    net.plug(box, "lan0", "downstairs", "10.77.0.33/24")
    net.plug(copy, "lan0", "downstairs", "10.77.0.34/24")
    net.plug(asker, "lan0", "downstairs", "10.77.0.4/24")
    boxes(box, "Kitchen", ID, "kitchen-ab12", PORT, "10.77.0.33", "00000001")
    boxes(box, "Old name", ID, "kitchen-ab12", PORT, "10.77.0.33")
    one = wait_rows(asker, tmp_path, [("Kitchen", "http://10.77.0.33:8377", "ready")])
    assert one.err == ""

    boxes(copy, "Kitchen-2", ID, "kitchen-ab12-2", PORT, "10.77.0.34", "00000002")
    both = wait_rows(
        asker,
        tmp_path,
        [
            ("Kitchen", "http://10.77.0.33:8377", "ready"),
            ("Kitchen-2", "http://10.77.0.34:8377", "ready"),
        ],
    )
    assert both.err.startswith(
        f"two boxes have one id, {ID}: Kitchen at http://10.77.0.33:8377 and Kitchen-2 at "
        "http://10.77.0.34:8377; one runs from a copy of the other's SD card"
    )
    assert both.returncode == 0


def test_copies_that_hold_one_host_name_are_told_apart(
    net: Lans, boxes: Start, tmp_path: Path
) -> None:
    """As after a power cut, when both start at one moment: the name has the addresses of both."""
    box, copy, asker = net.machine("box"), net.machine("copy"), net.machine("asker")
    net.plug(box, "lan0", "downstairs", "10.77.0.33/24")
    net.plug(copy, "lan0", "downstairs", "10.77.0.34/24")
    net.plug(asker, "lan0", "downstairs", "10.77.0.4/24")
    addresses = "10.77.0.33,10.77.0.34"
    boxes(box, "Kitchen", ID, "kitchen-ab12", PORT, addresses, "00000001")
    boxes(copy, "Kitchen-2", ID, "kitchen-ab12", PORT, addresses, "00000002")

    def found() -> bool:
        here = rows(run(asker, tmp_path, "find"))
        urls = sorted(url for _name, url, _state in here)
        return urls == ["http://10.77.0.33:8377", "http://10.77.0.34:8377"]

    wait_for("both machines", found, timeout_s=FOUND_S)


def test_the_doctor_is_not_content_with_the_copy_of_a_box(
    net: Lans, boxes: Start, tmp_path: Path
) -> None:
    """The real daemon, and another machine with its id: that is to be fixed, and is told how."""
    box, copy = net.machine("box"), net.machine("copy")
    net.plug(box, "lan0", "downstairs", "10.77.0.33/24")
    net.plug(copy, "lan0", "downstairs", "10.77.0.34/24")
    state, config, log = tmp_path / "state", tmp_path / "config.yaml", tmp_path / "daemon.log"
    state.mkdir(mode=0o700)
    (state / "server_id").write_text(f"{ID}\n")
    (state / "server_id").chmod(0o600)
    settings = {
        "name": "Kitchen",
        "state_dir": str(state),
        "model": {"path": str(tmp_path / "none.gguf")},
        "wake": {"udp_port": 0},
        "governor": {"enabled": False},
    }
    config.write_text(yaml.safe_dump(settings))
    daemon = [sys.executable, "-m", "inglenook", "run", "--config", str(config)]

    def line(what: str) -> list[str]:
        ran = run(box, tmp_path, "doctor", "--config", str(config))
        return next((words for words in map(str.split, ran.out.splitlines()) if what in words), [])

    with box.running(*daemon, log=log):
        wait_for("a name", lambda: "announced as" in log.read_text(), timeout_s=FOUND_S)
        wait_for("itself", lambda: line("mDNS")[:1] == ["ok"], timeout_s=FOUND_S)
        boxes(copy, "Kitchen-2", ID, "kitchen-ab12-2", PORT, "10.77.0.34", "00000002")
        told = wait_for("its copy", lambda: line("id"), timeout_s=FOUND_S)

    assert told[0] == "fix"
    assert "Kitchen-2 at http://10.77.0.34:8377 is another machine" in " ".join(told)
