"""To pair a phone, the terminal shows a code for its camera and one for fingers."""

from __future__ import annotations

import segno

from inglenook.cli.qr import pairing_lines, qr_lines

HALVES = {" ": (False, False), "▀": (True, False), "▄": (False, True), "█": (True, True)}


def squares(lines: list[str]) -> list[list[bool]]:
    """The black squares of a drawn code, row by row."""
    rows: list[list[bool]] = []
    for line in lines:
        drawn = line.removeprefix("\x1b[30;107m").removesuffix("\x1b[0m")
        assert line == f"\x1b[30;107m{drawn}\x1b[0m"
        halves = [HALVES[character] for character in drawn]
        rows += [[upper for upper, _ in halves], [lower for _, lower in halves]]
    return rows


def test_the_drawing_is_the_code_square_by_square() -> None:
    """Black on white whatever the terminal's colours, with two squares of white around it."""
    text = "http://192.168.1.2:8377/#p=abcdefghijklmnopqrstuv&id=0123abcd"
    matrix = [list(map(bool, row)) for row in segno.make(text, error="l", micro=False).matrix]
    width = len(matrix)

    rows = squares(qr_lines(text))

    assert [row[2:-2] for row in rows[2 : 2 + width]] == matrix
    white = [row for number, row in enumerate(rows) if not 2 <= number < 2 + width]
    assert not any(any(row) for row in white)
    assert not any(row[0] or row[1] or row[-1] or row[-2] for row in rows)
    assert len(white) >= 4


def lines_for(*urls: str, spki: str | None = None) -> list[str]:
    return pairing_lines(
        urls=urls, code="ABCD-EFGH", secret="s" * 22, server_id="0123abcd", spki_sha256=spki
    )


def test_code_and_address_can_be_typed() -> None:
    """The number rather than the name, since not every phone resolves .local."""
    text = "\n".join(lines_for("http://kitchen-ab12.local:8377", "http://192.168.1.2:8377"))

    assert "ABCD-EFGH" in text
    assert "open http://192.168.1.2:8377 and" in text
    assert "s" * 22 not in text


def test_without_a_number_the_name_has_to_do() -> None:
    """A box that has no address yet."""
    assert any(
        "http://kitchen-ab12.local:8377" in line
        for line in lines_for("http://kitchen-ab12.local:8377")
    )


def test_the_secret_is_behind_the_hash() -> None:
    """Browsers never send what stands there; the fingerprint is for apps that pin the key."""
    url = "http://192.168.1.2:8377"
    plain = qr_lines(f"{url}/#p={'s' * 22}&id=0123abcd")
    pinned = qr_lines(f"{url}/#p={'s' * 22}&id=0123abcd&fp=FP")

    assert [line.strip() for line in lines_for(url)][2 : 2 + len(plain)] == plain
    assert [line.strip() for line in lines_for(url, spki="FP")][2 : 2 + len(pinned)] == pinned
