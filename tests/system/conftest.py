"""A box and a phone on one cable, the phone with Avahi: what the system tests share."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.parts.avahi import avahi
from tests.parts.netns import Machine, box_and_phone, missing

PROGRAMS = [
    *["ip", "ss", "sysctl", "unshare", "nsenter", "setpriv"],
    *["dbus-daemon", "avahi-daemon", "avahi-browse", "avahi-resolve"],
]


@dataclass(frozen=True, slots=True)
class BoxProgram:
    """The program under test, as it is started in the box, and what a phone should see of it."""

    command: list[str]
    name: str
    host_name: str
    port: int
    txt: dict[str, str]


@pytest.fixture(scope="session", autouse=True)
def _tools() -> None:
    """Fail, not skip: a test nobody notices is not run is no test."""
    fault = missing(*PROGRAMS)
    if fault:
        pytest.fail(
            f"{fault}; run as root, with apt-get install"
            " avahi-daemon avahi-utils dbus iproute2 procps util-linux"
        )


@pytest.fixture
def machines(_tools: None) -> Iterator[tuple[Machine, Machine]]:
    """Give a box and a phone whose cable is not plugged in yet."""
    with box_and_phone() as pair:
        yield pair


@pytest.fixture
def box(machines: tuple[Machine, Machine]) -> Machine:
    """Give the box; ``connect`` plugs its cable in."""
    return machines[0]


@pytest.fixture
def phone(machines: tuple[Machine, Machine], tmp_path: Path) -> Iterator[Machine]:
    """Give the phone, connected and looking for services."""
    folder = tmp_path / "phone"
    folder.mkdir()
    phone = machines[1]
    phone.connect()
    with avahi(phone, folder):
        yield phone


@pytest.fixture
def program() -> BoxProgram:
    """Give the program that announces the box."""
    return BoxProgram(
        command=[sys.executable, "-m", "tests.parts.announce_box", "Kitchen", "ab12cd34", "8377"],
        name="Kitchen",
        host_name="kitchen-ab12.local",
        port=8377,
        txt={
            "txtvers": "1",
            "id": "ab12cd34",
            "v": "0.1.0",
            "api": "ws",
            "tls": "1",
            "fp": "AbCdEfGhIjKlMn_-",
            "auth": "token",
            "pair": "1",
            "model": "Qwen2.5-1.5B-Instruct-Q4_K_M",
            "models": "Qwen2.5-1.5B-Instruct-Q4_K_M",
            "mac": "dc:a6:32:01:02:03",
            "st": "ready",
        },
    )
