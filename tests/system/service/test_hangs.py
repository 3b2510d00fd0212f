"""A model's drive that hangs, under real systemd: the box is ended by its watchdog, and begun anew.

The drive is bindfs, a FUSE driver, that is stopped: whoever opens a file of it waits.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.parts import debian
from tests.parts.container import Container
from tests.parts.netns import missing, wait_for
from tests.parts.service import CONFIG, START_S, UNIT, Service

pytestmark = [pytest.mark.system, pytest.mark.timeout(1200, func_only=True)]

DRIVE = "/mnt/drive"
GO = "/run/inglenook-test"

#: From the hang to the end of the process; a busy machine takes its time.
ENDED_S = 120.0

#: The program itself, that bears a look of two seconds instead of a minute and a half, and a test's
#: drive is stopped when systemd has made its namespace and it has not yet looked.
PROGRAM = f"""
import sys
from pathlib import Path

from inglenook.engine.timeouts import Timeouts

*others, _between_s = Timeouts.__init__.__defaults__
Timeouts.__init__.__defaults__ = (*others, 2.0)

from inglenook.cli import main
from inglenook.engine import silence

silence._OVERDUE_S = 1.0
if Path("{GO}").exists():
    Path("{GO}").read_text()
sys.exit(main())
"""
SHORT = f"""
[Service]
WatchdogSec=4
ExecStart=
ExecStart={debian.VENV}/bin/python /opt/short.py run --config {CONFIG}
"""


@dataclass
class Drive:
    """A mounted folder whose driver can be stopped."""

    folder: Path
    driver: subprocess.Popen[bytes]

    def hang(self) -> None:
        os.kill(self.driver.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        os.kill(self.driver.pid, signal.SIGCONT)


@pytest.fixture
def drive(starter_model: Path, tmp_path: Path) -> Iterator[Drive]:
    """A drive with the model on it."""
    fault = missing("bindfs", "umount")
    assert not fault, f"{fault}; apt-get install bindfs"
    disk, folder = tmp_path / "disk", tmp_path / "drive"
    disk.mkdir()
    folder.mkdir()
    shutil.copy(starter_model, disk / "model.gguf")
    (disk / "model.gguf").chmod(0o644)
    driver = subprocess.Popen(["bindfs", "-f", disk, folder])
    try:
        wait_for("the drive", (folder / "model.gguf").exists, timeout_s=START_S)
        yield Drive(folder, driver)
    finally:
        driver.send_signal(signal.SIGCONT)
        with contextlib.suppress(subprocess.CalledProcessError):
            subprocess.run(["umount", folder], check=True, timeout=START_S)
        driver.terminate()
        driver.wait()


@pytest.fixture
def shown(drive: Drive) -> dict[Path, str]:
    """The drive is in the box, too."""
    return {drive.folder: DRIVE}


@pytest.fixture
def impatient(service: Service) -> Service:
    """The program as a service that has loaded its model from the drive, with short times."""
    container = service.container
    container.write("/opt/short.py", PROGRAM)
    container.write(f"/etc/systemd/system/{UNIT}.d/90-test.conf", SHORT)
    service.install(model={"path": f"{DRIVE}/model.gguf", "context": 2048})
    return service


def wait_ended(service: Service) -> None:
    """Wait until systemd has ended the daemon because it gave no sign of life."""
    wait_for(
        "the watchdog",
        lambda: "Watchdog timeout" in service.container.journal(UNIT),
        timeout_s=ENDED_S,
    )


def test_a_start_that_hangs_is_ended_by_the_watchdog(impatient: Service, drive: Drive) -> None:
    """It asks for no more time, which would hold off the watchdog; and once it can, it starts."""
    container = impatient.container
    impatient.stop()
    container.run("mkfifo", "--mode=666", GO)
    container.run("systemctl", "start", "--no-block", UNIT)
    wait_for("a process", lambda: impatient.pid, timeout_s=START_S)
    wait_for("it waits", lambda: _waits(container, impatient.pid), timeout_s=START_S)
    drive.hang()
    container.run("sh", "-c", f"echo go > {GO}; rm {GO}")

    wait_ended(impatient)
    # It had not come to be active.
    before, _, _since = container.journal(UNIT).partition("Watchdog timeout")
    assert f"Started {UNIT}" not in before[before.rindex(f"Starting {UNIT}") :]
    drive.go_on()
    impatient.wait_loaded()
    assert impatient.restarts == 1


def test_a_look_that_hangs_between_two_engines_is_ended_by_the_watchdog(
    impatient: Service, drive: Drive
) -> None:
    """The engine has died, and the next cannot be begun; there is none whose silence would tell."""
    pid, engine = impatient.pid, impatient.engine()
    drive.hang()
    impatient.container.kill("KILL", engine)

    wait_ended(impatient)
    drive.go_on()
    impatient.wait_loaded()
    assert impatient.pid not in (0, pid)
    assert impatient.restarts == 1


def test_a_look_that_takes_its_time_is_borne(impatient: Service, drive: Drive) -> None:
    """A drive that spins up hangs for a while, and the process that waits for it stays."""
    pid, engine = impatient.pid, impatient.engine()
    drive.hang()
    impatient.container.kill("KILL", engine)
    wait_for(
        "news of it", lambda: "it starts again" in impatient.container.journal(UNIT), timeout_s=10
    )
    drive.go_on()
    impatient.wait_loaded()

    assert (impatient.pid, impatient.restarts) == (pid, 0)


def _waits(container: Container, pid: int) -> bool:
    """Whether a process has opened what tells it to go on, or is about to."""
    return "short.py" in container.attempt("cat", f"/proc/{pid}/cmdline").stdout
