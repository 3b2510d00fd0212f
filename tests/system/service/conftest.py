"""A Debian box on whose cable is a phone with Avahi, and the program as its service."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.parts import debian
from tests.parts.avahi import avahi
from tests.parts.container import Container, booted
from tests.parts.netns import Machine, box_and_phone, missing
from tests.parts.service import MODEL, SOCKETS, SOURCE, UNIT, Service

_PROGRAMS = ("apt-get", "debootstrap", "systemd-nspawn")

# A veth has no hardware behind it, so nobody would take its address for one that wakes a board.
_CARD = """
mount -t tmpfs tmpfs /sys/class/net
mkdir -p /sys/class/net/lan0/device
echo 1 > /sys/class/net/lan0/type
echo up > /sys/class/net/lan0/operstate
ip -brief link show lan0 | awk '{print $3}' > /sys/class/net/lan0/address
"""


@dataclass(frozen=True, slots=True)
class Home:
    """A box that has booted, with the program as its installed service, and a phone beside it."""

    service: Service
    phone: Machine


@pytest.fixture(scope="session")
def layers(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Folders that make up the box's system; whoever is first may have to make them.

    So tests' time runs when all fixtures are there (``func_only``): each of these has deadlines.
    """
    fault = missing(*_PROGRAMS)
    if fault:
        pytest.fail(f"{fault}; apt-get install debootstrap systemd-container")
    run = tmp_path_factory.getbasetemp()
    # Workers of one run share what is above their folders.
    shared = run.parent if "PYTEST_XDIST_WORKER" in os.environ else run
    below = debian.layers()
    return [debian.program(shared, below), *below]


@pytest.fixture
def shown() -> dict[Path, str]:
    """What else a box may read, and where it finds it."""
    return {}


@pytest.fixture
def container(
    box: Machine, layers: list[Path], starter_model: Path, shown: dict[Path, str]
) -> Iterator[Container]:
    """A box that has booted, with the program and a model on it, and nothing set up."""
    with _booted(box, layers, starter_model, shown) as container:
        yield container


@pytest.fixture
def service(container: Container) -> Iterator[Service]:
    """The program as a service, not installed yet; what it said stands below a test that failed."""
    yield Service(container)
    sys.stdout.write(container.journal(UNIT, *SOCKETS))


@pytest.fixture(scope="module")
def _home(
    layers: list[Path], starter_model: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Home]:
    with box_and_phone() as (box, phone):
        phone.connect()
        with (
            avahi(phone, tmp_path_factory.mktemp("phone")),
            _booted(box, layers, starter_model, {}) as container,
        ):
            service = Service(container)
            service.install()
            yield Home(service, phone)


@pytest.fixture
def home(_home: Home) -> Iterator[Home]:
    """One box for all tests of a module that leave it installed and with its model loaded.

    Files, devices and counts of others may be there.
    """
    _home.service.wait_loaded()
    yield _home
    sys.stdout.write(_home.service.container.journal(UNIT, *SOCKETS))


@contextmanager
def _booted(
    box: Machine, layers: list[Path], model: Path, shown: Mapping[Path, str]
) -> Iterator[Container]:
    box.connect()
    binds = {model: MODEL, debian.CHECKOUT: SOURCE, **shown}
    with booted(box, layers, binds) as container:
        container.run("sh", "-euc", _CARD)
        yield container
