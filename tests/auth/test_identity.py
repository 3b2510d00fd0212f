"""The box's id is made once and kept."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from inglenook.auth.identity import KeptHostName, server_id
from inglenook.errors import StartupError


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


def test_a_host_name_that_had_to_be_changed_is_kept(tmp_path: Path) -> None:
    """The next life begins with it, and writes nothing while it stays."""
    KeptHostName(tmp_path).keep("kitchen-ab12-2")

    assert KeptHostName(tmp_path).read("kitchen-ab12") == "kitchen-ab12-2"


def test_a_kept_host_name_of_another_box_name_is_not_used(tmp_path: Path) -> None:
    """A renamed box gets the host name that follows from its new name."""
    KeptHostName(tmp_path).keep("kitchen-ab12")

    assert KeptHostName(tmp_path).read("attic-ab12") is None


def test_a_host_name_that_could_not_be_kept_is_kept_once_it_can(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The disk may just have been full; it is said once all the same."""
    folder = tmp_path / "missing"
    kept = KeptHostName(folder)
    for _ in range(3):
        kept.keep("kitchen-ab12-2")
    assert len(caplog.records) == 1
    folder.mkdir()
    kept.keep("kitchen-ab12-2")

    assert KeptHostName(folder).read("kitchen-ab12") == "kitchen-ab12-2"


def test_a_host_name_that_cannot_be_kept_is_no_failure(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It costs a changed link, one day; the log says so."""
    KeptHostName(tmp_path / "missing").keep("kitchen-ab12")

    assert "cannot be written" in caplog.text
    assert KeptHostName(tmp_path / "missing").read("kitchen-ab12") is None
