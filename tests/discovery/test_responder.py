from __future__ import annotations

import errno
import socket
from dataclasses import replace

import pytest
from zeroconf import DNSOutgoing, DNSQuestion  # type: ignore[attr-defined]

from inglenook.discovery.addresses import InterfaceAddress, links_of
from inglenook.discovery.responder import close_responder, open_on_link, open_responder

LOOPBACK = "lo"


async def test_without_an_address_it_does_not_open() -> None:
    """The error is the one a missing network gives, and no socket is left behind."""
    with pytest.raises(OSError, match="no interface") as caught:
        async with open_responder([]):
            pass
    assert caught.value.errno == errno.ENODEV


async def test_on_a_link_that_is_gone_it_does_not_open(loopback: list[InterfaceAddress]) -> None:
    """Between listing and opening, somebody may pull the card out."""
    gone = replace(links_of(loopback)[LOOPBACK], interface="gone0")
    with pytest.raises(OSError, match="No such device"):
        await open_on_link(gone)


async def test_on_a_link_it_listens_there_only(loopback: list[InterfaceAddress]) -> None:
    """Linux hands what is multicast on any link to every socket, unless told otherwise."""
    responder = await open_on_link(links_of(loopback)[LOOPBACK])
    try:
        (listener, *_senders) = responder.zeroconf.engine.readers
        named = listener.sock.getsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, 16)
        assert named.rstrip(b"\0") == LOOPBACK.encode()
    finally:
        await close_responder(responder)


async def test_what_cannot_be_written_is_left_unsaid(loopback: list[InterfaceAddress]) -> None:
    """Strangers' names may be such, once they were read."""
    out = DNSOutgoing(0)
    out.add_question(DNSQuestion(f"{'x' * 64}.local.", 1, 1))
    async with open_responder(loopback) as responder:
        responder.zeroconf.async_send(out)


async def test_an_address_of_the_other_family_that_comes_later_changes_no_listener(
    loopback: list[InterfaceAddress],
) -> None:
    """Or that would be a new one, which hears all links."""
    link = links_of(loopback)[LOOPBACK]
    responder = await open_on_link(link)
    try:
        before = responder.zeroconf.engine.readers[0].sock.fileno()
        await responder.async_update_interfaces([*link.sending, "::1"])
        assert responder.zeroconf.engine.readers[0].sock.fileno() == before
    finally:
        await close_responder(responder)


async def test_a_kernel_that_does_not_allow_it_is_lived_with(
    loopback: list[InterfaceAddress], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before Linux 5.7 it wants a privilege that the service does not have."""
    asked: list[int] = []

    def refuse(self: object, level: int, option: int, *_value: object) -> None:
        if option == socket.SO_BINDTODEVICE:
            asked.append(level)
            raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr("asyncio.trsock.TransportSocket.setsockopt", refuse)
    responder = await open_on_link(links_of(loopback)[LOOPBACK])
    await close_responder(responder)
    assert asked == [socket.SOL_SOCKET]
