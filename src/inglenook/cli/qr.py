"""A pairing QR code and its code, as lines for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

import segno

#: White ground and black squares whatever the terminal's own colours, for phones' cameras.
_COLOURS = "\x1b[30;107m"
_PLAIN = "\x1b[0m"

#: Modules of quiet zone; the standard asks for four, cameras need two.
_BORDER = 2

_HALVES = {(False, False): " ", (True, False): "▀", (False, True): "▄", (True, True): "█"}


def pairing_lines(
    *,
    urls: Sequence[str],
    code: str,
    secret: str,
    server_id: str,
    spki_sha256: str | None,
) -> list[str]:
    """Write what a person needs to pair a phone.

    Args:
        urls: Where the page is.
        code: For typing.
        secret: For the QR code; it stands in the fragment, which browsers never send.
        server_id: Who the box is.
        spki_sha256: Fingerprint of its TLS key, for apps that pin it.
    """
    page = _for_phones(urls)
    link = f"{page}/#p={secret}&id={server_id}"
    if spki_sha256 is not None:
        link += f"&fp={spki_sha256}"
    return [
        "  Pair a phone: scan this,",
        "",
        *(f"  {line}" for line in qr_lines(link)),
        "",
        f"  or open {page} and type the code",
        "",
        f"      {code}",
        "",
        "  It works once, for 5 minutes.",
    ]


def qr_lines(text: str) -> list[str]:
    """Draw ``text`` as a QR code, two rows of squares a line."""
    rows = [
        [bool(square) for square in row]
        for row in segno.make(text, error="l", micro=False).matrix_iter(border=_BORDER)
    ]
    if len(rows) % 2:
        rows.append([False] * len(rows[0]))
    return [
        _COLOURS + "".join(_HALVES[pair] for pair in zip(upper, lower, strict=True)) + _PLAIN
        for upper, lower in zip(rows[::2], rows[1::2], strict=True)
    ]


def _for_phones(urls: Sequence[str]) -> str:
    """The address every phone can open: a number, since not all of them resolve .local names."""
    numbers = [url for url in urls if not url.rpartition(":")[0].endswith(".local")]
    return (numbers or list(urls))[0]
