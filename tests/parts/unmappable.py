"""Models where the kernel does not map files: a FUSE driver without its cache, or a C library.

The driver, bindfs with ``direct_io``, is the real thing and needs root; the library stands in for
it where there is none: one that refuses to map what ends in ``.gguf``, as such a file system does.
"""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

_MOUNT_S = 30.0

_LIBRARY = r"""
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static int is_model(int fd) {
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path);
    return length >= 5 && memcmp(path + length - 5, ".gguf", 5) == 0;
}

void *mmap(void *address, size_t length, int access, int flags, int fd, off_t offset) {
    if ((flags & MAP_SHARED) && fd >= 0 && is_model(fd)) {
        errno = ENODEV;
        return MAP_FAILED;
    }
    return (void *)syscall(SYS_mmap, address, length, access, flags, fd, offset);
}

void *mmap64(void *address, size_t length, int access, int flags, int fd, off_t offset) {
    return mmap(address, length, access, flags, fd, offset);
}
"""


def refusing_library(folder: Path) -> Path:
    """Compile it, for ``LD_PRELOAD``; llama.cpp's own build needs the same compiler."""
    source, library = folder / "refuse.c", folder / "refuse.so"
    source.write_text(_LIBRARY)
    subprocess.run(
        ["cc", "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", library, source], check=True
    )
    return library


@contextlib.contextmanager
def mounted_without_mapping(source: Path, target: Path) -> Iterator[None]:
    """Show a folder at another place, from which nothing can be mapped."""
    target.mkdir()
    subprocess.run(["bindfs", "-o", "direct_io", source, target], check=True, timeout=_MOUNT_S)
    try:
        yield
    finally:
        subprocess.run(["umount", target], check=True, timeout=_MOUNT_S)
