"""The page's own files, read once and served from memory. Kind: hands."""

from __future__ import annotations

import hashlib
from importlib.resources import files
from pathlib import PurePath

from aiohttp import hdrs, web

#: By the ends of their names. Of these, Python's own list and each system's say different things.
_CONTENT_TYPES = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}


class PageFile:
    """One file of the page."""

    def __init__(self, body: bytes, content_type: str) -> None:
        self._body = body
        self._content_type = content_type
        self._etag = hashlib.sha256(body).hexdigest()[:16]

    async def serve(self, request: web.Request) -> web.Response:
        """Send it, or 304 if the phone's copy is current."""
        known = request.if_none_match or ()
        # Revalidated every time, so that a new version is seen at once; mostly a 304.
        headers = {hdrs.CACHE_CONTROL: "no-cache", hdrs.ETAG: f'"{self._etag}"'}
        if any(etag.value == self._etag for etag in known):
            return web.Response(status=304, headers=headers)
        return web.Response(
            body=self._body, content_type=self._content_type, charset="utf-8", headers=headers
        )


def read_pages() -> dict[str, PageFile]:
    """Read ``pages/``; the paths are the files' names, and ``/`` for ``index.html``."""
    pages = {}
    for file in files("inglenook.gateway").joinpath("pages").iterdir():
        content_type = _CONTENT_TYPES.get(PurePath(file.name).suffix)
        # An editor may have left a file there.
        if content_type is None or not file.is_file():
            continue
        path = "/" if file.name == "index.html" else f"/{file.name}"
        pages[path] = PageFile(file.read_bytes(), content_type)
    return pages
