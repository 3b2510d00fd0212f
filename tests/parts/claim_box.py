"""A program that announces a service of the box's kind by the plain library, until SIGTERM.

It asks nobody whether the names are free, and never gives way: like a responder that is wrong.

Usage: ``python -m tests.parts.claim_box NAME HOST ADDRESS PORT``
"""

from __future__ import annotations

import asyncio
import signal
import sys

from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf

from inglenook.discovery.advert import SERVICE_TYPE


async def main(name: str, host: str, address: str, port: str) -> None:
    """Announce it."""
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    responder = AsyncZeroconf(interfaces=[address])
    info = AsyncServiceInfo(
        SERVICE_TYPE,
        f"{name}.{SERVICE_TYPE}",
        port=int(port),
        properties={"id": "99999999"},
        server=f"{host}.local.",
        parsed_addresses=[address],
    )
    await (await responder.async_register_service(info, cooperating_responders=True))
    await stopped.wait()
    await responder.async_close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
