"""`inglenook devices` manages who may come in, whether a daemon runs or not."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from inglenook.auth.allowlist import Allowlist
from inglenook.auth.devices import Device
from inglenook.cli import control
from inglenook.common.errors import Problem
from tests.cli.conftest import Inglenook


@pytest.fixture
def allowlist(tmp_path: Path) -> Allowlist:
    """The list the command line writes to."""
    return Allowlist(tmp_path / "state" / "devices.json")


def test_the_token_is_printed_alone(inglenook: Inglenook, allowlist: Allowlist) -> None:
    """So that a script can take it; everything for people goes to stderr."""
    ran = inglenook("devices", "add", "--name", "Living room")
    allowlist.load()
    device = allowlist.check(ran.out.removesuffix("\n"), 0.0)

    assert ran.returncode == 0
    assert isinstance(device, Device)
    assert device.name == "Living room"
    assert device.scopes == ("chat",)
    assert "Living room is paired" in ran.err
    assert ran.out.strip() not in ran.err


def test_scopes_and_an_end_can_be_given(inglenook: Inglenook, allowlist: Allowlist) -> None:
    """Separated by commas, with or without spaces."""
    token = inglenook(
        "devices", "add", "--name", "Guest", "--scopes", "chat, metrics", "--expires", "90d"
    ).out.strip()
    allowlist.load()
    [device] = allowlist.devices

    assert device.scopes == ("chat", "metrics")
    assert device.expires_at is not None
    assert round((device.expires_at - device.created_at) / 86400) == 90
    assert isinstance(allowlist.check(token, device.expires_at + 1), Problem)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--name", ""), "1 to 64 printable characters"),
        (("--name", "\x1b[31m"), "printable"),
        (("--name", "x" * 65), "1 to 64"),
        (("--name", "x", "--scopes", "chatt"), "did you mean 'chat'?"),
        (("--name", "x", "--scopes", ""), "is not a scope"),
        (("--name", "x", "--expires", "90"), "--expires: '90' is not a duration"),
        (("--name", "x", "--expires", "0"), "from now to the year 9999"),
        (("--name", "x", "--expires", "9" * 30 + "d"), "9999"),
    ],
)
def test_what_cannot_be_is_a_sentence(
    inglenook: Inglenook, allowlist: Allowlist, options: tuple[str, ...], words: str
) -> None:
    """Exit code 1, and nobody was added."""
    ran = inglenook("devices", "add", *options)
    allowlist.load()

    assert ran.returncode == 1
    assert ran.out == ""
    assert words in ran.err
    assert allowlist.devices == ()


def test_the_list_is_one_line_a_device(inglenook: Inglenook) -> None:
    """Into a pipe with tabs between, as scripts want it; no token in it."""
    tokens = [inglenook("devices", "add", "--name", name).out for name in ("Anna", "Bob [b]")]

    ran = inglenook("devices", "list")
    rows = [line.split("\t") for line in ran.out.splitlines()]

    assert [row[1] for row in rows] == ["Anna", "Bob [b]"]
    assert {tuple(row[2:]) for row in rows} == {("chat", rows[0][3], "never", "never", "auto")}
    assert not any(token.strip() in ran.out for token in tokens)
    assert inglenook("devices").out == ran.out


def test_whether_the_model_thinks_can_be_chosen_for_a_device(
    inglenook: Inglenook, allowlist: Allowlist
) -> None:
    """When it is added, and later; what cannot be is refused."""
    inglenook("devices", "add", "--name", "Anna", "--thinking", "off")
    allowlist.load()
    assert [device.thinking for device in allowlist.devices] == ["off"]
    for choice in ("1024", "on", "auto"):
        ran = inglenook("devices", "thinking", "anna", choice)
        allowlist.load()
        assert ran.returncode == 0
        assert [device.thinking for device in allowlist.devices] == [choice]
    for ran in (
        inglenook("devices", "thinking", "anna", "perhaps"),
        inglenook("devices", "add", "--name", "Bob", "--thinking", "-5"),
    ):
        assert ran.returncode != 0
        assert "Traceback" not in ran.err
    allowlist.load()
    assert [device.thinking for device in allowlist.devices] == ["auto"]


def test_an_empty_list_says_what_to_do(inglenook: Inglenook) -> None:
    """On stderr: a script reads no device."""
    ran = inglenook("devices")

    assert (ran.returncode, ran.out) == (0, "")
    assert "`inglenook pair`" in ran.err


@pytest.mark.parametrize("by", ["id", "name", "NAME"])
def test_a_device_is_revoked_by_id_or_name(
    inglenook: Inglenook, allowlist: Allowlist, by: str
) -> None:
    """The other stays."""
    inglenook("devices", "add", "--name", "Anna")
    inglenook("devices", "add", "--name", "Bob")
    allowlist.load()
    anna = allowlist.devices[0]

    ran = inglenook("devices", "revoke", anna.device_id if by == "id" else "ANNA")
    allowlist.load()

    assert (ran.returncode, ran.out) == (0, "")
    assert "no longer paired" in ran.err
    assert [device.name for device in allowlist.devices] == ["Bob"]


def test_a_device_is_renamed(inglenook: Inglenook, allowlist: Allowlist) -> None:
    """Its token stays good."""
    token = inglenook("devices", "add", "--name", "Anna").out.strip()

    ran = inglenook("devices", "rename", "anna", "Anna's tablet")
    allowlist.load()
    device = allowlist.check(token, 0.0)

    assert ran.returncode == 0
    assert isinstance(device, Device)
    assert device.name == "Anna's tablet"


@pytest.mark.parametrize(
    "words", [("revoke", "nobody"), ("rename", "nobody", "x"), ("rename", "Anna", "bob")]
)
def test_a_device_must_be_there_and_a_name_free(
    inglenook: Inglenook, words: tuple[str, ...]
) -> None:
    """Exit code 1 and a sentence."""
    for name in ("Anna", "Bob"):
        inglenook("devices", "add", "--name", name)

    ran = inglenook("devices", *words)

    assert (ran.returncode, ran.out) == (1, "")
    assert ran.err.startswith("inglenook: ")


def test_a_damaged_list_is_kept_beside_the_new_one(
    inglenook: Inglenook, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is a sentence; whoever was shut out by it can be let in again by hand."""
    inglenook("devices", "add", "--name", "Anna")
    path = tmp_path / "state" / "devices.json"
    path.write_text("{")

    ran = inglenook("devices", "add", "--name", "Bob")

    assert ran.returncode == 0
    assert "keeps it as devices.json.damaged" in caplog.text
    assert path.with_name("devices.json.damaged").read_text() == "{"
    assert [line.split()[1] for line in inglenook("devices").out.splitlines()] == ["Bob"]


def test_a_state_folder_that_cannot_be_is_a_sentence(inglenook: Inglenook, tmp_path: Path) -> None:
    """Here a file is in its place."""
    (tmp_path / "state").write_text("")

    ran = inglenook("devices", "add", "--name", "Anna")

    assert ran.returncode == 1
    assert "state_dir" in ran.err


@pytest.mark.parametrize("change", ["revoke", "rename"])
def test_a_daemon_that_is_stuck_does_not_keep_a_device_in(
    inglenook: Inglenook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    """Its list is changed in the file; what is not urgent is left to a second try."""
    inglenook("devices", "add", "--name", "Anna")
    state = tmp_path / "state"
    monkeypatch.setattr(control, "ANSWER_S", 0.2)
    with socket.socket(socket.AF_UNIX) as deaf:
        deaf.bind(str(state / "control.sock"))
        deaf.listen()
        ran = inglenook("devices", change, "Anna", *(["Bea"] if change == "rename" else []))

    if change == "revoke":
        assert (ran.returncode, json.loads((state / "devices.json").read_text())["devices"]) == (
            0,
            [],
        )
    else:
        assert ran.returncode == 1
        assert "the daemon does not answer" in ran.err
