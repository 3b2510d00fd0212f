"""What keeps a state folder from being used, in words with a remedy. Kind: hands."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import psutil

from inglenook.common.errors import StartupError

_FULL = (errno.ENOSPC, errno.EDQUOT)
_FORBIDDEN = (errno.EACCES, errno.EPERM)

#: What file systems answer that do not have a thing: each driver has its own word for it.
_LACKING = (
    *(errno.EPERM, errno.EIO, errno.EINVAL, errno.ENODEV, errno.ENOLCK),
    *(errno.ENOSYS, errno.ENOTTY, errno.EOPNOTSUPP, errno.EPROTO),
)


#: Made for Linux: what these answer is about the disk, not about something they lack.
_NATIVE = ("ext2", "ext3", "ext4", "btrfs", "xfs", "f2fs", "bcachefs", "zfs", "tmpfs", "overlay")


def folder_fault(state_dir: Path, doing: str, exc: OSError) -> StartupError:
    """Say why a state folder cannot be used, and what to do.

    Args:
        state_dir: The folder.
        doing: What failed, as an infinitive.
        exc: How.
    """
    where = f"state_dir: {state_dir}"
    kind = _file_system(state_dir)
    why = exc.strerror or str(exc)
    if exc.errno == errno.EROFS:
        text = (
            f"{where} is on a disk that is read-only; the kernel makes one so when it finds errors"
            " on it, which `dmesg` names: repair it, or choose another folder"
        )
    elif exc.errno in _FULL:
        text = f"{where} is on a disk that is full; make room there"
    elif exc.errno in _FORBIDDEN and not _is_writable(state_dir):
        text = f"{where}: this user may not write there; run it as the user to whom it belongs"
    elif exc.errno in _LACKING and kind not in _NATIVE:
        text = (
            f"{where} is on a file system ({kind}) on which a daemon cannot"
            f" {doing} ({why}); choose a folder on one made for Linux, such as ext4, btrfs or xfs"
        )
    else:
        at = f", at {exc.filename}" if exc.filename not in (None, os.fspath(state_dir)) else ""
        text = f"{where}: cannot {doing}{at}: {why}"
    return StartupError(text)


def nearest_folder(path: Path) -> Path:
    """The folder itself, or before the first start the one it will be made in."""
    return next((folder for folder in (path, *path.parents) if _exists(folder)), path)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # in a folder that this user may not enter
        return False


def _is_writable(state_dir: Path) -> bool:
    return os.access(nearest_folder(state_dir), os.W_OK | os.X_OK)


def _file_system(path: Path) -> str:
    """The kernel's name of the file system's kind, such as ``exfat``."""
    folders = {path.absolute(), *path.absolute().parents}
    mounts = [
        (len(part.mountpoint), part.fstype)
        for part in psutil.disk_partitions(all=True)
        if Path(part.mountpoint) in folders
    ]
    return max(mounts, default=(0, ""))[1] or "of an unknown kind"
