"""A card that takes its time, for one program: its syncs are held up, nothing else is. Kind: hands.

The program is started with a library before libc, which a C compiler makes here. It holds up
``fsync`` and ``fdatasync`` of files in one folder, always by as long, or until somebody lets go.
"""

from __future__ import annotations

import os
import subprocess
import sysconfig
from dataclasses import dataclass
from pathlib import Path

_SOURCE = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static void note(const char *what, const char *path) {
    char line[600];
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    int size = snprintf(line, sizeof line, "%ld.%09ld %s %s\n",
                        (long)now.tv_sec, now.tv_nsec, what, path);
    int fd = open(getenv("SLOW_CARD_LOG"), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) return;
    if (write(fd, line, size) < 0) abort();
    close(fd);
}

/* Whether a file says that syncs of what ends like this are to wait. */
static int held(const char *path) {
    char end[200];
    int fd = open(getenv("SLOW_CARD_HOLD"), O_RDONLY | O_CLOEXEC);
    if (fd < 0) return 0;
    ssize_t size = read(fd, end, sizeof end - 1);
    close(fd);
    if (size <= 0) return 0;
    end[size] = 0;
    size_t length = strlen(path);
    return length >= (size_t)size && strcmp(path + length - size, end) == 0;
}

static int slow(const char *name, int fd) {
    char link[64], path[512];
    int (*real)(int) = dlsym(RTLD_NEXT, name);
    const char *folder = getenv("SLOW_CARD_FOLDER");
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, path, sizeof path - 1);
    if (!folder || size < 0) return real(fd);
    path[size] = 0;
    if (strncmp(path, folder, strlen(folder)) != 0) return real(fd);
    note("begin", path);
    usleep(1000 * atoi(getenv("SLOW_CARD_DELAY_MS")));
    while (held(path)) usleep(2000);
    int result = real(fd);
    note("end", path);
    return result;
}

int fsync(int fd) { return slow("fsync", fd); }
int fdatasync(int fd) { return slow("fdatasync", fd); }
"""


@dataclass(frozen=True, slots=True)
class Sync:
    """One that was held up.

    Attributes:
        path: Of the file.
        begun_at, ended_at: Monotonic seconds; the end is None while it lasts.
    """

    path: str
    begun_at: float
    ended_at: float | None


class SlowCard:
    """Builds the library, and says what it did.

    Attributes:
        environ: What the program has to be started with.
    """

    def __init__(self, scratch: Path, slow_folder: str, *, delay_s: float = 0.0) -> None:
        """Compile it.

        Args:
            scratch: A folder for its files.
            slow_folder: What the paths of slow files begin with.
            delay_s: How long each sync takes at least.

        Raises:
            OSError, subprocess.CalledProcessError: If there is no compiler, or it fails.
        """
        source, library = scratch / "slow_card.c", scratch / "slow_card.so"
        source.write_text(_SOURCE)
        compiler = os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc"
        subprocess.run(
            [*compiler.split(), "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"],
            check=True,
        )
        self._hold, self._log = scratch / "hold", scratch / "log"
        self.environ = {
            "LD_PRELOAD": str(library),
            "SLOW_CARD_FOLDER": slow_folder,
            "SLOW_CARD_DELAY_MS": str(round(1000 * delay_s)),
            "SLOW_CARD_HOLD": str(self._hold),
            "SLOW_CARD_LOG": str(self._log),
        }

    def hold(self, end: str) -> None:
        """Let no sync of files whose path ends like this come to its end until `let_go`."""
        # Put there whole: an empty one would hold nothing.
        fresh = self._hold.with_suffix(".new")
        fresh.write_text(end)
        fresh.rename(self._hold)

    def let_go(self) -> None:
        """Let all of them end."""
        self._hold.unlink(missing_ok=True)

    def syncs(self) -> list[Sync]:
        """All so far, by their begin."""
        try:
            lines = self._log.read_text().splitlines()
        except FileNotFoundError:
            return []
        syncs: list[Sync] = []
        for line in lines:
            moment, what, path = line.split(" ", 2)
            if what == "begin":
                syncs.append(Sync(path, float(moment), None))
                continue
            # Two of one file at once would be told apart by nothing; the first ends first.
            place = next(i for i, s in enumerate(syncs) if s.path == path and s.ended_at is None)
            syncs[place] = Sync(path, syncs[place].begun_at, float(moment))
        return syncs
