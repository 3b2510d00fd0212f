"""Tokens are unguessable, recognisable, and never stored."""

from __future__ import annotations

import hashlib
import re
import secrets

import pytest

from inglenook.auth.tokens import NewToken, matches, mint, parse


@pytest.fixture
def new() -> NewToken:
    return mint(secrets.token_bytes)


def test_a_token_carries_its_device_id_and_256_random_bits(new: NewToken) -> None:
    """The form is ``ingle_``, 8 characters of device id, 43 of secret."""
    assert re.fullmatch(r"ingle_[a-z2-7]{8}_[A-Za-z0-9_-]{43}", new.token)
    assert new.token.startswith(f"ingle_{new.device_id}_")


def test_every_byte_of_entropy_reaches_the_token() -> None:
    """5 bytes become the id and 32 the secret; a change in any one changes the token."""
    asked: list[int] = []

    def entropy(count: int) -> bytes:
        asked.append(count)
        return bytes(count)

    zeros = mint(entropy)

    assert asked == [5, 32]
    assert zeros.token == f"ingle_aaaaaaaa_{'A' * 43}"


def test_what_is_stored_is_the_sha256_of_the_whole_token(new: NewToken) -> None:
    """Other programs can check a token against the file with ``sha256sum``."""
    assert new.sha256 == hashlib.sha256(new.token.encode()).hexdigest()


def test_a_token_does_not_show_in_a_repr(new: NewToken) -> None:
    """A NewToken that ends up in a log line gives nothing away."""
    assert new.token not in repr(new)


def test_parse_finds_the_device_id(new: NewToken) -> None:
    """The id is what the allowlist looks up."""
    assert parse(new.token) == new.device_id


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ingle_aaaaaaaa_",
        f"ingle_aaaaaaaa_{'A' * 42}",
        f"ingle_aaaaaaaa_{'A' * 44}",
        f"ingle_aaaaaaaa_{'A' * 43}\n",
        f" ingle_aaaaaaaa_{'A' * 43}",
        f"ingle_AAAAAAAA_{'A' * 43}",
        f"ingle_aaaaaaa1_{'A' * 43}",
        f"other_aaaaaaaa_{'A' * 43}",
        f"ingle_aaaaaaaa_{'A' * 42}=",
        f"ingle_aaaaaaaa_{'A' * 42}é",
        "\ud800",
    ],
)
def test_what_is_not_exactly_a_token_has_no_device_id(text: str) -> None:
    """Nothing is trimmed or forgiven: tokens are copied by machines."""
    assert parse(text) is None


def test_a_token_matches_its_own_hash_and_no_other(new: NewToken) -> None:
    """Any other text, even one that cannot be encoded, is simply wrong."""
    assert matches(new.sha256, new.token)
    assert not matches(new.sha256, mint(secrets.token_bytes).token)
    assert not matches(new.sha256, new.token[:-1])
    assert not matches(new.sha256, "\ud800")
