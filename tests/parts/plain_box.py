"""A box as python-zeroconf alone announces one: all its addresses on every link, its names unasked.

So does a version before this one, and whatever else is made with that library. It says who it is to
whoever asks, if it is given the id of a run.

Usage: ``python -m tests.parts.plain_box NAME SERVER_ID HOST_NAME PORT ADDRESS,… [RUN_ID]``
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import AsyncExitStack

from zeroconf import IPVersion
from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf

from inglenook.discovery.addresses import sending_interfaces
from inglenook.discovery.advert import SERVICE_TYPE
from inglenook.discovery.interfaces import list_addresses
from tests.parts.answering import answering


async def main(
    name: str, server_id: str, host_name: str, port: str, addresses: str, run_id: str | None = None
) -> None:
    """Announce until it is killed."""
    info = AsyncServiceInfo(
        SERVICE_TYPE,
        f"{name}.{SERVICE_TYPE}",
        port=int(port),
        properties={"txtvers": "1", "id": server_id, "st": "ready"},
        server=f"{host_name}.local.",
        parsed_addresses=addresses.split(","),
    )
    links = sending_interfaces(await asyncio.to_thread(list_addresses))
    async with AsyncExitStack() as stack:
        if run_id is not None:
            await stack.enter_async_context(answering("", int(port), server_id, name, run_id))
        responder = AsyncZeroconf(interfaces=links, ip_version=IPVersion.All)
        stack.push_async_callback(responder.async_close)
        await (await responder.async_register_service(info, cooperating_responders=True))
        sys.stdout.write("announced\n")
        sys.stdout.flush()
        await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
