"""``inglenook service install`` and ``uninstall`` as far as they need no systemd.

What systemd then makes of it is in ``tests/system/service``.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
import yaml

from inglenook.cli.service.files import SERVICE
from tests.cli.conftest import Inglenook

UNITS = "etc/systemd/system"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A system to install into, with polkit."""
    root = tmp_path / "root"
    (root / "etc/polkit-1/rules.d").mkdir(parents=True)
    return root


def names(root: Path) -> list[str]:
    """Every file below a folder."""
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def test_a_dry_run_shows_every_file_and_writes_none(inglenook: Inglenook, root: Path) -> None:
    """With its content, and without root's rights."""
    before = names(root)

    ran = inglenook("service", "install", "--dry-run", "--root", str(root))

    assert ran.returncode == 0
    shown = [line for line in ran.out.splitlines() if line.startswith("# /etc/")]
    assert "# /etc/inglenook/config.yaml" in shown
    assert f"# /etc/systemd/system/{SERVICE}" in shown
    assert "# /etc/polkit-1/rules.d/50-inglenook.rules" in shown
    assert "Type=notify" in ran.out
    assert names(root) == before


def test_an_install_writes_what_the_dry_run_showed(inglenook: Inglenook, root: Path) -> None:
    """And a line for each; settings in use come along, with the service's state folder."""
    shown = inglenook("service", "install", "--dry-run", "--root", str(root)).out

    ran = inglenook("service", "install", "--root", str(root))

    assert ran.returncode == 0
    for name in names(root):
        assert name == "etc/inglenook/installed.json" or f"wrote /{name}" in ran.out
        assert name == "etc/inglenook/installed.json" or (root / name).read_text() in shown
    settings = yaml.safe_load((root / "etc/inglenook/config.yaml").read_text())
    assert settings == {"name": "Kitchen", "state_dir": "/var/lib/inglenook"}


def test_settings_that_are_there_already_are_used_as_they_are(
    inglenook: Inglenook, root: Path
) -> None:
    """And the units follow them."""
    settings = root / "etc/inglenook/config.yaml"
    settings.parent.mkdir()
    settings.write_text("# mine\nstate_dir: /var/lib/inglenook\nlisten: {port: 80, tls_port: 0}\n")

    ran = inglenook("service", "install", "--root", str(root), "--config", str(settings))

    assert ran.returncode == 0
    assert settings.read_text().startswith("# mine\n")
    ports = (root / UNITS / "inglenook.socket.d/10-ports.conf").read_text()
    assert ports == "[Socket]\nListenStream=\nListenStream=80\n"


def test_settings_that_name_no_folder_for_state_get_the_services(
    inglenook: Inglenook, root: Path
) -> None:
    """As README has them; what else stands there stays, and the file as it was is kept beside."""
    settings = root / "etc/inglenook/config.yaml"
    settings.parent.mkdir()
    settings.write_text("name: Kitchen  # mine\nmodel:\n  path: /srv/model.gguf\n")

    ran = inglenook("service", "install", "--root", str(root), "--config", str(settings))

    assert ran.returncode == 0, ran.err
    assert settings.read_text() == (
        "state_dir: /var/lib/inglenook\nname: Kitchen  # mine\nmodel:\n  path: /srv/model.gguf\n"
    )
    assert settings.with_name("config.yaml.bak").read_text().startswith("name: Kitchen  # mine\n")
    again = inglenook("service", "install", "--root", str(root), "--config", str(settings))
    assert "config.yaml" not in again.out


def test_numbers_and_words_stand_in_the_settings_as_they_were_written(
    inglenook: Inglenook, config: Path, root: Path
) -> None:
    """Not in quotes, and with the owner's comments."""
    own = "listen: {port: 27731}  # ours\ndiscovery:\n  enabled: false\n"
    config.write_text(f"{config.read_text()}{own}")

    ran = inglenook("service", "install", "--dry-run", "--root", str(root))

    assert own in ran.out


