"""Debian in a folder, with what the program needs: made once, kept in the cache, only ever read.

The program itself is one more layer, made once a test run.

Nothing of the machine itself is changed: the making has mounts of its own, and the one folder it
writes to is ``$XDG_CACHE_HOME/inglenook-tests``.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
SUITE = "bookworm"
VENV = "/opt/inglenook"

# What a Debian 12 on a board has anyway, beside the smallest system there is.
_PACKAGES = (
    *["systemd", "systemd-sysv", "dbus", "libpam-systemd", "polkitd", "avahi-daemon"],
    *["python3", "python3-venv", "libgomp1", "libstdc++6", "iproute2", "procps"],
)

_LOCK = CHECKOUT / "requirements" / "run.lock"

_DEBOOTSTRAP_S = 900.0
# llama.cpp has been compiled by whoever ran the other tests, and is then in pip's cache, if it has
# one; else it is compiled here, which takes two cores five minutes.
_PIP_S = 1800.0

# debootstrap copies this machine's name and id, which are not to be those of the box, and leaves to
# the installer what says who localhost is.
_SYSTEM = rf"""
debootstrap --variant=minbase --include={",".join(_PACKAGES)} {SUITE} "$1" "$2"
rm -rf "$1"/var/cache/apt/archives/*.deb "$1"/var/lib/apt/lists/*
echo box > "$1/etc/hostname"
printf '127.0.0.1 localhost\n127.0.1.1 box\n::1 localhost\n' > "$1/etc/hosts"
: > "$1/etc/machine-id"
mkdir "$1{VENV}"
"""

_DEPENDENCIES = f"""
mkdir -p "$1{VENV}"
mount --bind "$2" "$2"
mount -o remount,bind,ro "$2"
mount --bind "$1{VENV}" "$2{VENV}"
mount -t tmpfs tmpfs "$2/tmp"
mkdir "$2/tmp/wheels"
mount --bind "$3" "$2/tmp/wheels"
mount -t devtmpfs devtmpfs "$2/dev"
chroot "$2" python3 -m venv {VENV}
chroot "$2" {VENV}/bin/pip install --quiet --no-index --find-links /tmp/wheels \
  $(cd "$3" && printf '/tmp/wheels/%s ' *.whl)
"""

# pip removes nothing and writes nowhere else, so what it added to the folder is all of the layer.
_PROGRAM = f"""
mount -t tmpfs tmpfs "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay overlay -o "lowerdir=$2,upperdir=$1/upper,workdir=$1/work" "$1/root"
mount -t tmpfs tmpfs "$1/root/tmp"
mount -t devtmpfs devtmpfs "$1/root/dev"
cp "$4" "$1/root/tmp"
chroot "$1/root" {VENV}/bin/pip install --quiet --no-index --no-deps "/tmp/${{4##*/}}"
mkdir -p "$3{VENV}"
cp -a "$1/upper{VENV}/." "$3{VENV}"
"""


def layers() -> list[Path]:
    """Folders that lie over each other, the uppermost first: dependencies, and Debian; blocks.

    The first time this takes two minutes and the network.
    """
    packages = _digest(SUITE, *_PACKAGES, _SYSTEM)
    debian = _kept(f"debian-{packages}", _make_debian)
    lock = _digest(packages, _LOCK.read_text(), _DEPENDENCIES)
    dependencies = _kept(f"dependencies-{lock}", lambda folder: _install(folder, debian))
    return [dependencies, debian]


def program(folder: Path, below: Sequence[Path]) -> Path:
    """Install the checkout's wheel over those layers; returns the layer that adds it; blocks.

    Args:
        folder: Where the layer is made; runs that share it make it once.
        below: Folders that lie over each other, the uppermost first.
    """
    return _once(folder, "program", lambda layer: _install_checkout(layer, below))


def _install_checkout(layer: Path, below: Sequence[Path]) -> None:
    work = layer.with_suffix(".work")
    work.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as wheels:
        _pip_wheel("--no-deps", str(CHECKOUT), folder=Path(wheels))
        (built,) = Path(wheels).glob("*.whl")
        _isolated(_PROGRAM, work, ":".join(map(str, below)), layer, built, timeout_s=_PIP_S)


def _make_debian(folder: Path) -> None:
    _isolated(_SYSTEM, folder, _mirror(), timeout_s=_DEBOOTSTRAP_S)


def _install(folder: Path, debian: Path) -> None:
    wheels = folder.with_suffix(".wheels")
    wheels.mkdir(exist_ok=True)
    try:
        _pip_wheel("--require-hashes", "--requirement", str(_LOCK), folder=wheels)
        _isolated(_DEPENDENCIES, folder, debian, wheels, timeout_s=_PIP_S)
    finally:
        shutil.rmtree(wheels)


def _kept(name: str, make: Callable[[Path], None]) -> Path:
    """A folder of the cache."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "inglenook-tests"
    cache.mkdir(parents=True, exist_ok=True)
    return _once(cache, name, make)


def _once(parent: Path, name: str, make: Callable[[Path], None]) -> Path:
    """A folder that runs at the same time make once; a killed one leaves no half."""
    folder, partial = parent / name, parent / f"{name}.partial"
    with (parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            if partial.exists():
                shutil.rmtree(partial)
            partial.mkdir()
            make(partial)
            partial.rename(folder)
    return folder


def _mirror() -> str:
    """The mirror from which this machine's apt has Debian's packages."""
    listed = _run(
        *["apt-get", "indextargets", "--format", "$(ORIGIN) $(CODENAME) $(COMPONENT) $(REPO_URI)"],
        timeout_s=60,
    )
    for line in listed.splitlines():
        origin, codename, component, *address = line.split(" ", 3)
        if (origin, codename, component) == ("Debian", SUITE, "main"):
            return address[0]
    raise AssertionError(f"apt knows no mirror of Debian {SUITE}; run apt-get update:\n{listed}")


def _pip_wheel(*what: str, folder: Path) -> None:
    _run(
        *[sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check"],
        *["--wheel-dir", str(folder), *what],
        timeout_s=_PIP_S,
    )


def _isolated(script: str, *words: Path | str, timeout_s: float) -> str:
    """Run a shell script whose mounts end with it, however it ends."""
    enter = ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--propagation=private"]
    return _run(*enter, "sh", "-euc", script, "sh", *map(str, words), timeout_s=timeout_s)


def _run(*command: str, timeout_s: float) -> str:
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=timeout_s, check=False, errors="replace"
    )
    assert done.returncode == 0, f"{command[0]}: {done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return done.stdout


def _digest(*words: str) -> str:
    return hashlib.sha256("\0".join(words).encode()).hexdigest()[:16]
