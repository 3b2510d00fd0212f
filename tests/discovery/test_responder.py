from __future__ import annotations

import ctypes
import errno
import socket
import struct
from collections.abc import Iterator

import pytest
from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf

from inglenook.discovery import responder as responder_module
from inglenook.discovery.addresses import InterfaceAddress
from inglenook.discovery.advert import SERVICE_TYPE, Advert
from inglenook.discovery.responder import claim_host_name, hears_itself, open_responder
from tests.parts.neighbour import Neighbour

#: An answer comes at once, and asking ends with it.
LONG_S = 30.0

BPF_RET = 0x06
SO_ATTACH_FILTER = 26


async def test_without_an_address_it_does_not_open() -> None:
    """The error is the one a missing network gives, and no socket is left behind."""
    with pytest.raises(OSError, match="no interface") as caught:
        async with open_responder([]):
            pass
    assert caught.value.errno == errno.ENODEV


async def test_the_first_host_name_nobody_answers_for_is_claimed(
    neighbour: Neighbour,
    loopback: list[InterfaceAddress],
    advert: Advert,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A neighbour that answers with its own address keeps its name."""
    taken, free = f"den-{advert.server_id}", f"den-{advert.server_id}-2"

    def choices() -> Iterator[str]:
        monkeypatch.setattr(responder_module, "CLAIM_S", LONG_S)
        yield taken
        # Silence is all there is to hear now.
        monkeypatch.setattr(responder_module, "CLAIM_S", 0.1)
        yield free

    await neighbour.announce(advert.name, server=f"{taken}.local.")
    async with open_responder(loopback) as responder:
        assert await claim_host_name(responder, choices(), own_addresses=[]) == free
        with pytest.raises(OSError, match="taken"):
            await claim_host_name(responder, [taken], own_addresses=[])


async def test_a_host_name_that_leads_to_this_box_is_its_own(
    neighbour: Neighbour,
    loopback: list[InterfaceAddress],
    advert: Advert,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Something that answers on the box's behalf, such as a sleep proxy, is no rival."""
    monkeypatch.setattr(responder_module, "CLAIM_S", LONG_S)
    own = f"den-{advert.server_id}"
    await neighbour.announce(advert.name, server=f"{own}.local.")
    async with open_responder(loopback) as responder:
        assert await claim_host_name(responder, [own], own_addresses=["192.0.2.9"]) == own


@pytest.mark.parametrize("heard", [True, False])
async def test_a_box_notices_whether_it_hears_itself(
    loopback: list[InterfaceAddress], advert: Advert, heard: bool
) -> None:
    """With the way back cut, as by a firewall, the announcement does not return."""
    async with open_responder(loopback) as responder:
        if not heard:
            for reader in responder.zeroconf.engine.readers:
                drop_all_that_comes_in(reader.sock)
        service_name = f"{advert.name}.{SERVICE_TYPE}"
        await announce(responder, service_name)
        assert hears_itself(responder, service_name) is heard


def drop_all_that_comes_in(sock: socket.socket) -> None:
    """Put a packet filter on a socket that passes nothing, as a firewall would (linux/filter.h)."""
    program = ctypes.create_string_buffer(struct.pack("HBBI", BPF_RET, 0, 0, 0))
    sock.setsockopt(
        socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HL", 1, ctypes.addressof(program))
    )


async def announce(responder: AsyncZeroconf, service_name: str) -> None:
    info = AsyncServiceInfo(
        SERVICE_TYPE, service_name, port=80, server="a.local.", parsed_addresses=["192.0.2.9"]
    )
    await (await responder.async_register_service(info))
