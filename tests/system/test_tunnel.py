"""A member of the box's tailnet is answered, from end to end; a carrier's customer is not."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import yaml
from cryptography import x509

from tests.parts.netns import COMMAND_S, Machine, wait_for

pytestmark = [pytest.mark.system, pytest.mark.timeout(200)]

PORT = 8377
READY_S = 60.0
INGLENOOK = (sys.executable, "-m", "inglenook")

#: Tailscale's own addresses for a box and a phone: each alone in its network.
BOX, PHONE = "100.64.1.2", "100.64.1.9"

ASK = """
import sys, urllib.error, urllib.request
try:
    answer = urllib.request.urlopen(sys.argv[1], timeout=10)
except urllib.error.HTTPError as exc:
    answer = exc
print(answer.status, answer.read().decode())
"""


@contextmanager
def running(box: Machine, log: Path) -> Iterator[Path]:
    """A box without a model; gives its state folder."""
    # Not pytest's own folder: the control socket's path may have 107 bytes.
    with TemporaryDirectory(prefix="box") as folder:
        config = Path(folder) / "config.yaml"
        settings = {
            "name": "Kitchen",
            "state_dir": str(Path(folder) / "state"),
            "discovery": {"enabled": False},
            "governor": {"enabled": False},
        }
        config.write_text(yaml.safe_dump(settings))
        with box.running(*INGLENOOK, "run", "--config", str(config), log=log):
            url = f"http://127.0.0.1:{PORT}/.well-known/inglenook"
            wait_for("the box", lambda: ask(box, url)[0], timeout_s=READY_S)
            yield Path(folder) / "state"


def ask(machine: Machine, url: str) -> tuple[int, str]:
    """Get something; 0 if nobody answers."""
    command = machine.command(sys.executable, "-c", ASK, url)
    done = subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_S, check=False)
    status, _, body = done.stdout.partition(" ")
    return int(status or 0), body


def urls_to_pair(state_dir: Path) -> list[str]:
    """What ``inglenook pair`` shows; a socket's file is in no network."""
    control = http.client.HTTPConnection("box", timeout=COMMAND_S)
    control.sock = socket.socket(socket.AF_UNIX)
    try:
        control.sock.connect(str(state_dir / "control.sock"))
        control.request("POST", "/pair/open")
        found: list[str] = json.loads(control.getresponse().read())["urls"]
        return found
    finally:
        control.close()


def join(box: Machine, phone: Machine, name: str) -> None:
    """Give both an interface of the tunnel, by which they reach each other and nobody else."""
    ends = [name, "netns", str(box.pid), "type", "veth", "peer", "name", name]
    command = ["ip", "link", "add", *ends, "netns", str(phone.pid)]
    subprocess.run(command, check=True, timeout=COMMAND_S)
    for machine, own, other in ((box, BOX, PHONE), (phone, PHONE, BOX)):
        machine.run("ip", "address", "add", f"{own}/32", "dev", name)
        machine.run("ip", "link", "set", name, "up")
        machine.run("ip", "route", "add", f"{other}/32", "dev", name, "src", own)


def test_a_member_of_the_tailnet_is_answered(
    machines: tuple[Machine, Machine], tmp_path: Path
) -> None:
    """By the box's own address there; that is in the certificate and in `pair`, behind home's."""
    box, phone = machines
    box.connect()
    phone.connect()
    with running(box, tmp_path / "log") as state_dir:
        # It comes after the start, as tailscaled does at a boot.
        join(box, phone, "tailscale0")

        status, body = ask(phone, f"http://{BOX}:{PORT}/.well-known/inglenook")
        urls = urls_to_pair(state_dir)
    with running(box, tmp_path / "log again") as state_dir:
        names = x509.load_pem_x509_certificate((state_dir / "tls.crt").read_bytes()).extensions

    assert (status, json.loads(body)["name"]) == (200, "Kitchen")
    home = [f"http://{box.ipv4}:{PORT}", f"http://[{box.ipv6}]:{PORT}"]
    assert urls[1:] == [*home, f"http://{BOX}:{PORT}"]
    shown = names.get_extension_for_class(x509.SubjectAlternativeName).value
    addresses = {str(address) for address in shown.get_values_for_type(x509.IPAddress)}
    assert addresses >= {BOX, box.ipv4, box.ipv6}


def test_a_carriers_customer_is_not(machines: tuple[Machine, Machine], tmp_path: Path) -> None:
    """The same addresses on a cable: the box is no member of any tailnet."""
    box, phone = machines
    box.connect()
    with running(box, tmp_path / "log"):
        join(box, phone, "wan0")

        status, body = ask(phone, f"http://{BOX}:{PORT}/healthz")

    assert (status, json.loads(body)["error"]["code"]) == (403, "forbidden")
