"""Download of a model from a URL, resumed after a break. Kind: hands."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote, urlsplit

import aiohttp

from inglenook.common.errors import StartupError
from inglenook.common.units import format_bytes
from inglenook.common.wholefile import sync_folder, write_whole
from inglenook.models.inspect import inspect_model
from inglenook.models.workplace import in_thread, only_pull

Progress = Callable[[str, float | None], None]

_CHUNK_BYTES = 1 << 20

#: Time without a byte after which a connection counts as broken, seconds.
_SILENCE_S = 60.0

#: Left free for answers, devices and logs.
_RESERVE_BYTES = 256 << 20

_NAME = re.compile(r"[^./\\][^/\\]*\.gguf")

#: What Hugging Face says of a file before it sends one elsewhere for it: its SHA-256.
_HASH_HEADER = "X-Linked-Etag"
_SHA256 = re.compile(r'(?:W/)?"?([0-9a-f]{64})"?')

_NOTHING_BEYOND = 416

_REFUSED = {
    401: "it is for people who are signed in; fetch it with a browser",
    403: "it is not for everybody; fetch it with a browser",
    404: "there is nothing at that address; check it",
}


class FetchError(StartupError):
    """A model could not be fetched; says why and what to do."""


@dataclass
class _Part:
    """A partial download, beside the models under another name, with its URL and validator."""

    path: Path

    @property
    def _note(self) -> Path:
        return self.path.with_suffix(".part.json")

    def begun(self, url: str) -> tuple[int, str]:
        """Return the size so far, and the ETag by which the server knows the same file."""
        try:
            noted = json.loads(self._note.read_text())
            if noted["url"] == url and noted["etag"]:
                return self.path.stat().st_size, str(noted["etag"])
        except (OSError, ValueError, KeyError, TypeError):
            pass
        return 0, ""

    def note(self, url: str, etag: str) -> None:
        # A weak ETag does not allow ranges: RFC 9110, 13.1.5.
        kept = "" if etag.startswith("W/") else etag
        write_whole(self._note, json.dumps({"url": url, "etag": kept}).encode())

    def forget(self) -> None:
        self.path.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)


async def fetch_model(url: str, models_dir: Path, *, progress: Progress) -> Path:
    """Download the model of a URL unless it is there, and return its path.

    It gets its name only when it is complete, its hash is right if the server sends one, and it is
    a usable model. A partial download is retained for the next try.

    Args:
        url: URL of a ``.gguf`` file.
        models_dir: Created if missing.
        progress: Called with the present step, and the fraction done, or None if unknown.

    Raises:
        FetchError: If the download fails, with why and what to do.
        ModelFileError: If the file is no usable model.
    """
    name = unquote(urlsplit(url).path.rpartition("/")[2])
    if _NAME.fullmatch(name) is None or not name.isprintable():
        raise FetchError(f"{url}: the address of a GGUF file ends in its name, such as model.gguf")
    target = models_dir / name
    try:
        async with only_pull(models_dir, lambda: progress("waiting for another pull", None)):
            if not await asyncio.to_thread(target.exists):
                await _fetch(url, _Part(models_dir / f".{name}.part"), target, progress)
    except (aiohttp.ClientError, TimeoutError) as exc:
        why = str(exc) or "nothing came any more"
        text = f"{url}: the download broke off ({why}); the same command goes on where it stopped"
        raise FetchError(text) from exc
    except OSError as exc:
        text = f"{exc.filename or models_dir}: cannot be written: {exc.strerror}"
        raise FetchError(text) from exc
    return target


async def _fetch(url: str, part: _Part, target: Path, progress: Progress) -> None:
    begun_bytes, etag = await asyncio.to_thread(part.begun, url)
    headers = {"Accept-Encoding": "identity"}
    if begun_bytes:
        headers |= {"Range": f"bytes={begun_bytes}-", "If-Range": etag}
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=_SILENCE_S, sock_read=_SILENCE_S)
    async with (
        aiohttp.ClientSession(timeout=timeout, trust_env=True) as session,
        session.get(url, headers=headers) as answer,
    ):
        if answer.status == _NOTHING_BEYOND and begun_bytes:
            # It was complete, and not checked any more; or the server's file is shorter now.
            await asyncio.to_thread(part.forget)
            return await _fetch(url, part, target, progress)
        if answer.status not in (200, 206):
            raise FetchError(f"{url}: {_refusal(answer)}")
        if answer.status == 200:
            begun_bytes = 0
        await _receive(url, answer, part, begun_bytes, progress)
        sha256 = _told_hash(answer)
    progress("checking", None)
    return await in_thread(partial(_install, part, target, sha256))


async def _receive(
    url: str, answer: aiohttp.ClientResponse, part: _Part, begun_bytes: int, progress: Progress
) -> None:
    length = answer.content_length
    whole_bytes = None if length is None else begun_bytes + length
    await in_thread(partial(_check_space, part.path.parent, length))
    await in_thread(partial(part.note, url, answer.headers.get("ETag", "")))
    come_bytes = begun_bytes
    file = await in_thread(partial(_open, part.path, begun_bytes))
    try:
        async for chunk in answer.content.iter_chunked(_CHUNK_BYTES):
            await in_thread(partial(_write, file, chunk, part.path.parent))
            come_bytes += len(chunk)
            told = f"downloading, {format_bytes(come_bytes)}"
            progress(told, come_bytes / whole_bytes if whole_bytes else None)
    finally:
        await asyncio.to_thread(file.close)


def _open(path: Path, begun_bytes: int) -> BinaryIO:
    # Not through a link: root may be doing this in a folder that the service's user controls.
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    file = os.fdopen(os.open(path, flags, 0o644), "r+b")
    file.seek(begun_bytes)
    file.truncate()
    return file


def _write(file: BinaryIO, chunk: bytes, folder: Path) -> None:
    """Write a chunk, while there is room: not every server sends a length."""
    _check_space(folder, len(chunk))
    file.write(chunk)


def _check_space(folder: Path, length: int | None) -> None:
    free_bytes = shutil.disk_usage(folder).free
    needed_bytes = (length or 0) + _RESERVE_BYTES
    if free_bytes < needed_bytes:
        needed, free = format_bytes(needed_bytes), format_bytes(free_bytes)
        raise FetchError(f"it takes {needed} of free space, and {folder} has {free}; make room")


def _install(part: _Part, target: Path, sha256: str | None) -> None:
    with part.path.open("rb") as file:
        os.fchmod(file.fileno(), 0o644)
        os.fsync(file.fileno())
        found = hashlib.file_digest(file, "sha256").hexdigest() if sha256 else None
    if found != sha256:
        part.forget()
        text = f"what came has the SHA-256 {found}, and the server says {sha256}; try again"
        raise FetchError(f"{target.name}: {text}")
    try:
        inspect_model(part.path)
    except StartupError:
        part.forget()
        raise
    part.path.replace(target)
    part.forget()
    sync_folder(target.parent)


def _told_hash(answer: aiohttp.ClientResponse) -> str | None:
    """Return the SHA-256 in the server's headers, or in those of its redirect; else None."""
    for reply in (*answer.history, answer):
        if match := _SHA256.fullmatch(reply.headers.get(_HASH_HEADER, "")):
            return match[1]
    return None


def _refusal(answer: aiohttp.ClientResponse) -> str:
    told = f"the server says {answer.status} {answer.reason}"
    return f"{told}: {_REFUSED[answer.status]}" if answer.status in _REFUSED else told
