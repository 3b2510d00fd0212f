"""The page's files are served from memory, and not twice to a phone that has them."""

from __future__ import annotations

import pytest

from inglenook.gateway.http.page_files import read_pages
from tests.parts.box import Box

PAGES = sorted(read_pages())


def test_the_page_is_there_with_all_its_parts() -> None:
    """Under the names the page itself uses."""
    assert "/" in PAGES
    assert "/index.html" not in PAGES
    assert {"/app.js", "/style.css", "/icon.svg"} <= set(PAGES)


@pytest.mark.parametrize("path", PAGES)
def test_a_file_is_sent_once(box: Box, path: str) -> None:
    """A phone asks each time, so a new version is seen at once, but seldom loads."""
    first = box.http("GET", path)
    again = box.http("GET", path, headers={"If-None-Match": first.headers["ETag"]})
    stale = box.http("GET", path, headers={"If-None-Match": '"other"'})

    assert (first.status, again.status, stale.status) == (200, 304, 200)
    assert first.headers["Cache-Control"] == "no-cache"
    assert again.body == b""
    assert stale.body == first.body


@pytest.mark.parametrize(
    ("path", "content_type"),
    [
        ("/", "text/html; charset=utf-8"),
        ("/app.js", "text/javascript; charset=utf-8"),
        ("/style.css", "text/css; charset=utf-8"),
        ("/icon.svg", "image/svg+xml; charset=utf-8"),
    ],
)
def test_files_say_what_they_are(box: Box, path: str, content_type: str) -> None:
    """Browsers refuse scripts and styles that do not."""
    assert box.http("GET", path).headers["Content-Type"] == content_type


def test_the_page_names_no_other_site() -> None:
    """It works without the internet, and nobody outside learns of it."""
    for path, page in read_pages().items():
        text = page._body.decode()
        for address in ("https://", "//cdn", "http://"):
            assert address not in text.replace("http://www.w3.org/2000/svg", ""), (path, address)
