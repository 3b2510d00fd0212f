"""A magic packet is six bytes of ff and a card's address sixteen times, wherever it stands."""

from __future__ import annotations

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from inglenook.power.magic import (
    PACKET_BYTES_MAX,
    is_called,
    magic_packet,
    parse_password,
)

MAC = bytes.fromhex("dca632010203")
SEQUENCE_BYTES = 102

macs = st.binary(min_size=6, max_size=6)
passwords = st.none() | st.binary(min_size=4, max_size=4) | macs


@pytest.mark.parametrize(
    ("text", "password"),
    [
        ("00:11:22:33:44:55", bytes.fromhex("001122334455")),
        ("192.168.1.1", bytes([192, 168, 1, 1])),
        ("0.0.0.255", bytes([0, 0, 0, 255])),
    ],
)
def test_a_password_has_six_bytes_or_four(text: str, password: bytes) -> None:
    """Written as etherwake(8) takes it."""
    assert parse_password(text) == password


@pytest.mark.parametrize("text", ["", "secret", "256.0.0.1", "1.2.3", "1.2.3.4.5", "001122334455"])
def test_a_wrong_password_is_not_said_again(text: str) -> None:
    """It is one all the same."""
    with pytest.raises(ValueError, match=r"00:11:22:33:44:55 or 192\.168\.1\.1") as caught:
        parse_password(text)
    assert not text or text not in str(caught.value)


def test_the_packet_is_as_the_paper_has_it() -> None:
    """Byte by byte; the password stands at the end."""
    assert magic_packet(MAC) == bytes.fromhex("ff" * 6 + "dca632010203" * 16)
    assert magic_packet(MAC, b"\1\2\3\4") == magic_packet(MAC) + b"\1\2\3\4"


@given(macs, passwords, macs)
def test_a_packet_calls_the_card_it_was_written_for(
    mac: bytes, password: bytes | None, other: bytes
) -> None:
    """With a password or without, and whichever other cards the box has."""
    assert is_called(magic_packet(mac, password), [other, mac])


@given(st.binary(max_size=700), st.binary(max_size=697))
@example(b"\xff" * 7, b"")
@example(magic_packet(MAC)[:-1], b"")
@example(b"", magic_packet(MAC)[1:])
def test_the_sequence_may_stand_anywhere(before: bytes, after: bytes) -> None:
    """Also behind what almost was one."""
    assert is_called(before + magic_packet(MAC) + after, [MAC])


@given(macs, passwords, macs)
def test_a_packet_for_another_card_calls_nobody(
    mac: bytes, password: bytes | None, other: bytes
) -> None:
    """Nor does any where there is no card."""
    assume(mac != other)
    assert not is_called(magic_packet(mac, password), [other])
    assert not is_called(magic_packet(mac, password), [])


@given(st.integers(0, SEQUENCE_BYTES - 1), st.integers(1, 255))
def test_one_wrong_byte_is_enough(index: int, flip: int) -> None:
    """Sixteen copies and the sync bytes all have to be there."""
    packet = bytearray(magic_packet(MAC))
    packet[index] ^= flip

    assert not is_called(bytes(packet), [MAC])


@given(st.integers(0, SEQUENCE_BYTES - 1))
def test_a_short_packet_calls_nobody(length: int) -> None:
    """Cut at either end, down to nothing."""
    whole = magic_packet(MAC)

    assert not is_called(whole[:length], [MAC])
    assert not is_called(whole[SEQUENCE_BYTES - length :], [MAC])


@given(
    st.lists(st.sampled_from([b"\xff", b"\xff" * 6, MAC, MAC * 15, MAC[:3], b"\0"]), max_size=60)
)
@example([b"\0", b"\xff", b"\xff" * 6, MAC * 15, MAC, MAC[:3]])
@example([b"\xff" * 6, b"\0", MAC * 15, MAC])
def test_it_decides_as_the_paper_says(pieces: list[bytes]) -> None:
    """Of pieces that look like it: somewhere the sync bytes, and right behind them the copies."""
    packet = b"".join(pieces)[:PACKET_BYTES_MAX]
    said = any(
        packet[at : at + 6] == b"\xff" * 6 and packet[at + 6 : at + SEQUENCE_BYTES] == MAC * 16
        for at in range(len(packet))
    )

    assert is_called(packet, [MAC]) == said


def test_what_no_frame_holds_is_not_looked_at() -> None:
    """The sequence has to end within the bound."""
    room = PACKET_BYTES_MAX - SEQUENCE_BYTES

    assert is_called(bytes(room) + magic_packet(MAC), [MAC])
    assert not is_called(bytes(room + 1) + magic_packet(MAC), [MAC])
