"""Files with a version: older ones migrate, damaged ones are kept aside, none stops its reader."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from inglenook.common.state_file import NewerFile, StateFile


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "things.json"


def of(path: Path, **options: Any) -> StateFile:
    """Version 3: of the first it renamed a field, of the second it made a number of a text."""
    migrations = {
        1: lambda content: {"count": content["number"]},
        2: lambda content: {"count": int(content["count"])},
    }
    return StateFile(path, 3, migrations, **options)


def test_a_missing_file_is_empty(path: Path) -> None:
    """And no damage."""
    file = of(path)

    assert file.read() == {}
    assert file.damage == ""
    assert not path.exists()


@pytest.mark.parametrize(
    "content",
    [
        {"version": 1, "number": "5"},
        {"version": 2, "count": "5"},
        {"version": 3, "count": 5},
        {"number": "5"},
    ],
)
def test_older_versions_migrate_one_after_the_other(path: Path, content: dict[str, Any]) -> None:
    """The file stays as it is until it is written."""
    path.write_text(json.dumps(content))

    file = of(path, unversioned=1)

    assert file.read()["count"] == 5
    assert file.damage == ""
    assert json.loads(path.read_text()) == content
    assert [found.name for found in path.parent.iterdir()] == ["things.json"]


DAMAGED = {
    "empty": b"",
    "cut off": b"{",
    "zeros": b"\0" * 100,
    "no text": b"\xff\xfe",
    "endless": b"[" * 100_000,
    "a list": b"[]",
    "no version": b"{}",
    "version of text": b'{"version": "3"}',
    "version of nothing": b'{"version": null}',
    "version of truth": b'{"version": true}',
    "version zero": b'{"version": 0}',
    "does not migrate": b'{"version": 1}',
    "migrates half": b'{"version": 1, "number": "many"}',
}


@pytest.mark.parametrize("data", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_file_is_empty_and_kept_by_the_next_write(
    path: Path, data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """One sentence says so, however often it is read."""
    path.write_bytes(data)
    file = of(path)

    assert (file.read(), file.read()) == ({}, {})
    assert file.damage
    assert path.read_bytes() == data
    (warning,) = [record for record in caplog.records if record.levelname == "WARNING"]
    assert warning.getMessage().startswith(f"{path} is damaged (")
    assert "things.json.damaged" in warning.getMessage()

    file.write(b'{"version": 3}')

    assert path.read_bytes() == b'{"version": 3}'
    assert path.with_name("things.json.damaged").read_bytes() == data
    assert file.damage == ""
    assert file.read() == {"version": 3}


def test_what_a_reader_finds_damaged_is_kept_too(path: Path) -> None:
    """It knows what entries there may be."""
    path.write_text('{"version": 3, "count": "none"}')
    file = of(path)
    assert file.read() == {"version": 3, "count": "none"}

    file.damaged("count is no number")
    file.write(b'{"version": 3, "count": 0}')

    kept = path.with_name("things.json.damaged")
    assert json.loads(kept.read_text())["count"] == "none"


def test_an_earlier_damaged_file_is_not_lost(path: Path) -> None:
    """Nine are kept, and of the last the newest."""
    for number in range(11):
        path.write_bytes(b"damaged %d" % number)
        file = of(path)
        file.read()
        file.write(b'{"version": 3}')

    kept = {found.name: found.read_bytes() for found in path.parent.iterdir()}
    assert kept == {
        "things.json": b'{"version": 3}',
        "things.json.damaged": b"damaged 0",
        **{f"things.json.damaged-{n}": b"damaged %d" % (n - 1) for n in range(2, 9)},
        "things.json.damaged-9": b"damaged 10",
    }


def test_a_whole_file_leaves_nothing_beside_it(path: Path) -> None:
    """It is replaced, and private or not as was asked."""
    file = of(path, mode=0o640)
    for _ in range(2):
        file.write(b'{"version": 3}')
        assert file.read() == {"version": 3}

    assert [found.name for found in path.parent.iterdir()] == ["things.json"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_newer_file_is_an_error(path: Path) -> None:
    """Whoever went back to an older version does not lose what the newer one kept."""
    path.write_text('{"version": 4}')

    with pytest.raises(NewerFile, match=r"things\.json was written by a newer version"):
        of(path).read()


def test_a_file_that_cannot_be_opened_is_an_error(path: Path) -> None:
    """Here it is a folder; nothing is damaged."""
    path.mkdir()
    file = of(path)

    with pytest.raises(OSError, match="Is a directory"):
        file.read()
    assert file.damage == ""
