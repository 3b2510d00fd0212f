"""What the discovery tests share: loopback as the network, and a neighbour on it."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable

import pytest

from inglenook.discovery.addresses import InterfaceAddress
from inglenook.discovery.advert import Advert
from tests.parts.neighbour import Neighbour


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the waits that RFC 6762 asks for on a real network; loopback loses nothing."""
    monkeypatch.setattr("zeroconf._core._PROBE_RANDOM_DELAY_INTERVAL", (10, 20))
    monkeypatch.setattr("zeroconf._core._CHECK_TIME", 60)
    monkeypatch.setattr("zeroconf._core._REGISTER_TIME", 20)
    monkeypatch.setattr("zeroconf._core._UNREGISTER_TIME", 10)
    monkeypatch.setattr("inglenook.discovery.link.PROBE_S", 0.04)
    monkeypatch.setattr("inglenook.discovery.link.GOODBYE_EVERY_S", 0.01)


@pytest.fixture
def new_address() -> Callable[[], InterfaceAddress]:
    """Make addresses of loopback that nobody else uses: 127.0.0.0/8 is all its own."""
    return lambda: InterfaceAddress(
        "lo",
        1,
        f"127.{'.'.join(str(1 + byte % 254) for byte in secrets.token_bytes(3))}",
        8,
        is_ipv6=False,
    )


@pytest.fixture
def loopback(new_address: Callable[[], InterfaceAddress]) -> list[InterfaceAddress]:
    """Give the addresses of a box whose only network is loopback."""
    return [new_address()]


@pytest.fixture
def advert() -> Advert:
    """Give a box nobody else on loopback has, such as another run of these tests."""
    server_id = secrets.token_hex(4)
    return Advert(
        name=f"Kitchen {server_id}",
        server_id=server_id,
        version="0.1.0",
        port=8377,
        models=("small",),
        mac="dc:a6:32:01:02:03",
        status="ready",
    )


@pytest.fixture
async def neighbour(new_address: Callable[[], InterfaceAddress]) -> AsyncIterator[Neighbour]:
    """Let somebody else listen on loopback."""
    neighbour = Neighbour(new_address().address)
    yield neighbour
    await neighbour.close()
