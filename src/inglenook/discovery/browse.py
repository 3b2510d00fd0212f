"""Looks for boxes on the local network. Kind: hands."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import zeroconf
from zeroconf import DNSQuestionType, IPVersion, ServiceStateChange, Zeroconf
from zeroconf.asyncio import AsyncServiceBrowser, AsyncServiceInfo

from inglenook.discovery.addresses import InterfaceAddress
from inglenook.discovery.advert import SERVICE_TYPE
from inglenook.discovery.box import Answer, Box, read_box
from inglenook.discovery.interfaces import list_addresses
from inglenook.discovery.responder import open_responder
from inglenook.discovery.state import reason
from inglenook.errors import StartupError

# A household has a few; beyond this somebody is flooding the network.
MAX_ANSWERS = 256
LOOK_S = 5.0


async def find_boxes(
    timeout_s: float,
    *,
    until: Callable[[Box], bool] | None = None,
    addresses: Callable[[], list[InterfaceAddress]] = list_addresses,
) -> list[Box]:
    """Ask the network for boxes and listen for ``timeout_s`` seconds.

    Args:
        timeout_s: How long to listen. Two seconds find what is awake and near.
        until: Ends the search early, at the first box for which it is true.
        addresses: Lists this machine's addresses; called in a thread.

    Returns:
        The boxes by name, each ``server_id`` once.

    Raises:
        StartupError: If mDNS cannot be used here.
    """
    try:
        async with asyncio.timeout(LOOK_S):
            own = await asyncio.to_thread(addresses)
        async with open_responder(own) as responder:
            found = await _browse(responder.zeroconf, timeout_s, until)
    except (OSError, zeroconf.Error) as exc:
        raise StartupError(f"cannot search the network: {reason(exc)}") from exc
    return sorted(found, key=lambda box: (box.name, box.server_id or ""))


async def _browse(
    responder: Zeroconf, timeout_s: float, until: Callable[[Box], bool] | None
) -> list[Box]:
    """Collect boxes until the time is up or ``until`` is content."""
    boxes: dict[str, Box] = {}
    asked = 0

    async def resolve(service_name: str) -> None:
        box = await _resolve(responder, service_name, timeout_s)
        if box is None:
            return
        boxes[box.server_id or service_name] = box
        if until is not None and until(box) and not deadline.expired():
            deadline.reschedule(asyncio.get_running_loop().time())

    try:
        async with asyncio.timeout(timeout_s) as deadline, asyncio.TaskGroup() as tasks:

            def seen(
                zeroconf: Zeroconf, service_type: str, name: str, state_change: ServiceStateChange
            ) -> None:
                nonlocal asked
                if state_change is not ServiceStateChange.Removed and asked < MAX_ANSWERS:
                    asked += 1
                    tasks.create_task(resolve(name), name=f"resolve {name}")

            # Multicast questions only: a unicast answer may end up in another program's socket,
            # such as this box's own announcer.
            async with AsyncServiceBrowser(
                responder, SERVICE_TYPE, handlers=[seen], question_type=DNSQuestionType.QM
            ):
                await asyncio.get_running_loop().create_future()
    except TimeoutError:
        pass
    return list(boxes.values())


async def _resolve(responder: Zeroconf, service_name: str, timeout_s: float) -> Box | None:
    """Ask for a service's records; None if they do not come or make no sense."""
    try:
        info = AsyncServiceInfo(SERVICE_TYPE, service_name)
    except zeroconf.BadTypeInNameException:
        return None  # anybody may announce anything
    complete = await info.async_request(responder, timeout_s * 1000, DNSQuestionType.QM)
    if not complete or info.server is None or info.port is None:
        return None
    return read_box(
        Answer(
            name=service_name.removesuffix(f".{SERVICE_TYPE}"),
            host_name=info.server,
            port=info.port,
            addresses=info.parsed_scoped_addresses(IPVersion.All),
            txt=info.properties,
        )
    )
