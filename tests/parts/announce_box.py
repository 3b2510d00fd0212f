"""A program that does nothing but announce a box until SIGTERM; writes each state as one line.

Usage: ``python -m tests.parts.announce_box NAME SERVER_ID PORT``
"""

from __future__ import annotations

import asyncio
import signal
import sys

from inglenook.discovery.advert import Advert
from inglenook.discovery.announcer import Announcer
from inglenook.discovery.settings import DiscoverySettings
from inglenook.discovery.state import AnnounceState

POLL_S = 0.05


async def main(name: str, server_id: str, port: str) -> None:
    """Announce everything an advert can hold."""
    advert = Advert(
        name=name,
        server_id=server_id,
        version="0.1.0",
        port=int(port),
        tls=True,
        fingerprint="AbCdEfGhIjKlMn_-",
        pairing_open=True,
        model="Qwen2.5-1.5B-Instruct-Q4_K_M",
        mac="dc:a6:32:01:02:03",
        status="ready",
    )
    announcer = Announcer(DiscoverySettings(), advert)
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(announcer.run(), name="announce")
        shown: AnnounceState | None = None
        await announcer.wait_first_state(timeout_s=20)
        while not stopped.is_set():
            if announcer.state != shown:
                shown = announcer.state
                sys.stdout.write(f"{shown.kind} {shown.sentence}\n")
                sys.stdout.flush()
            try:
                async with asyncio.timeout(POLL_S):
                    await stopped.wait()
            except TimeoutError:
                continue
        running.cancel()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
