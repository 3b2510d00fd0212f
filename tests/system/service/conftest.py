"""A Debian box on whose cable is a phone with Avahi, and the program as its service."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.parts import debian
from tests.parts.container import Container, booted
from tests.parts.netns import Machine, missing
from tests.parts.service import MODEL, SOCKETS, SOURCE, UNIT, Service

_WHEELS = "/srv/wheels"
_PROGRAMS = ("apt-get", "debootstrap", "systemd-nspawn")

# A veth has no hardware behind it, so nobody would take its address for one that wakes a board.
_CARD = """
mount -t tmpfs tmpfs /sys/class/net
mkdir -p /sys/class/net/lan0/device
echo 1 > /sys/class/net/lan0/type
echo up > /sys/class/net/lan0/operstate
ip -brief link show lan0 | awk '{print $3}' > /sys/class/net/lan0/address
"""


@pytest.fixture(scope="session")
def layers() -> list[Path]:
    """Folders that make up the box's system; whoever is first may have to make them.

    So tests' time runs when all fixtures are there (``func_only``): each of these has deadlines.
    """
    fault = missing(*_PROGRAMS)
    if fault:
        pytest.fail(f"{fault}; apt-get install debootstrap systemd-container")
    return debian.layers()


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkout, as it is installed."""
    return debian.wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture
def shown() -> dict[Path, str]:
    """What else a box may read, and where it finds it."""
    return {}


@pytest.fixture
def container(
    box: Machine, layers: list[Path], wheel: Path, starter_model: Path, shown: dict[Path, str]
) -> Iterator[Container]:
    """A box that has booted, with the program and a model on it, and nothing set up."""
    box.connect()
    shown = {wheel.parent: _WHEELS, starter_model: MODEL, debian.CHECKOUT: SOURCE, **shown}
    with booted(box, layers, shown) as container:
        container.run("sh", "-euc", _CARD)
        container.run(
            *[f"{debian.VENV}/bin/pip", "install", "--quiet", "--no-index", "--no-deps"],
            f"{_WHEELS}/{wheel.name}",
        )
        yield container


@pytest.fixture
def service(container: Container) -> Iterator[Service]:
    """The program as a service, not installed yet; what it said stands below a test that failed."""
    yield Service(container)
    sys.stdout.write(container.journal(UNIT, *SOCKETS))
