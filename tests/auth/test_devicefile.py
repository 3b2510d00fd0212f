"""The allowlist's text: readable, complete, strict."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inglenook.auth.devicefile import decode, encode, salvage
from inglenook.auth.devices import DEVICES_MAX, REVOKED_MAX, Device, Roster, Scope

#: What `str.isprintable` lets pass; made, since most of what is drawn from all text is not.
PRINTABLE = st.characters(exclude_categories=("C", "Z"), include_characters=" ")
SHA = "ab" * 32
ANNA = Device(
    device_id="abcdefg2",
    name="Anna's phone",
    platform="iOS",
    token_sha256=SHA,
    scopes=(Scope.CHAT, Scope.ADMIN),
    created_at=1_800_000_000.0,
    expires_at=None,
    last_seen_at=1_800_000_060.0,
)


def as_json(**changes: Any) -> dict[str, Any]:
    entry: dict[str, Any] = json.loads(encode(Roster((ANNA,))))["devices"][0]
    return entry | changes


def file_of(*entries: dict[str, Any], **changes: Any) -> bytes:
    return json.dumps({"version": 1, "devices": entries, "revoked": []} | changes).encode()


def test_the_file_reads_as_people_expect() -> None:
    """Names, scopes and times are plain; only the token is not."""
    assert json.loads(encode(Roster((ANNA,), ("cd" * 32,)))) == {
        "version": 1,
        "devices": [
            {
                "device_id": "abcdefg2",
                "name": "Anna's phone",
                "platform": "iOS",
                "token_sha256": SHA,
                "scopes": ["chat", "admin"],
                "created_at": "2027-01-15T08:00:00Z",
                "expires_at": None,
                "last_seen_at": "2027-01-15T08:01:00Z",
            }
        ],
        "revoked": ["cd" * 32],
    }


def test_a_device_may_have_a_choice_about_thinking() -> None:
    """It stands there only if somebody made it, so that an older program can read the file."""
    choosing = replace(ANNA, thinking="512")
    (entry,) = json.loads(encode(Roster((choosing,))))["devices"]
    assert entry["thinking"] == "512"
    assert decode(encode(Roster((choosing,)))).devices == (choosing,)


@pytest.mark.parametrize("thinking", ["", "maybe", "0", "1234567", "-5", 512, None])
def test_no_other_choice_about_thinking_is_taken(thinking: Any) -> None:
    """A person may have written it."""
    with pytest.raises(ValueError, match="thinking"):
        decode(file_of(as_json(thinking=thinking)))


def test_the_file_is_indented() -> None:
    """One field a line, so that a person can edit it and a diff shows something."""
    assert b'\n      "name": "Anna\'s phone",\n' in encode(Roster((ANNA,)))


@given(
    name=st.text(PRINTABLE, min_size=1, max_size=64),
    created_at=st.integers(0, 253_402_300_799),
    expires_at=st.none() | st.integers(0, 253_402_300_799),
)
def test_what_is_written_is_read_back(name: str, created_at: int, expires_at: int | None) -> None:
    """Nothing is lost between memory and disk, at whole seconds."""
    device = Device("abcdefg2", name, "", SHA, (Scope.WAKE,), created_at, expires_at)

    assert decode(encode(Roster((device,), (SHA,)))) == Roster((device,), (SHA,))


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"", "truncated"),
        (b"not json", "malformed"),
        (b"\xff\xfe", "malformed"),
        (b'{"version": 1}', "missing required field `devices`"),
        (file_of(version=2), "version"),
        (file_of(extra=1), "unknown field `extra`"),
        (file_of(as_json(colour="red")), "unknown field `colour`"),
        (file_of(as_json(device_id="ABCDEFGH")), "device_id"),
        (file_of(as_json(token_sha256="12")), "token_sha256"),
        (file_of(as_json(scopes=["root"])), "root"),
        (file_of(as_json(name="")), "name"),
        (file_of(as_json(created_at="yesterday")), "created_at"),
        (file_of(as_json(created_at="2027-01-15T08:00:00")), "created_at"),
        (file_of(as_json(created_at="1969-12-31T00:00:00Z")), "a date before 1970"),
        (file_of(as_json(), as_json()), "two devices have the same device_id"),
        (file_of(*[as_json()] * 257), "256"),
        (file_of(revoked=["x"]), "revoked"),
    ],
)
def test_anything_else_is_refused_with_its_place(data: bytes, complaint: str) -> None:
    """A file half understood would be half lost at the next save."""
    with pytest.raises(ValueError, match=complaint):
        decode(data)


def test_whole_entries_of_a_damaged_file_can_be_read() -> None:
    """Those that make no sense are left out, and nothing else."""
    ben = as_json(device_id="bcdefgh3", name="Ben")
    broken = [as_json(device_id="cdefghi4", name="\x1b"), as_json(created_at="yesterday"), 5, None]

    found = salvage({"devices": [as_json(), ben, *broken], "revoked": [SHA, "x", 5]})

    assert [device.name for device in found.devices] == ["Anna's phone", "Ben"]
    assert found.revoked == (SHA,)


@pytest.mark.parametrize("content", [{}, {"devices": 5, "revoked": {}}, {"devices": None}])
def test_a_damaged_file_may_hold_nothing(content: dict[str, Any]) -> None:
    """It is an empty list then."""
    assert salvage(content) == Roster()


def test_of_two_entries_with_one_id_neither_is_taken() -> None:
    """One of them may be somebody else's token."""
    assert salvage({"devices": [as_json(), as_json(name="Ben")]}).devices == ()


def test_a_damaged_file_gives_no_more_than_a_whole_one() -> None:
    """Its bounds hold."""
    ids = ["".join(pair) for pair in itertools.product("abcdefghijklmnopqrstuvwxyz", repeat=2)]
    entries = [as_json(device_id=f"abcdef{last}") for last in ids[:300]]

    found = salvage({"devices": entries, "revoked": [SHA] * 100})

    assert (len(found.devices), len(found.revoked)) == (DEVICES_MAX, REVOKED_MAX)
