"""Disks that come late, never, or go: real mounts of a real systemd."""

from __future__ import annotations

import pytest

from tests.parts.netns import wait_for
from tests.parts.service import MODEL, START_S, UNIT, Service

pytestmark = [pytest.mark.system, pytest.mark.timeout(1200, func_only=True)]

DISK = "/mnt/usb disk"
NAME = MODEL.rpartition("/")[2]
MOUNT = r"mnt-usb\x20disk.mount"

#: A disk that is ready some seconds after the box could start: its mount waits for a service.
LATE_S = 8
_FSTAB = (
    rf"{MODEL.rpartition('/')[0]} /mnt/usb\040disk none"
    " rbind,nofail,x-systemd.requires=late.service 0 0\n"
)
# Before everything, as real disks are.
_LATE = f"""
[Unit]
DefaultDependencies=no
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sleep {LATE_S}
"""
_NEVER = "[Service]\nType=oneshot\nExecStart=/bin/false\n"


@pytest.fixture
def disk(service: Service) -> Service:
    """A service, not installed yet, whose model is to lie on a disk of its own."""
    service.container.run("mkdir", DISK)
    service.container.run("sh", "-c", "cat >> /etc/fstab", stdin=_FSTAB)
    return service


def test_a_disk_that_comes_late_is_waited_for(disk: Service) -> None:
    """After a boot with `nofail`, which nothing else waits for: the first look finds the model."""
    disk.container.write("/etc/systemd/system/late.service", _LATE)
    disk.container.run("systemctl", "daemon-reload")
    disk.container.run("systemctl", "start", MOUNT)
    disk.install(model={"path": f"{DISK}/{NAME}", "context": 2048})

    disk.container.reboot()
    disk.wait_loaded()

    units = disk.container.attempt("systemd-analyze", "verify", UNIT)
    assert (units.returncode, units.stdout + units.stderr) == (0, "")
    # systemctl writes it as a string in quotes.
    assert MOUNT.replace("\\", "\\\\") in disk.container.show(UNIT, "After")
    assert "does not exist" not in disk.container.journal(UNIT)


def test_a_disk_that_does_not_come_keeps_no_box_away(disk: Service) -> None:
    """It says what is missing, and has it as soon as somebody has plugged it in."""
    disk.container.write("/etc/systemd/system/late.service", _NEVER)
    disk.container.run("systemctl", "daemon-reload")
    disk.configure(model={"path": f"{DISK}/{NAME}", "context": 2048})

    disk.inglenook("service", "install")

    disk.wait_state("active")
    wait_for("a word", lambda: "does not exist" in disk.container.journal(UNIT), timeout_s=START_S)
    pid = disk.pid
    disk.container.run("mount", "--rbind", MODEL.rpartition("/")[0], DISK)
    disk.wait_loaded()
    assert disk.pid == pid


def test_a_disk_that_is_taken_away_takes_no_box_with_it(disk: Service) -> None:
    """Stopping the mount, as unplugging does, stops what requires it; the box only wants it."""
    disk.container.write("/etc/systemd/system/late.service", _LATE)
    disk.container.run("systemctl", "daemon-reload")
    disk.container.run("systemctl", "start", MOUNT)
    disk.install(model={"path": f"{DISK}/{NAME}", "context": 2048})
    pid = disk.pid

    disk.container.run("umount", "--recursive", "--lazy", DISK)
    disk.container.run("systemctl", "stop", MOUNT)

    assert (disk.state, disk.pid) == ("active", pid)
    required = disk.container.show(UNIT, "RequiresMountsFor").split()
    assert {"/var/lib/inglenook", "/etc/inglenook", disk.venv} <= set(required)
