"""A machine calls, and the one on the other end of the cable hears it: by IPv4, and by IPv6."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import yaml

from tests.parts.netns import Machine, wait_for
from tests.system.conftest import BoxProgram

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]

SOON_S = 60.0

INGLENOOK = (sys.executable, "-m", "inglenook")

#: Says who it is to anybody, once it has been called by its own card's address or by the one given.
SLEEPING_BOX = """
import asyncio, sys
from aiohttp import web
from inglenook.discovery.interfaces import own_macs
from inglenook.power.listener import WakeListener, bind_wake_socket
from inglenook.common.network_cards import parse_mac

async def hello(request):
    return web.json_response({"server_id": "ab12cd34", "name": "Kitchen"})

async def main():
    called = asyncio.Event()
    macs = [parse_mac(mac) for mac in (*own_macs(), *sys.argv[1:])]
    listener = WakeListener(bind_wake_socket(9), lambda: macs, called.set)
    app = web.Application()
    app.router.add_get("/.well-known/inglenook", hello)
    runner = web.AppRunner(app)
    await runner.setup()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(listener.run())
        print("asleep", flush=True)
        await called.wait()
        print("called", flush=True)
        await web.TCPSite(runner, port=8377).start()

asyncio.run(main())
"""

ASK_TO_WAKE = """
import sys, urllib.request
url, token, body = sys.argv[1:]
request = urllib.request.Request(url, body.encode(), {"Authorization": f"Bearer {token}"})
print(urllib.request.urlopen(request, timeout=20).read().decode())
"""


def mac_of(machine: Machine) -> str:
    return machine.run("cat", "/sys/class/net/lan0/address").strip()


def at_home(home: Path, *words: str) -> list[str]:
    """A command of a user whose files are in a folder of this test."""
    return ["env", f"HOME={home}", "XDG_DATA_HOME=", *words]


def remember_kitchen(home: Path, mac: str, *urls: str) -> None:
    """As `inglenook find` would have done while the box was awake."""
    folder = home / ".local/share/inglenook"
    folder.mkdir(parents=True)
    box = {"server_id": "ab12cd34", "name": "Kitchen", "macs": [mac], "urls": urls}
    (folder / "boxes.json").write_text(json.dumps({"ab12cd34": box}))


@contextmanager
def sleeping(machine: Machine, log: Path, *macs: str) -> Iterator[None]:
    """A machine that listens, and does nothing else."""
    with machine.running(sys.executable, "-c", SLEEPING_BOX, *macs, log=log):
        wait_for("a machine asleep", lambda: "asleep" in log.read_text(), timeout_s=SOON_S)
        yield


@pytest.fixture
def pair(machines: tuple[Machine, Machine]) -> tuple[Machine, Machine]:
    """A box and a phone, joined."""
    for machine in machines:
        machine.connect()
    for machine in machines:
        # The kernel takes up to a second to find that a cable plugged in at both ends carries.
        wait_for(f"a signal at the {machine.name}", partial(_carries, machine), timeout_s=SOON_S)
    return machines


def _carries(machine: Machine) -> bool:
    return machine.run("cat", "/sys/class/net/lan0/operstate").strip() == "up"


@pytest.mark.parametrize("family", [4, 6])
def test_a_box_is_called_and_answers(
    pair: tuple[Machine, Machine], tmp_path: Path, family: int
) -> None:
    """`inglenook wake` with one family of addresses on its side; the box listens to both."""
    box, phone = pair
    if family == 4:
        phone.run("sysctl", "--quiet", "--write", "net.ipv6.conf.lan0.disable_ipv6=1")
        url = f"http://{box.ipv4}:8377"
    else:
        phone.run("ip", "-4", "address", "flush", "dev", "lan0")
        url = f"http://[{box.ipv6}]:8377"
    remember_kitchen(tmp_path, mac_of(box), url)
    log = tmp_path / "box.log"
    with sleeping(box, log):
        said = phone.run(*at_home(tmp_path, *INGLENOOK, "wake", "kitchen", "--timeout", "45"))

    assert said.startswith(f"Kitchen answers at {url} after ")
    assert log.read_text() == "asleep\ncalled\n"


def test_a_box_that_was_found_once_is_called_by_its_name(
    pair: tuple[Machine, Machine], program: BoxProgram, tmp_path: Path
) -> None:
    """`inglenook find` keeps what it heard: the box announces nothing while it sleeps."""
    box, phone = pair
    log = tmp_path / "box.log"

    def found() -> str:
        find = at_home(tmp_path, *INGLENOOK, "find", "--timeout", "3")
        return phone.run("sh", "-c", f"{shlex.join(find)} || true")

    with box.running(*program.command, log=tmp_path / "awake.log"):
        wait_for("the box", found, timeout_s=SOON_S)
    with sleeping(box, log, program.txt["mac"]):
        said = phone.run(*at_home(tmp_path, *INGLENOOK, "wake", "kitchen", "--timeout", "45"))

    assert said.startswith(f"{program.name} answers at http://{box.ipv4}:{program.port} after ")


def test_a_box_that_is_announced_though_it_sleeps_is_called_by_its_name(
    pair: tuple[Machine, Machine], program: BoxProgram, tmp_path: Path
) -> None:
    """Avahi does that for a box whose process has ended; this terminal never met it before."""
    box, phone = pair
    log = tmp_path / "box.log"
    with (
        box.running(*program.command, log=tmp_path / "announced.log"),
        sleeping(box, log, program.txt["mac"]),
    ):
        wake = at_home(tmp_path, *INGLENOOK, "wake", program.txt["id"], "--timeout", "45")
        call = ["sh", "-c", f"{shlex.join(wake)} || true"]
        said = wait_for("an answer", lambda: phone.run(*call), timeout_s=SOON_S)

    assert said.startswith(f"{program.name} answers at http://{box.ipv4}:{program.port} after ")


def test_a_call_for_another_machine_wakes_nobody(
    pair: tuple[Machine, Machine], tmp_path: Path
) -> None:
    """It is heard, since it is for everybody, and passed over; the next one is not."""
    box, phone = pair
    log = tmp_path / "box.log"
    with sleeping(box, log):
        said = phone.run(*at_home(tmp_path, *INGLENOOK, "wake", "02:00:00:00:00:99"))
        assert said.startswith("called 02:00:00:00:00:99 on 1 interface; whether it wakes cannot")
        assert log.read_text() == "asleep\n"
        phone.run(*at_home(tmp_path, *INGLENOOK, "wake", mac_of(box)))
        wait_for("the call", lambda: "called" in log.read_text(), timeout_s=SOON_S)


def test_a_small_box_wakes_a_bigger_one_for_a_phone(
    pair: tuple[Machine, Machine], tmp_path: Path
) -> None:
    """`POST /v1/wake` of the real program: the machine at the other end of its cable is called."""
    small, big = pair
    # Not pytest's own folder: the control socket's path may have 107 bytes.
    with TemporaryDirectory(prefix="box") as folder:
        config = Path(folder) / "config.yaml"
        settings = {
            "state_dir": f"{folder}/state",
            "listen": {"tls_port": 0},
            "discovery": {"enabled": False},
            "wake": {"targets": [f"Office={mac_of(big)}"]},
        }
        config.write_text(yaml.safe_dump(settings))
        options = ("--config", str(config))
        token = small.run(
            *INGLENOOK, "devices", "add", "--name", "Anna", "--scopes", "chat,wake", *options
        ).strip()
        log = tmp_path / "big.log"
        with (
            sleeping(big, log),
            small.running(*INGLENOOK, "run", *options, log=tmp_path / "small.log"),
        ):
            wait_for(
                "its door", lambda: small.run("ss", "-Hltn", "sport = :8377"), timeout_s=SOON_S
            )
            ask = (f"http://{small.ipv4}:8377/v1/wake", token, json.dumps({"name": "office"}))
            answer = small.run(sys.executable, "-c", ASK_TO_WAKE, *ask)
            wait_for("the call", lambda: "called" in log.read_text(), timeout_s=SOON_S)

    assert json.loads(answer) == {"name": "office", "interfaces": 1}
