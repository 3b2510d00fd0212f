"""A program that announces a box until SIGTERM; writes each state as one line.

It serves ``/.well-known/inglenook``, as every box does, and keeps its names in a folder.

Usage: ``python -m tests.parts.announce_box NAME SERVER_ID PORT [FOLDER]``
"""

from __future__ import annotations

import asyncio
import secrets
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web

from inglenook.auth.identity_files import RememberedNames
from inglenook.discovery.advert import Advert, host_name, instance_name
from inglenook.discovery.announcer import Announcer
from inglenook.discovery.names import PreviousNames
from inglenook.discovery.settings import DiscoverySettings
from inglenook.discovery.state import AnnounceState

POLL_S = 0.05


@asynccontextmanager
async def answering(
    announcer: Announcer, server_id: str, run_id: str, port: int
) -> AsyncIterator[None]:
    """Say who this is to whoever asks, over IPv4 and IPv6."""

    async def well_known(_request: web.Request) -> web.Response:
        said = {"server_id": server_id, "name": announcer.name, "run_id": run_id}
        return web.json_response(said)

    app = web.Application()
    app.router.add_get("/.well-known/inglenook", well_known)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, None, port).start()
        yield
    finally:
        await runner.cleanup()


async def main(name: str, server_id: str, port: str, folder: str | None = None) -> None:
    """Announce everything an advert can hold."""
    advert = Advert(
        name=name,
        server_id=server_id,
        version="0.1.0",
        port=int(port),
        tls=True,
        fingerprint="AbCdEfGhIjKlMn_-",
        pairing_open=True,
        models=("Qwen2.5-1.5B-Instruct-Q4_K_M",),
        mac="dc:a6:32:01:02:03",
        status="ready",
    )
    kept, last = None, PreviousNames()
    if folder is not None:
        kept = RememberedNames(Path(folder))
        last = PreviousNames(
            kept.instance(instance_name(name)), kept.host(host_name(name, server_id))
        )
    run_id = secrets.token_hex(4)
    announcer = Announcer(DiscoverySettings(), advert, run_id=run_id, last_names=last)
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    async with answering(announcer, server_id, run_id, int(port)), asyncio.TaskGroup() as tasks:
        running = tasks.create_task(announcer.run(), name="announce")
        shown: AnnounceState | None = None
        await announcer.wait_first_state(timeout_s=20)
        while not stopped.is_set():
            if announcer.state != shown:
                shown = announcer.state
                if kept is not None:
                    names = announcer.names
                    kept.remember(instance_name(name), names.instance, names.host)
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
