"""A box that ran by hand before is the same box as a service: its phones stay paired."""

from __future__ import annotations

import os
import pwd
import sys
from pathlib import Path

import pytest

from inglenook.auth.allowlist import Allowlist
from inglenook.auth.devices import parse_scopes
from inglenook.auth.identity_files import server_id
from inglenook.cli.service.earlier import callers_environ, earlier_box, require_stopped
from inglenook.common.errors import StartupError
from inglenook.daemon.statefolder import held_state_folder
from tests.cli.conftest import Inglenook

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be asked through sudo")


@pytest.fixture
def used(tmp_path: Path) -> Path:
    """The state folder of a box that was set up by hand, with two phones."""
    folder = tmp_path / "used"
    folder.mkdir()
    server_id(folder)
    allowlist = Allowlist(folder / "devices.json")
    allowlist.load()
    for name in ("Anna", "Ben"):
        allowlist.add(name, parse_scopes(["chat"]), None)
    for name in ("tls.key", "tls.crt", "journal.db", "control.sock"):
        (folder / name).write_text(name)
    return folder


def test_a_new_service_goes_on_as_the_box_before(used: Path, tmp_path: Path) -> None:
    """With what phones know it by; the id last, since a folder with one is a box's."""
    earlier = earlier_box(used, tmp_path / "service")

    assert earlier is not None
    assert set(earlier.names) == {"devices.json", "tls.key", "tls.crt", "server_id"}
    assert earlier.names[-1] == "server_id"
    assert earlier.read("tls.key") == b"tls.key"
    assert earlier.summary() == "2 paired devices, the box's id and its TLS key"


@pytest.mark.parametrize("name", ["server_id", "devices.json"])
def test_a_service_that_is_a_box_stays_the_one_it_is(used: Path, tmp_path: Path, name: str) -> None:
    """Nothing of its own is ever replaced."""
    service = tmp_path / "service"
    service.mkdir()
    (service / name).touch()

    assert earlier_box(used, service) is None
    assert earlier_box(used, used) is None


def test_a_folder_that_was_no_box_gives_nothing(tmp_path: Path) -> None:
    """As on a machine on which the service is the first thing done."""
    assert earlier_box(tmp_path / "nothing", tmp_path / "service") is None


def test_a_box_that_runs_has_to_be_stopped_first(used: Path, tmp_path: Path) -> None:
    """Two with one id would be taken for each other."""
    earlier = earlier_box(used, tmp_path / "service")
    assert earlier is not None
    require_stopped(earlier)

    with (
        held_state_folder(used),
        pytest.raises(StartupError, match=f"still runs with the state in {used}; stop it"),
    ):
        require_stopped(earlier)


@AS_ROOT
def test_what_its_owner_may_not_read_does_not_come_along(used: Path, tmp_path: Path) -> None:
    """Root reads for another user: a link must not lead it to what only root may read."""
    secret = tmp_path / "secret"
    secret.write_text("only root's")
    secret.chmod(0o600)
    tmp_path.chmod(0o755)
    (used / "tls.key").unlink()
    (used / "tls.key").symlink_to(secret)
    nobody = pwd.getpwnam("nobody")
    for path in (used, *used.iterdir()):
        os.chown(path, nobody.pw_uid, nobody.pw_gid, follow_symlinks=False)
    for folder in tmp_path.parents:
        if folder.stat().st_uid == 0 and folder.name.startswith(("pytest", "gw")):
            folder.chmod(folder.stat().st_mode | 0o011)
    earlier = earlier_box(used, tmp_path / "service")

    assert earlier is not None
    assert earlier.read("tls.crt") == b"tls.crt"
    with pytest.raises(PermissionError):
        earlier.read("tls.key")


@AS_ROOT
def test_a_link_that_another_user_put_into_roots_folder_does_not_come_along(
    used: Path, tmp_path: Path
) -> None:
    """The settings may name a folder such as /tmp: to act as its owner is to stay root there."""
    secret = tmp_path / "secret"
    secret.write_text("only root's")
    used.chmod(0o1777)
    (used / "tls.key").unlink()
    (used / "tls.key").symlink_to(secret)
    nobody = pwd.getpwnam("nobody")
    os.chown(used / "tls.key", nobody.pw_uid, nobody.pw_gid, follow_symlinks=False)
    earlier = earlier_box(used, tmp_path / "service")

    assert earlier is not None
    assert earlier.read("tls.crt") == b"tls.crt"
    with pytest.raises(PermissionError):
        earlier.read("tls.key")


@AS_ROOT
def test_sudo_is_about_the_box_of_whoever_called_it() -> None:
    """Its home is where `make up` has kept the box; root's own is not."""
    nobody = pwd.getpwnam("nobody")
    for asked in (
        {"SUDO_UID": str(nobody.pw_uid)},
        {"PKEXEC_UID": str(nobody.pw_uid)},
        {"DOAS_USER": "nobody"},
    ):
        assert callers_environ({"HOME": "/root", **asked})["HOME"] == nobody.pw_dir
    for asked in ({}, {"SUDO_UID": "nonsense"}, {"SUDO_UID": str(2**31 - 7)}):
        assert callers_environ({"HOME": "/elsewhere", **asked})["HOME"] == "/elsewhere"


def test_a_dry_run_says_what_comes_along_and_where_links_are_made(
    inglenook: Inglenook, config: Path, used: Path
) -> None:
    """Every file that would be there; of secrets not what is in them."""
    config.write_text(f"state_dir: {used}\n")

    ran = inglenook("service", "install", "--dry-run")

    assert ran.returncode == 0, ran.err
    if not Path("/var/lib/inglenook").exists():
        assert f"# /var/lib/inglenook/tls.key, a copy of {used}/tls.key\n" in ran.out
        assert "# that is 2 paired devices, the box's id and its TLS key: the service" in ran.out
        assert (used / "server_id").read_text().strip() not in ran.out
    root_owned = (Path(sys.prefix) / "bin/inglenook").stat().st_uid == 0
    if root_owned and not os.path.lexists("/usr/local/bin/inglenook"):
        assert "# /usr/local/bin/inglenook, a link to " in ran.out
