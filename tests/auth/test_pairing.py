"""The pairing window lets one phone in, in time, within five tries."""

from __future__ import annotations

import secrets

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inglenook.auth.pairing import (
    OPEN_S,
    TRIES,
    TRIES_IN_ALL,
    Accepted,
    Closed,
    PairingWindow,
    WindowEnd,
    Wrong,
    attempt,
)

OPENED = 1000.0


def window_with(code_bytes: bytes) -> PairingWindow:
    return PairingWindow.open(OPENED, lambda count: code_bytes[:count].rjust(count, b"\0"))


@pytest.fixture
def window() -> PairingWindow:
    return PairingWindow.open(OPENED, secrets.token_bytes, "Anna's phone")


def test_a_window_has_a_secret_to_scan_and_a_code_to_type(window: PairingWindow) -> None:
    """128 bits for the camera, 40 for the fingers."""
    assert len(window.secret) == 22
    assert len(window.code) == 8
    assert window.shown_code == f"{window.code[:4]}-{window.code[4:]}"
    assert window.name == "Anna's phone"


def test_neither_shows_in_a_repr(window: PairingWindow) -> None:
    """A window that ends up in a log line opens nothing."""
    assert window.secret not in repr(window)
    assert window.code not in repr(window)


def test_every_bit_of_the_code_counts() -> None:
    """All 32 characters occur, each for 5 bits."""
    codes = {window_with(number.to_bytes(5)).code for number in range(32)}

    assert "".join(sorted(code[0] for code in codes)) == "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
    assert window_with(b"\xff" * 5).code == "ZZZZZZZZ"


def test_the_secret_opens(window: PairingWindow) -> None:
    """The QR code carries it whole."""
    after, verdict = attempt(window, window.secret, OPENED + 1)

    assert verdict == Accepted()
    assert after.used


@pytest.mark.parametrize(
    "offered", ["0123-ABJK", "0123abjk", " o123 abjk ", "OI23-ABJK", "0l-23-ab-jk", "O1 2 3 ABJK"]
)
def test_the_code_opens_however_it_is_typed(offered: str) -> None:
    """Case, hyphens and spaces do not matter, and O is 0, I and L are 1, as Crockford has it."""
    window = PairingWindow(secret="s" * 22, code="0123ABJK", name=None, closes_at=OPENED + OPEN_S)

    assert attempt(window, offered, OPENED)[1] == Accepted()


@pytest.mark.parametrize(
    "offered",
    ["", "0123ABJ", "0123ABJKK", "0123ABJU", "\ud800", "é" * 8, "x" * 5000, "S" * 22],
)
def test_anything_else_is_wrong_and_counts(offered: str) -> None:
    """The secret, which no person types, is not forgiven anything."""
    window = PairingWindow(secret="s" * 22, code="0123ABJK", name=None, closes_at=OPENED + OPEN_S)

    assert attempt(window, offered, OPENED)[1] == Wrong(TRIES - 1)


def test_a_window_lets_one_phone_in(window: PairingWindow) -> None:
    """The second to scan the same code comes too late."""
    after, _ = attempt(window, window.secret, OPENED)

    assert attempt(after, window.secret, OPENED) == (after, Closed(WindowEnd.USED))
    assert attempt(after, window.code, OPENED) == (after, Closed(WindowEnd.USED))


def test_after_five_wrong_tries_the_code_does_not_count_from_there(window: PairingWindow) -> None:
    """Each says how many are left; the secret, which nobody guesses, still lets a phone in."""
    left = []
    for _ in range(TRIES + 1):
        window, verdict = attempt(window, "wrong", OPENED, "stranger")
        assert isinstance(verdict, Wrong)
        left.append(verdict.tries_left)

    assert left == [4, 3, 2, 1, 0, 0]
    assert attempt(window, window.code, OPENED, "stranger") == (window, Wrong(0))
    assert attempt(window, window.secret, OPENED, "stranger")[1] == Accepted()


def test_wrong_tries_of_one_address_cost_another_none(window: PairingWindow) -> None:
    """A stranger on the network cannot keep a phone out by guessing."""
    for _ in range(10 * TRIES):
        window, _verdict = attempt(window, "wrong", OPENED, "stranger")

    assert window.tries_left("phone") == TRIES
    assert attempt(window, window.code, OPENED, "phone")[1] == Accepted()


def test_from_many_addresses_there_are_a_thousand_tries(window: PairingWindow) -> None:
    """One chance in a billion; then the code is worth nothing from anywhere, the secret is."""
    for number in range(2 * TRIES_IN_ALL):
        window, _verdict = attempt(window, "wrong", OPENED, f"stranger {number}")

    assert sum(window.wrong.values()) == TRIES_IN_ALL
    assert attempt(window, window.code, OPENED, "phone")[1] == Wrong(0)
    assert attempt(window, window.secret, OPENED, "phone")[1] == Accepted()


def test_four_wrong_tries_do_not(window: PairingWindow) -> None:
    """People mistype."""
    for _ in range(TRIES - 1):
        window, _verdict = attempt(window, "wrong", OPENED)

    assert attempt(window, window.code, OPENED)[1] == Accepted()


@pytest.mark.parametrize(
    ("after_s", "why"), [(0.0, None), (OPEN_S - 0.001, None), (OPEN_S, WindowEnd.EXPIRED)]
)
def test_a_window_is_open_for_five_minutes(
    window: PairingWindow, after_s: float, why: WindowEnd | None
) -> None:
    """The last moment counts as too late."""
    assert OPEN_S == 300
    assert window.closed(OPENED + after_s) is why
    verdict = attempt(window, window.code, OPENED + after_s)[1]
    assert verdict == (Accepted() if why is None else Closed(why))


@given(
    tries=st.lists(
        st.tuples(
            st.sampled_from(["secret", "code", "wrong"]) | st.text(max_size=12),
            st.floats(0, 120),
        ),
        max_size=30,
    )
)
def test_no_sequence_of_tries_gets_more_than_one_phone_in(tries: list[tuple[str, float]]) -> None:
    """Never twice, never after five minutes, never by the code after five wrong tries."""
    window = PairingWindow.open(OPENED, lambda count: b"\x5a" * count)
    now, accepted, wrong = OPENED, 0, 0
    for kind, delay_s in tries:
        now += delay_s
        offered = {"secret": window.secret, "code": window.code}.get(kind, kind)
        closed_before = window.closed(now)
        window, verdict = attempt(window, offered, now)
        if isinstance(verdict, Closed):
            assert closed_before is not None
            continue
        assert closed_before is None
        assert now < OPENED + OPEN_S
        assert accepted == 0
        assert wrong < TRIES or kind == "secret" or not isinstance(verdict, Accepted)
        accepted += isinstance(verdict, Accepted)
        wrong += isinstance(verdict, Wrong)
    assert accepted <= 1