def test_the_service_waits_for_the_disks_it_needs(
    inglenook: Inglenook, config: Path, root: Path
) -> None:
    """Of its state, its settings and the program; and for the model's, if it comes."""
    config.write_text(f"{config.read_text()}model: {{path: /mnt/usb disk/model.gguf}}\n")

    inglenook("service", "install", "--root", str(root))

    text = (root / UNITS / f"{SERVICE}.d/10-mounts.conf").read_text()
    required = next(line for line in text.splitlines() if line.startswith("RequiresMountsFor="))
    for path in ("/var/lib/inglenook", "/etc/inglenook", sys.prefix):
        assert path in required
    assert "\nAfter=mnt.mount mnt-usb\\x20disk.mount\n" in text
    assert "/mnt/usb" not in required


def test_settings_are_not_taken_from_two_places(inglenook: Inglenook, root: Path) -> None:
    """Whoever names others has to say which of them are meant."""
    settings = root / "etc/inglenook/config.yaml"
    settings.parent.mkdir()
    settings.write_text("state_dir: /var/lib/inglenook\n")

    ran = inglenook("service", "install", "--root", str(root))

    assert ran.returncode == 1
    assert f"the service has settings in {settings} already" in ran.err


def test_state_elsewhere_is_refused_with_the_line_to_write(
    inglenook: Inglenook, root: Path
) -> None:
    """The unit may write to one folder only, and the other commands must find the same."""
    settings = root / "etc/inglenook/config.yaml"
    settings.parent.mkdir()
    settings.write_text("state_dir: /srv/inglenook\n")

    ran = inglenook("service", "install", "--root", str(root), "--config", str(settings))

    assert ran.returncode == 1
    assert f"say 'state_dir: /var/lib/inglenook' in {settings}" in ran.err


def test_limits_follow_from_the_model(
    inglenook: Inglenook, config: Path, root: Path, starter_model: Path
) -> None:
    """Of the one in use; without a model there are none, and it is said why."""
    drop_in = root / UNITS / f"{SERVICE}.d/10-memory.conf"
    without = inglenook("service", "install", "--root", str(root))
    assert "no memory limits, which follow from the model: " in without.err
    assert not drop_in.exists()
    (root / "etc/inglenook/config.yaml").unlink()

    text = f"model: {{path: {starter_model}, context: 2048}}\ncache: {{ram: 64MiB}}\n"
    config.write_text(config.read_text() + text)
    inglenook("service", "install", "--root", str(root))

    limits = dict(line.split("=") for line in drop_in.read_text().splitlines() if "=" in line)
    low, high, most = (int(limits[f"Memory{name}"].rstrip("M")) for name in ("Low", "High", "Max"))
    assert starter_model.stat().st_size >> 20 < low < 400
    assert low + 64 + 512 < high < most < 1500


def test_an_uninstall_leaves_the_settings_unless_told_otherwise(
    inglenook: Inglenook, root: Path
) -> None:
    """Everything else is as before."""
    before = names(root)
    inglenook("service", "install", "--root", str(root))

    ran = inglenook("service", "uninstall", "--root", str(root))

    assert ran.returncode == 0
    assert "--purge removes them" in ran.out
    assert names(root) == [*before, "etc/inglenook/config.yaml"]

    inglenook("service", "uninstall", "--root", str(root), "--purge")

    assert names(root) == before


@pytest.mark.skipif(
    Path("/run/systemd/system").exists() and os.geteuid() == 0, reason="it would be installed"
)
@pytest.mark.parametrize("action", ["install", "uninstall"])
def test_where_it_cannot_be_done_nothing_is(inglenook: Inglenook, action: str) -> None:
    """Without root, or without systemd: one sentence."""
    ran = inglenook("service", action)

    assert ran.returncode == 1
    assert ran.out == ""
    why = "systemd does not run" if os.geteuid() == 0 else f"sudo inglenook service {action}"
    assert why in ran.err
    assert len(ran.err.splitlines()) == 1
