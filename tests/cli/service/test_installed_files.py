"""Files are put in place whole, nobody's changes are lost, and exactly ours are taken away."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from inglenook.cli.service.files import File
from inglenook.cli.service.installed_files import InstalledFiles, acting_as
from inglenook.common.errors import StartupError

UNIT = Path("/etc/systemd/system/inglenook.service")
DROP_IN = Path("/etc/systemd/system/inglenook.service.d/10-paths.conf")
LEDGER = Path("/etc/inglenook/installed.json")

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")


def names(root: Path) -> list[str]:
    """Every file below a folder."""
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def test_files_are_written_and_what_was_done_is_said(tmp_path: Path) -> None:
    """For everybody to read; a second time there is nothing to do."""
    files = [File(UNIT, "[Unit]\n"), File(DROP_IN, "[Service]\n")]

    assert list(InstalledFiles(tmp_path).put(files)) == [f"wrote {UNIT}", f"wrote {DROP_IN}"]
    assert list(InstalledFiles(tmp_path).put(files)) == []

    target = InstalledFiles(tmp_path).at(UNIT)
    assert target.read_text() == "[Unit]\n"
    assert stat.S_IMODE(target.stat().st_mode) == 0o644


def test_a_newer_version_replaces_what_we_wrote(tmp_path: Path) -> None:
    """Without a copy: nobody had touched it."""
    list(InstalledFiles(tmp_path).put([File(UNIT, "old")]))

    assert list(InstalledFiles(tmp_path).put([File(UNIT, "new")])) == [f"wrote {UNIT}"]

    assert InstalledFiles(tmp_path).at(UNIT).read_text() == "new"


def test_a_file_that_somebody_changed_is_kept_beside(tmp_path: Path) -> None:
    """Each time under another name, and so is one that was there before us."""
    place = InstalledFiles(tmp_path)
    place.at(UNIT).parent.mkdir(parents=True)
    place.at(UNIT).write_text("not ours")

    first = list(place.put([File(UNIT, "one")]))
    place.at(UNIT).write_text("changed")
    second = list(InstalledFiles(tmp_path).put([File(UNIT, "two")]))

    kept = f"kept {UNIT}, which was not as we had written it, as {UNIT}.bak"
    assert first == [kept, f"wrote {UNIT}"]
    assert second == [f"{kept}2", f"wrote {UNIT}"]
    assert place.at(Path(f"{UNIT}.bak")).read_text() == "not ours"
    assert place.at(Path(f"{UNIT}.bak2")).read_text() == "changed"
    assert place.at(UNIT).read_text() == "two"


def test_what_is_no_longer_needed_goes(tmp_path: Path) -> None:
    """With its folder, once that is empty."""
    list(InstalledFiles(tmp_path).put([File(UNIT, "unit"), File(DROP_IN, "drop-in")]))

    assert list(InstalledFiles(tmp_path).put([File(UNIT, "unit")])) == [f"removed {DROP_IN}"]

    assert not InstalledFiles(tmp_path).at(DROP_IN).parent.exists()


def test_exactly_what_was_put_there_is_taken_away(tmp_path: Path) -> None:
    """Other files stay, and so does a copy of what somebody changed."""
    place = InstalledFiles(tmp_path)
    list(place.put([File(UNIT, "unit"), File(DROP_IN, "drop-in")]))
    other = place.at(DROP_IN).with_name("override.conf")
    other.write_text("an administrator's")
    place.at(UNIT).write_text("changed")

    said = list(InstalledFiles(tmp_path).take_away())

    assert said == [
        f"kept {UNIT}, which was not as we had written it, as {UNIT}.bak",
        f"removed {UNIT}",
        f"removed {DROP_IN}",
    ]
    assert names(tmp_path) == [
        "etc/systemd/system/inglenook.service.bak",
        "etc/systemd/system/inglenook.service.d/override.conf",
    ]
    assert list(InstalledFiles(tmp_path).take_away()) == []


def test_what_is_gone_already_is_no_trouble(tmp_path: Path) -> None:
    """Somebody has cleaned up by hand."""
    list(InstalledFiles(tmp_path).put([File(UNIT, "unit")]))
    InstalledFiles(tmp_path).at(UNIT).unlink()

    assert list(InstalledFiles(tmp_path).take_away()) == []

    assert names(tmp_path) == []


def test_settings_are_written_once_and_then_their_owners(tmp_path: Path) -> None:
    """They are not taken away either."""
    place, settings = (
        InstalledFiles(tmp_path),
        File(Path("/etc/inglenook/config.yaml"), "name: Kitchen\n"),
    )

    assert list(place.create(settings)) == [f"wrote {settings.path}"]
    place.at(settings.path).write_text("name: Attic\n")
    assert list(place.create(settings)) == []
    assert list(place.take_away()) == []

    assert place.at(settings.path).read_text() == "name: Attic\n"


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """Here something stands where a folder should be."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "systemd").touch()

    with pytest.raises(StartupError, match=rf"{UNIT} cannot be changed: Not a directory"):
        list(InstalledFiles(tmp_path).put([File(UNIT, "unit")]))


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"files": 3}', "\x00"])
def test_a_damaged_list_of_what_is_ours_is_said(tmp_path: Path, text: str) -> None:
    """Rather than taking files of others for ours, or ours for theirs."""
    path = InstalledFiles(tmp_path).at(LEDGER)
    path.parent.mkdir(parents=True)
    path.write_text(text)

    with pytest.raises(StartupError, match="cannot be read"):
        InstalledFiles(tmp_path)


@needs_root
def test_root_acts_as_the_owner_of_a_folder_and_then_as_root_again(tmp_path: Path) -> None:
    """A link in that folder leads it to nothing that its owner may not touch."""
    secret = tmp_path / "secret"
    secret.write_text("root's")
    secret.chmod(0o600)
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    os.chown(theirs, 65534, 65534)
    tmp_path.chmod(0o755)
    (theirs / "link").symlink_to(secret)

    with acting_as(65534, 65534):
        before = os.geteuid(), os.getegid(), os.getgroups()
        with pytest.raises(PermissionError):
            (theirs / "link").write_text("overwritten")

    assert before == (65534, 65534, [])
    assert (os.geteuid(), os.getegid()) == (0, 0)
    assert secret.read_text() == "root's"
