"""The service waits for the disks it needs, and for the model's without depending on it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from inglenook.cli.service.mounts import mount_unit, mounts_file

PROGRAM = Path("/opt/box")

STRANGE = [
    *("/srv", "/srv/models", "/mnt/my disk", "/mnt/a-b", "/mnt/.hidden", "/.top", "/mnt/Größe"),
    *("/media/ada/USB 100%", "/mnt/a\\b", "/mnt/a'b\"c", "/mnt/x:y_z.1", "/mnt/@#,;"),
]


def lines(model: str, *leads: str, state: str = "") -> dict[str, str]:
    led = [Path(state)] if state else []
    text = mounts_file([PROGRAM], led, [Path(model), *map(Path, leads)]).text
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line and line[0] != "#")


def test_the_state_is_required_and_the_model_waited_for() -> None:
    """A drive that is not there keeps a box with another folder of state away, and no other."""
    found = lines("/srv/models/model.gguf")

    assert found == {
        "RequiresMountsFor": "/var/lib/inglenook /etc/inglenook /opt/box",
        "Wants": "srv.mount srv-models.mount",
        "After": "srv.mount srv-models.mount",
    }


def test_where_links_lead_counts_too() -> None:
    """A state folder on another disk, and a model whose name is a link."""
    found = lines("/srv/model.gguf", "/mnt/usb/model.gguf", state="/mnt/disk/box")

    assert "/mnt/disk/box" in found["RequiresMountsFor"].split()
    assert found["After"] == "srv.mount mnt-usb.mount"


def test_a_model_in_the_state_folder_needs_little_more() -> None:
    """As the starter model: what is above it is required already."""
    found = lines("/var/lib/inglenook/models/model.gguf")

    assert found["After"] == "var-lib-inglenook-models.mount"


def test_a_path_that_goes_back_is_waited_for_where_it_leads() -> None:
    """systemd takes none with ``..`` in it."""
    assert lines("/srv/a/../model.gguf", "/srv/model.gguf")["After"] == "srv.mount"


@pytest.mark.skipif(shutil.which("systemd-escape") is None, reason="systemd is not installed")
def test_mounts_are_named_as_systemd_names_them() -> None:
    """By its own program, whatever a path may hold."""
    command = ["systemd-escape", "--path", "--suffix=mount", *STRANGE]
    named = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)

    assert [mount_unit(Path(path)) for path in STRANGE] == named.stdout.split()
