"""A Debian box that boots: real systemd, logind, D-Bus and Avahi, on a namespace's cable.

Its files lie in memory over folders that nobody writes to, and it dies with the test run.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.parts.netns import Machine, wait_for

# An install starts the service, and with it the model, from a disk that may be slow.
BOOT_S = 120.0
COMMAND_S = 180.0
_END_S = 60.0

# One hierarchy of control groups, as Debian has; what this machine has may be older. Killing
# whoever started this ends the outer process namespace, and with it everything in the box.
# systemd-nspawn ends with 133 when the box wants to be booted again.
_BOOT = """
echo $$ > "$1/cgroup.procs"
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t tmpfs tmpfs /run
mkdir /run/upper /run/work /run/root
mount -t overlay overlay -o "lowerdir=$2,upperdir=/run/upper,workdir=/run/work" /run/root
touch /run/net
mount --bind "$3" /run/net
shift 3
exec unshare --pid --fork --kill-child --mount-proc sh -c \
  'until systemd-nspawn "$@"; [ $? -ne 133 ]; do :; done' sh --boot --quiet \
  --directory=/run/root --machine=box --network-namespace-path=/run/net --console=pipe \
  --register=no --keep-unit --settings=no --link-journal=no --resolv-conf=off --timezone=off "$@"
"""

_ENTER = (
    *["setpriv", "--pdeathsig", "KILL"],
    *["nsenter", "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup"],
)

_ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LANG": "C.UTF-8",
    "SYSTEMD_PAGER": "",
    "SYSTEMD_COLORS": "0",
}


@dataclass(frozen=True, slots=True)
class Container:
    """One booted system.

    Attributes:
        machine: Its place on the cable.
        holder: The process that ends when the box is gone for good.
    """

    machine: Machine
    holder: int

    def attempt(self, *command: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command in it as root, to its end, however that is."""
        return subprocess.run(
            [*_ENTER, f"--target={self._first()}", *command],
            input=stdin,
            capture_output=True,
            text=True,
            errors="replace",
            env=_ENVIRONMENT,
            timeout=COMMAND_S,
            check=False,
        )

    def run(self, *command: str, stdin: str = "") -> str:
        """Run a command in it as root and return its stdout; a failure shows what it said."""
        done = self.attempt(*command, stdin=stdin)
        assert done.returncode == 0, (
            f"{' '.join(command)} ended with {done.returncode}: {done.stdout}{done.stderr}"
        )
        return done.stdout

    def write(self, path: str, text: str) -> None:
        """Write a file, and the folders above it."""
        self.run("install", "-D", "--mode=644", "/dev/stdin", path, stdin=text)

    def show(self, unit: str, name: str) -> str:
        """One property of a unit."""
        return self.run("systemctl", "show", "--value", f"--property={name}", unit).strip()

    def journal(self, *units: str) -> str:
        """What units have said since the start, and what systemd has said about them."""
        which = [f"--unit={unit}" for unit in units]
        # What was said a moment ago may still be on its way.
        self.attempt("journalctl", "--sync")
        return self.run("journalctl", "--no-pager", "--output=short-monotonic", *which)

    def kill(self, signal: str, pid: int) -> None:
        """Send a signal to a process, by the number it has in there."""
        self.run("kill", "-s", signal, str(pid))

    def reboot(self) -> None:
        """Boot it again, with all its files and none of its processes."""
        before = self._first()
        self.attempt("systemctl", "reboot")
        wait_for("its end", lambda: self._first() not in (0, before), timeout_s=BOOT_S)
        self.wait_booted()

    def wait_booted(self) -> None:
        """Wait until everything in it that starts by itself has started, or failed to."""
        wait_for("the box's boot", self._has_booted, timeout_s=BOOT_S)

    def _has_booted(self) -> bool:
        if not self._first():
            return False
        asked = self.attempt("systemctl", "is-system-running")
        return asked.stdout.strip() in ("running", "degraded")

    def _first(self) -> int:
        """The box's own first process, as the test run sees it; 0 if there is none."""
        pid = self.holder
        for _ in ("the shell", "systemd-nspawn", "the box"):
            pid = next(iter(_children(pid)), 0)
        return pid


@contextlib.contextmanager
def booted(
    machine: Machine, layers: Sequence[Path], binds: Mapping[Path, str] | None = None
) -> Iterator[Container]:
    """Boot a system on a namespace's end of the cable.

    Args:
        machine: Where it stands.
        layers: Folders whose files it has, the uppermost first.
        binds: Files and folders it may read, and where it finds them.
    """
    lower = ":".join(map(str, layers))
    shown = [f"--bind-ro={path}:{place}" for path, place in (binds or {}).items()]
    with _control_group() as group, tempfile.TemporaryFile() as console:
        nspawn = subprocess.Popen(
            [
                *["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--propagation=private"],
                *["sh", "-euc", _BOOT, "sh", str(group), lower, f"/proc/{machine.pid}/ns/net"],
                *shown,
            ],
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=subprocess.STDOUT,
        )
        try:
            container = Container(machine, nspawn.pid)
            container.wait_booted()
            yield container
        except AssertionError:
            console.seek(0)
            sys.stdout.write(console.read().decode(errors="replace"))
            raise
        finally:
            nspawn.kill()
            nspawn.wait()


def _children(pid: int) -> list[int]:
    if not pid:
        return []
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []


@contextlib.contextmanager
def _control_group() -> Iterator[Path]:
    """A control group of the second version, gone with what was in it."""
    root = Path("/sys/fs/cgroup")
    if (root / "unified").is_dir():
        root /= "unified"
    group = Path(tempfile.mkdtemp(prefix="inglenook-test-", dir=root))
    try:
        yield group
    finally:
        wait_for("an empty control group", lambda: _removed(group), timeout_s=_END_S)


def _removed(group: Path) -> bool:
    """Remove a control group and those in it, unless something still runs there."""
    try:
        for folder in sorted((path for path in group.rglob("*") if path.is_dir()), reverse=True):
            folder.rmdir()
        group.rmdir()
    except OSError:
        return False
    return True
