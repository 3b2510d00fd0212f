"""A pairing QR code and its code, as lines for a terminal."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from itertools import zip_longest

import segno

from inglenook.cli.terminal.output import columns_of
from inglenook.client.fingerprint import short_pin

#: Black squares on white, whatever the terminal's colours: phones' cameras need it.
_COLOURS = "\x1b[30;107m"
_PLAIN = "\x1b[0m"

#: Modules of quiet zone; the standard asks for four, cameras need two.
_BORDER = 2

_INDENT = 2

#: Between the QR code and the text beside it: both have to fit 80 columns.
_GAP = "   "

_HALVES = {(False, False): " ", (True, False): "▀", (False, True): "▄", (True, True): "█"}


def print_pairing(
    *,
    urls: Sequence[str],
    code: str,
    secret: str,
    server_id: str,
    spki_sha256: str | None,
) -> None:
    """Print the QR code, address and code with which a phone pairs; see `pairing_lines`."""
    lines = pairing_lines(
        urls=urls,
        code=code,
        secret=secret,
        server_id=server_id,
        spki_sha256=spki_sha256,
        columns=columns_of(sys.stdout),
    )
    print("\n".join(lines), flush=True)


def pairing_lines(
    *,
    urls: Sequence[str],
    code: str,
    secret: str,
    server_id: str,
    spki_sha256: str | None,
    columns: int | None = None,
) -> list[str]:
    """The QR code, address and code with which a phone pairs.

    Args:
        urls: Addresses of the page.
        code: For typing.
        secret: For the QR code; in the URL's fragment, which browsers never send.
        server_id: The box's id.
        spki_sha256: Fingerprint of its TLS key, for apps that pin it.
        columns: Width of the terminal; None if stdout is none. The QR code is left out if it does
            not fit, since a broken one is useless.
    """
    page = _for_phones(urls)
    link = f"{page}/#p={secret}&id={server_id}"
    if spki_sha256 is not None:
        link += f"&fp={spki_sha256}"
    key = [] if spki_sha256 is None else ["", f"TLS key: {short_pin(spki_sha256)}"]
    typed = [page, "and type the code", "", f"   {code}", "", "It works once, for 5 minutes.", *key]
    alone = ["Pair a phone: open", *typed]
    if not _shows_blocks():
        return _indented([*alone, "The QR code's link:", link])
    drawn = qr_lines(link, coloured=sys.stdout.isatty() and os.environ.get("TERM") != "dumb")
    width = _INDENT + len(qr_lines(link, coloured=False)[0])
    beside = ["", "Pair a phone: scan this,", "", "or open", *typed]
    if columns is None or columns >= width + len(_GAP) + max(map(len, beside)):
        rows = zip_longest(drawn, beside, fillvalue="")
        return _indented(f"{line}{_GAP}{text}" for line, text in rows)
    if columns >= width:
        return _indented([*drawn, *beside])
    return _indented([*alone, "", "A wider terminal shows a QR code."])


def qr_lines(text: str, *, coloured: bool) -> list[str]:
    """Draw ``text`` as a QR code, two rows of squares a line.

    Args:
        text: The content.
        coloured: With control sequences for colours, which files and dumb terminals would show.
    """
    rows = [
        [bool(square) for square in row]
        for row in segno.make(text, error="l", micro=False).matrix_iter(border=_BORDER)
    ]
    if len(rows) % 2:
        rows.append([False] * len(rows[0]))
    lines = [
        "".join(_HALVES[pair] for pair in zip(upper, lower, strict=True))
        for upper, lower in zip(rows[::2], rows[1::2], strict=True)
    ]
    return [f"{_COLOURS}{line}{_PLAIN}" for line in lines] if coloured else lines


def _indented(lines: Iterable[str]) -> list[str]:
    return [f"{' ' * _INDENT}{line}".rstrip() for line in lines]


def _shows_blocks() -> bool:
    """Whether stdout's encoding has the block characters of a QR code."""
    try:
        "".join(_HALVES.values()).encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True


def _for_phones(urls: Sequence[str]) -> str:
    """The address that every phone can open: numeric, as not all phones resolve .local names."""
    numbers = [url for url in urls if not url.rpartition(":")[0].endswith(".local")]
    return (numbers or list(urls))[0]
