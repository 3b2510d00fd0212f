"""Something that says who it is as a box does, and nothing else.

Usage: ``python -m tests.parts.answering PORT SERVER_ID NAME [RUN_ID]`` until it is killed.
"""

from __future__ import annotations

import asyncio
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web


@asynccontextmanager
async def answering(
    host: str,
    port: int,
    server_id: str,
    name: str = "Kitchen",
    run_id: str | None = None,
    *,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[int]:
    """Answer there until the end of the block; gives the port, which is a free one for 0."""

    async def hello(_request: web.Request) -> web.Response:
        run = {} if run_id is None else {"run_id": run_id}
        return web.json_response({"server_id": server_id, "name": name, **run})

    app = web.Application()
    app.router.add_get("/.well-known/inglenook", hello)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port, ssl_context=tls).start()
        bound: int = runner.addresses[0][1]
        yield bound
    finally:
        await runner.cleanup()


async def main(port: str, server_id: str, name: str, run_id: str | None = None) -> None:
    """Answer at every address."""
    async with answering("", int(port), server_id, name, run_id):
        sys.stdout.write("answers\n")
        sys.stdout.flush()
        await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
