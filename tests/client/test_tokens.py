"""A terminal's tokens are kept, one a box, with the key they may go to."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from inglenook.client.tokens import BoxToken, TokenStore
from inglenook.common.errors import StartupError

ONE, TWO = BoxToken("one", "k" * 43), BoxToken("two")

#: Waits until it is told to begin, so that many begin together.
_PUTS = """
import sys
from inglenook.client.tokens import {names}
keyring = TokenStore({{"XDG_DATA_HOME": sys.argv[1]}})
print("ready", flush=True)
sys.stdin.readline()
for number in range(5):
    keyring.put(f"{{sys.argv[2]}}-{{number}}", {key})
"""


@pytest.fixture
def keyring(tmp_path: Path) -> TokenStore:
    return TokenStore({"XDG_DATA_HOME": str(tmp_path)})


def test_a_token_is_kept_and_forgotten(keyring: TokenStore) -> None:
    """The other box's stays."""
    assert keyring.get("0123abcd") is None
    keyring.put("0123abcd", ONE)
    keyring.put("4567cdef", TWO)
    assert keyring.all() == {"0123abcd": ONE, "4567cdef": TWO}

    keyring.drop("0123abcd", ONE.token)
    keyring.drop("0123abcd", ONE.token)

    assert (keyring.get("0123abcd"), keyring.get("4567cdef")) == (None, TWO)


def test_a_token_that_came_in_its_place_stays(keyring: TokenStore) -> None:
    """Another terminal has paired anew, and this one hears only now that the old one is no good."""
    keyring.put("0123abcd", ONE)
    keyring.drop("0123abcd", "an older one")

    assert keyring.get("0123abcd") == ONE


def test_terminals_that_pair_at_once_lose_nothing(keyring: TokenStore, tmp_path: Path) -> None:
    """Each changes what is there then, in processes of their own."""
    program = _PUTS.format(names="BoxToken, TokenStore", key='BoxToken("token", None)')
    terminals = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path), str(number)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for number in range(6)
    ]
    for terminal in terminals:
        assert terminal.stdout is not None
        assert terminal.stdout.readline() == b"ready\n"
    for terminal in terminals:
        assert terminal.stdin is not None
        terminal.stdin.write(b"go\n")
        terminal.stdin.flush()
    for terminal in terminals:
        with terminal:
            assert terminal.wait(40) == 0

    assert len(keyring.all()) == 30


def test_tokens_of_the_first_version_are_kept_without_a_key(
    keyring: TokenStore, tmp_path: Path
) -> None:
    """They stay as they are until something is changed."""
    path = tmp_path / "inglenook" / "tokens.json"
    path.parent.mkdir()
    path.write_text('{"0123abcd": "one"}')
    assert keyring.all() == {"0123abcd": BoxToken("one", None)}

    keyring.put("4567cdef", TWO)

    assert keyring.all() == {"0123abcd": BoxToken("one", None), "4567cdef": TWO}
    assert json.loads(path.read_text())["version"] == 2


def test_a_file_of_a_later_version_is_left_alone(keyring: TokenStore, tmp_path: Path) -> None:
    """Whoever went back to an older version does not lose what the newer one kept."""
    path = tmp_path / "inglenook" / "tokens.json"
    path.parent.mkdir()
    path.write_text('{"version": 3, "entries": {}}')

    with pytest.raises(StartupError, match="a newer version"):
        keyring.put("id", ONE)
    assert path.read_text() == '{"version": 3, "entries": {}}'


@pytest.mark.parametrize("entry", [5, {}, {"token": 5}, {"token": "t", "spki_sha256": "short"}])
def test_an_entry_that_is_none_is_damage(
    keyring: TokenStore, tmp_path: Path, entry: object
) -> None:
    """A token whose key cannot be read must not go anywhere."""
    path = tmp_path / "inglenook" / "tokens.json"
    path.parent.mkdir()
    path.write_text(json.dumps({"version": 2, "entries": {"id": entry}}))

    assert keyring.get("id") is None


def test_a_damaged_file_has_no_token_and_is_kept_by_the_next_change(
    keyring: TokenStore, tmp_path: Path
) -> None:
    """The box is paired with again."""
    keyring.put("id", ONE)
    path = tmp_path / "inglenook" / "tokens.json"
    path.write_bytes(b"{")
    assert keyring.get("id") is None

    keyring.put("id", TWO)

    assert keyring.get("id") == TWO
    assert path.with_name("tokens.json.damaged").read_bytes() == b"{"
