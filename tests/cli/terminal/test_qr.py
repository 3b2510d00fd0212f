"""To pair a phone, the terminal shows a code for its camera and one for fingers."""

from __future__ import annotations

import io
import sys

import pytest
import segno

from inglenook.cli.terminal.qr import pairing_lines, qr_lines

URL = "http://192.168.1.2:8377"
SECRET = "s" * 22
HALVES = {" ": (False, False), "▀": (True, False), "▄": (False, True), "█": (True, True)}


def link(spki: str) -> str:
    return f"{URL}/#p={SECRET}&id=0123abcd&fp={spki}"


def lines_for(*urls: str, spki: str | None = None, columns: int | None = None) -> list[str]:
    return pairing_lines(
        urls=urls,
        code="ABCD-EFGH",
        secret=SECRET,
        server_id="0123abcd",
        spki_sha256=spki,
        columns=columns,
    )


def test_the_drawing_is_the_code_square_by_square() -> None:
    """With two squares of white around it."""
    text = f"{URL}/#p={SECRET}&id=0123abcd"
    matrix = [list(map(bool, row)) for row in segno.make(text, error="l", micro=False).matrix]
    width = len(matrix)

    rows: list[list[bool]] = []
    for line in qr_lines(text, coloured=False):
        halves = [HALVES[character] for character in line]
        rows += [[upper for upper, _ in halves], [lower for _, lower in halves]]

    assert [row[2:-2] for row in rows[2 : 2 + width]] == matrix
    white = [row for number, row in enumerate(rows) if not 2 <= number < 2 + width]
    assert not any(any(row) for row in white)
    assert not any(row[0] or row[1] or row[-1] or row[-2] for row in rows)
    assert len(white) >= 4


def test_a_terminal_gets_black_on_white_whatever_its_colours() -> None:
    """Cameras want it so."""
    plain = qr_lines("text", coloured=False)
    coloured = qr_lines("text", coloured=True)

    assert coloured == [f"\x1b[30;107m{line}\x1b[0m" for line in plain]


def test_code_and_address_can_be_typed() -> None:
    """The number rather than the name, since not every phone resolves .local."""
    text = "\n".join(lines_for("http://kitchen-ab12.local:8377", URL))

    assert "ABCD-EFGH" in text
    assert URL in text
    assert ".local" not in text
    assert SECRET not in text


def test_without_a_number_the_name_has_to_do() -> None:
    """A box that has no address yet."""
    assert "http://kitchen-ab12.local:8377" in "\n".join(
        lines_for("http://kitchen-ab12.local:8377")
    )


def test_it_all_fits_a_terminal_of_80_by_24() -> None:
    """The longest link there is: an address of fifteen characters and a fingerprint."""
    lines = lines_for("http://192.168.100.200:18377", spki="f" * 43)

    assert len(lines) <= 24
    assert max(map(len, lines)) <= 80
    assert any(line.endswith(f" TLS key: {'f' * 16}") for line in lines)


def test_a_narrower_terminal_has_the_words_below_the_code() -> None:
    """Each line fits, and the code is as it was."""
    wide = lines_for(URL, spki="f" * 43)
    drawn = qr_lines(link(spki="f" * 43), coloured=False)

    lines = lines_for(URL, spki="f" * 43, columns=60)

    assert max(map(len, lines)) <= 60
    assert [line.removeprefix("  ").rstrip() for line in lines[: len(drawn)]] == [
        line.rstrip() for line in drawn
    ]
    assert "\n".join(lines).count("ABCD-EFGH") == "\n".join(wide).count("ABCD-EFGH") == 1


def test_a_terminal_too_narrow_for_the_code_has_the_address_alone() -> None:
    """What lines break in two no camera reads."""
    lines = lines_for(URL, spki="f" * 43, columns=40)

    assert max(map(len, lines)) <= 40
    assert not set("".join(lines)) & set("▀▄█")
    assert f"  {URL}" in lines
    assert "     ABCD-EFGH" in lines


@pytest.mark.parametrize(("spki", "end"), [(None, ""), ("FP", "&fp=FP")])
def test_the_secret_is_behind_the_hash(spki: str | None, end: str) -> None:
    """Browsers never send what stands there; the fingerprint is for apps that pin the key."""
    drawn = qr_lines(f"{URL}/#p={SECRET}&id=0123abcd{end}", coloured=False)

    lines = lines_for(URL, spki=spki)

    for line, squares in zip(lines, drawn, strict=False):
        assert line.removeprefix("  ").startswith(squares.rstrip())


def test_a_terminal_without_blocks_gets_the_link(monkeypatch: pytest.MonkeyPatch) -> None:
    """A serial console in an old encoding; the code can be typed there too."""
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="ascii"))

    lines = lines_for(URL)

    assert all(line.isascii() for line in lines)
    assert f"{URL}/#p={SECRET}&id=0123abcd" in lines[-1]
    assert any("ABCD-EFGH" in line for line in lines)
