"""The box's id is made once and kept, and its names for as long as they are its own."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from inglenook.auth.identity_files import RememberedNames, server_id
from inglenook.common.errors import StartupError


def test_the_id_is_made_once(tmp_path: Path) -> None:
    """Phones know the box by it, so it must not change."""
    made = server_id(tmp_path)

    assert re.fullmatch(r"[0-9a-f]{8}", made)
    assert server_id(tmp_path) == made


def test_two_boxes_differ(tmp_path: Path) -> None:
    """The id is random, not derived from anything they could share."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()

    assert server_id(tmp_path / "a") != server_id(tmp_path / "b")


@pytest.mark.parametrize("content", [b"", b"0123456", b"0123456g", b"0123456789", b"\xff" * 8])
def test_a_damaged_id_is_reported_and_kept(tmp_path: Path, content: bytes) -> None:
    """A new id would make the box a stranger to every phone."""
    (tmp_path / "server_id").write_bytes(content)

    with pytest.raises(StartupError, match="does not hold 8 hex digits; restore a copy"):
        server_id(tmp_path)

    assert (tmp_path / "server_id").read_bytes() == content


def test_an_id_that_cannot_be_read_is_reported(tmp_path: Path) -> None:
    """Here it is a folder."""
    (tmp_path / "server_id").mkdir()

    with pytest.raises(StartupError, match="cannot be read: Is a directory"):
        server_id(tmp_path)


def test_an_id_that_cannot_be_kept_is_reported(tmp_path: Path) -> None:
    """A new id at every start would be worse than none."""
    with pytest.raises(StartupError, match=r"cannot be kept in .*: No such file or directory"):
        server_id(tmp_path / "missing")


def test_names_that_had_to_be_changed_are_kept(tmp_path: Path) -> None:
    """The next life begins with them, whoever else starts first then."""
    RememberedNames(tmp_path).remember("Kitchen", "Kitchen-2", "kitchen-ab12-2")

    kept = RememberedNames(tmp_path)
    assert kept.instance("Kitchen") == "Kitchen-2"
    assert kept.host("kitchen-ab12") == "kitchen-ab12-2"


@pytest.mark.parametrize("held", ["Kitchen", "Kitchen-2", "Kitchen-99"])
def test_a_kept_name_is_the_owners_with_its_number(tmp_path: Path, held: str) -> None:
    """The number stands by itself in the file, as the service's unit reads it."""
    RememberedNames(tmp_path).remember("Kitchen", held, "kitchen-ab12")

    number = held.removeprefix("Kitchen").removeprefix("-") or "1"
    assert (tmp_path / "instance_name").read_text().splitlines() == [number, "Kitchen"]
    assert RememberedNames(tmp_path).instance("Kitchen") == held


@pytest.mark.parametrize("owners", ["Attic", "Kitchen-2", "Kit"])
def test_kept_names_of_another_box_name_are_not_used(tmp_path: Path, owners: str) -> None:
    """A box that its owner renames gets the names that follow from that, free of any number."""
    RememberedNames(tmp_path).remember("Kitchen", "Kitchen-2", "kitchen-ab12")

    kept = RememberedNames(tmp_path)
    assert kept.instance(owners) is None
    assert kept.host(f"{owners.lower()}-ab12") is None


@pytest.mark.parametrize("text", ["", "2", "two\nKitchen", "-1\nKitchen", "0\nKitchen", "\xff"])
def test_a_damaged_kept_name_is_none(tmp_path: Path, text: str) -> None:
    """It costs a name with a number at most."""
    (tmp_path / "instance_name").write_bytes(text.encode("latin-1"))

    assert RememberedNames(tmp_path).instance("Kitchen") is None


def test_names_that_could_not_be_kept_are_kept_once_they_can(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The disk may just have been full; each file is named once all the same."""
    folder = tmp_path / "missing"
    kept = RememberedNames(folder)
    for _ in range(3):
        kept.remember("Kitchen", "Kitchen-2", "kitchen-ab12-2")
    assert ["cannot be written" in record.getMessage() for record in caplog.records] == [True] * 2
    assert RememberedNames(folder).instance("Kitchen") is None
    folder.mkdir()
    kept.remember("Kitchen", "Kitchen-2", "kitchen-ab12-2")

    assert RememberedNames(folder).instance("Kitchen") == "Kitchen-2"
    assert RememberedNames(folder).host("kitchen-ab12") == "kitchen-ab12-2"
