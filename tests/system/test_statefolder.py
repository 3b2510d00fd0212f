"""A disk no daemon can live on is named by its start, and by the doctor in the same words."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import yaml

from tests.parts.netns import COMMAND_S, Machine, missing

pytestmark = [pytest.mark.system, pytest.mark.timeout(200)]

INGLENOOK = (sys.executable, "-m", "inglenook")
MIB = 2**20


@pytest.fixture(autouse=True)
def _file_systems() -> None:
    """Fail, not skip: a test nobody notices is not run is no test."""
    programs = ["bindfs", "losetup", "mkfs.ext4", "mkfs.exfat", "mount.exfat-fuse", "umount"]
    if fault := missing(*programs):
        pytest.fail(f"{fault}; apt-get install bindfs e2fsprogs exfat-fuse exfatprogs mount")


class Disk:
    """A disk in a file, which only the box sees; and the settings of a box that lives on it."""

    def __init__(self, box: Machine, folder: Path, held: ExitStack) -> None:
        self.path = folder / "disk"
        self.path.mkdir()
        self.state_dir = self.path / "state"
        self.config = folder / "config.yaml"
        self.box = box
        self._image = folder / "image"
        self._held = held

    def mount(self, *command: str) -> None:
        """Have it mounted by a command; where it has a `{device}`, a device is made of a file."""
        self.box.run(*command, str(self.path))
        self._held.callback(self.box.run, "umount", "--lazy", str(self.path))

    def device(self, *mkfs: str) -> str:
        """Make a file system in a file; returns its device."""
        with self._image.open("wb") as image:
            image.truncate(64 * MIB)
        subprocess.run([*mkfs, self._image], check=True, capture_output=True, timeout=COMMAND_S)
        made = subprocess.run(
            ["losetup", "--find", "--show", self._image],
            check=True,
            capture_output=True,
            text=True,
            timeout=COMMAND_S,
        )
        device = made.stdout.strip()
        self._held.callback(subprocess.run, ["losetup", "--detach", device], check=True)
        return device

    def inglenook(self, *words: str, model: Path | None = None) -> tuple[int, str, str]:
        """Run a command in the box; returns its exit code and what it said."""
        settings = {
            "name": "Kitchen",
            "state_dir": str(self.state_dir),
            "listen": {"host": "127.0.0.1", "tls_port": 0},
            "discovery": {"enabled": False},
            "governor": {"enabled": False},
            "model": {"path": str(model or self.path / "none.gguf"), "context": 512},
        }
        self.config.write_text(yaml.safe_dump(settings))
        command = self.box.command(*INGLENOOK, *words, "--config", str(self.config))
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=COMMAND_S, check=False
        )
        assert "Traceback" not in done.stdout + done.stderr, done.stderr
        return done.returncode, done.stdout, done.stderr

    def doctor(self, model: Path | None = None) -> dict[str, tuple[str, str]]:
        """What the doctor says of each thing: a verdict, and why."""
        _code, out, err = self.inglenook("doctor", model=model)
        rows = [line.split("\t") for line in out.splitlines()]
        assert len(rows) > 8, f"it ended before its end: {out} {err}"
        return {what: (verdict, text) for verdict, what, text in rows}


@pytest.fixture
def disk(machines: tuple[Machine, Machine]) -> Iterator[Disk]:
    """One that is not mounted yet."""
    with TemporaryDirectory(prefix="box") as folder, ExitStack() as held:
        yield Disk(machines[0], Path(folder), held)


def exfat(disk: Disk) -> None:
    """As cards and USB sticks come: no sockets, no owners."""
    disk.mount("mount.exfat-fuse", disk.device("mkfs.exfat"))


def read_only(disk: Disk) -> None:
    """Nothing on it yet."""
    disk.mount("mount", "-t", "tmpfs", "-o", "ro", "tmpfs")


def became_read_only(disk: Disk) -> None:
    """The kernel found an error on it; the table of mounts still says that it can be written."""
    device = disk.device("mkfs.ext4", "-q")
    disk.mount("mount", "-o", "errors=remount-ro", device)
    disk.state_dir.mkdir()
    assert disk.inglenook("devices", "add", "--name", "Phone")[0] == 0
    name = Path(device).name
    disk.box.run("sh", "-c", f"echo broken > /sys/fs/ext4/{name}/trigger_fs_error")


def full(disk: Disk) -> None:
    """Not even room for a name."""
    disk.mount("mount", "-t", "tmpfs", "-o", "size=4k,nr_inodes=1", "tmpfs")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (exfat, "on a file system (fuseblk) on which a daemon cannot make a socket (Input/output"),
        (read_only, "is on a disk that is read-only; the kernel makes one so when it finds errors"),
        (became_read_only, "is on a disk that is read-only"),
        (full, "is on a disk that is full; make room there"),
    ],
)
def test_the_doctor_says_what_a_start_would_say(
    disk: Disk, make: Callable[[Disk], None], words: str
) -> None:
    """One sentence, with what to do; and the doctor goes on with everything else."""
    make(disk)

    code, out, said = disk.inglenook("run")
    verdict, text = disk.doctor()["state_dir"]

    assert (code, out, said.count("\n")) == (1, "", 1)
    assert words in said
    assert verdict == "fix"
    assert said == f"inglenook: state_dir: {text}\n"


def test_what_the_doctor_tried_is_gone(disk: Disk) -> None:
    """Even from a disk that does not take all of it."""
    exfat(disk)
    for _ in range(2):
        disk.doctor()
        assert disk.box.run("ls", "--almost-all", str(disk.path)) == ""


def test_a_file_system_without_owners_is_worth_knowing(disk: Disk) -> None:
    """It has sockets, so the box runs; but others on this machine can read what is secret."""
    below = disk.config.parent / "below"
    below.mkdir()
    disk.mount("bindfs", "--perms=0777", "--chmod-ignore", str(below))

    lines = disk.doctor()

    assert lines["state_dir"][0] != "fix"
    assert lines["privacy"][0] == "warning"
    assert "others on this machine can read tokens there" in lines["privacy"][1]


def test_where_no_journal_can_be_kept_is_worth_knowing(disk: Disk) -> None:
    """The box runs without one, and only its log says so: SQLite has to map a file of its own."""
    below = disk.config.parent / "below"
    below.mkdir()
    disk.mount("bindfs", "-o", "direct_io", str(below))

    lines = disk.doctor()

    assert lines["state_dir"][0] != "fix"
    assert lines["answers"][0] == "warning"
    assert "unfinished ones are lost when the box stops" in lines["answers"][1]


def test_a_model_that_cannot_be_mapped_is_seen(disk: Disk, starter_model: Path) -> None:
    """As on some network mounts: it is read into memory instead."""
    disk.mount("bindfs", "-o", "direct_io", str(starter_model.parent))
    disk.state_dir = disk.config.parent / "state"

    lines = disk.doctor(disk.path / starter_model.name)

    assert lines["model file"][0] == "warning"
    assert "cannot map files" in lines["model file"][1]
    assert lines["state_dir"][0] != "fix"
