"""A model comes whole or not at all, over as many connections as it takes; from a real server."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import pytest
from aiohttp import web

from inglenook.common.errors import StartupError
from inglenook.models import fetch
from inglenook.models.fetch import FetchError, fetch_model
from tests.parts.gguf_files import small_model

MODEL = small_model()


@dataclass
class Server:
    """A server of one file, and how it is with it."""

    url: str = ""
    data: bytes = MODEL
    etag: str = '"one"'
    sha256: str | None = None
    cut_after: int | None = None
    status: int = 200
    tells_length: bool = True
    ranges: list[str | None] = field(default_factory=list)
    heard: asyncio.Event = field(default_factory=asyncio.Event)

    def progress(self, _what: str, _fraction: float | None) -> None:
        """What was sent has come; before that, a line that is cut loses it."""
        self.heard.set()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.ranges.append(request.headers.get("Range"))
        if self.status != 200:
            return web.Response(status=self.status)
        begin = 0
        given = request.headers.get("Range")
        if given is not None and request.headers.get("If-Range") == self.etag:
            begin = int(given.removeprefix("bytes=").removesuffix("-"))
            if begin >= len(self.data):
                return web.Response(status=416)
        response = web.StreamResponse(status=206 if begin else 200)
        response.headers["ETag"] = self.etag
        if self.tells_length:
            response.content_length = len(self.data) - begin
        await response.prepare(request)
        end = len(self.data) if self.cut_after is None else begin + self.cut_after
        await response.write(self.data[begin:end])
        if self.cut_after is not None and request.transport is not None:
            async with asyncio.timeout(20):
                await self.heard.wait()
            self.heard.clear()
            request.transport.close()
        return response

    async def elsewhere(self, _request: web.Request) -> web.Response:
        headers = {"Location": "/files/model.gguf"}
        if self.sha256 is not None:
            headers["X-Linked-Etag"] = f'"{self.sha256}"'
        return web.Response(status=302, headers=headers)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    served = Server()
    app = web.Application()
    app.router.add_get("/files/{name}", served.answer)
    app.router.add_get("/resolve/{name}", served.elsewhere)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    served.url = f"http://127.0.0.1:{runner.addresses[0][1]}/files/model.gguf"
    yield served
    await runner.cleanup()


async def left(folder: Path) -> list[str]:
    names = await asyncio.to_thread(lambda: [path.name for path in folder.iterdir()])
    return sorted(name for name in names if name != ".pull.lock")


async def read(path: Path) -> bytes:
    return await asyncio.to_thread(path.read_bytes)


async def test_a_model_comes_and_is_not_fetched_twice(server: Server, tmp_path: Path) -> None:
    """Under the name its address ends in; and one is told how far it is."""
    heard: list[float | None] = []

    path = await fetch_model(server.url, tmp_path, progress=lambda _, part: heard.append(part))
    again = await fetch_model(server.url, tmp_path, progress=server.progress)

    assert path == again == tmp_path / "model.gguf"
    assert await read(path) == MODEL
    assert await left(tmp_path) == ["model.gguf"]
    assert server.ranges == [None]
    assert 1.0 in heard


async def test_a_broken_download_goes_on_where_it_stopped(server: Server, tmp_path: Path) -> None:
    """As often as it breaks; until then there is no model."""
    server.cut_after = len(MODEL) // 3 + 1
    for _ in range(2):
        with pytest.raises(FetchError, match=r"broke off .*; the same command goes on where it"):
            await fetch_model(server.url, tmp_path, progress=server.progress)
        assert "model.gguf" not in await left(tmp_path)
    server.cut_after = None

    path = await fetch_model(server.url, tmp_path, progress=server.progress)

    step = len(MODEL) // 3 + 1
    assert server.ranges == [None, f"bytes={step}-", f"bytes={2 * step}-"]
    assert await read(path) == MODEL
    assert await left(tmp_path) == ["model.gguf"]


async def test_one_that_came_whole_and_was_not_looked_at_comes_again(
    server: Server, tmp_path: Path
) -> None:
    """As after a power cut at the very end."""
    server.cut_after = len(MODEL) - 1
    with pytest.raises(FetchError):
        await fetch_model(server.url, tmp_path, progress=server.progress)
    part = tmp_path / ".model.gguf.part"
    await asyncio.to_thread(part.write_bytes, MODEL)
    server.cut_after = None

    assert await read(await fetch_model(server.url, tmp_path, progress=server.progress)) == MODEL
    assert server.ranges == [None, f"bytes={len(MODEL)}-", None]


@pytest.mark.parametrize("etag", ['"two"', 'W/"one"', ""])
async def test_halves_of_two_files_are_not_joined(
    server: Server, tmp_path: Path, etag: str
) -> None:
    """What has changed meanwhile, or cannot be told from what has, begins anew."""
    server.etag = '"one"' if etag == '"two"' else etag
    server.cut_after = 1000
    with pytest.raises(FetchError):
        await fetch_model(server.url, tmp_path, progress=server.progress)
    server.etag, server.cut_after = etag, None

    path = await fetch_model(server.url, tmp_path, progress=server.progress)

    assert await read(path) == MODEL


async def test_the_hash_that_a_hub_tells_has_to_be_right(server: Server, tmp_path: Path) -> None:
    """It tells it before it sends one elsewhere for the file."""
    url = server.url.replace("/files/", "/resolve/")
    server.sha256 = "0" * 64
    with pytest.raises(FetchError, match=f"the server says {'0' * 64}; try again"):
        await fetch_model(url, tmp_path, progress=server.progress)
    assert await left(tmp_path) == []
    server.sha256 = hashlib.sha256(MODEL).hexdigest()

    assert await read(await fetch_model(url, tmp_path, progress=server.progress)) == MODEL


async def test_what_is_no_model_is_not_kept(server: Server, tmp_path: Path) -> None:
    """A page that asks one to sign in, say."""
    server.data = b"<!DOCTYPE html><html>Sign in</html>"

    with pytest.raises(StartupError, match="web page"):
        await fetch_model(server.url, tmp_path, progress=server.progress)

    assert await left(tmp_path) == []


@pytest.mark.parametrize(
    ("status", "words"),
    [(404, "nothing at that address"), (401, "signed in"), (403, "not for"), (500, "says 500")],
)
async def test_a_refusal_is_a_sentence(
    server: Server, tmp_path: Path, status: int, words: str
) -> None:
    """With what to do."""
    server.status = status

    with pytest.raises(FetchError, match=words):
        await fetch_model(server.url, tmp_path, progress=server.progress)


@pytest.mark.parametrize("name", ["model", ".gguf", "..%2Fmodel.gguf", "a%0Ab.gguf", ""])
async def test_an_address_has_to_end_in_a_models_name(
    server: Server, tmp_path: Path, name: str
) -> None:
    """Which is never a way out of the folder."""
    with pytest.raises(FetchError, match="ends in its name"):
        await fetch_model(
            server.url.replace("model.gguf", name), tmp_path, progress=server.progress
        )

    assert server.ranges == []


async def test_a_download_of_unknown_size_leaves_room_on_the_disk(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server may say nothing of a length, and go on for ever."""
    server.tells_length, server.data = False, bytes(8 << 20)
    free = fetch._RESERVE_BYTES + (3 << 20)

    def disk_usage(folder: Path) -> SimpleNamespace:
        return SimpleNamespace(free=free - sum(path.stat().st_size for path in folder.iterdir()))

    monkeypatch.setattr("inglenook.models.fetch.shutil.disk_usage", disk_usage)
    with pytest.raises(FetchError, match="of free space"):
        await fetch_model(server.url, tmp_path, progress=server.progress)

    sizes = await asyncio.to_thread(lambda: [path.stat().st_size for path in tmp_path.iterdir()])
    assert sum(sizes) <= 4 << 20


@pytest.mark.parametrize("name", [".model.gguf.part", ".model.gguf.part.json"])
async def test_a_download_does_not_write_through_a_link(
    server: Server, tmp_path: Path, name: str
) -> None:
    """Root may be fetching into a folder that the service's user controls."""
    precious, models = tmp_path / "precious", tmp_path / "models"

    def prepare() -> None:
        precious.write_text("as it was")
        models.mkdir()
        (models / name).symlink_to(precious)

    await asyncio.to_thread(prepare)
    with contextlib.suppress(FetchError):
        await fetch_model(server.url, models, progress=server.progress)

    assert await read(precious) == b"as it was"


async def test_nobody_there_is_a_sentence(tmp_path: Path) -> None:
    """No network, or a name with a slip in it."""
    with pytest.raises(FetchError, match="the download broke off"):
        await fetch_model("http://127.0.0.1:1/model.gguf", tmp_path, progress=print)
