"""A clock on the wall that is set, for one program: a library before libc adds to every date."""

from __future__ import annotations

import os
import subprocess
import sysconfig
from pathlib import Path

_SOURCE = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>

static long offset(void) {
    const char *text = getenv("WALL_CLOCK_OFFSET_S");
    return text ? atol(text) : 0;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    int (*real)(clockid_t, struct timespec *) = dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(clock, now);
    if (clock == CLOCK_REALTIME) now->tv_sec += offset();
    if (clock == CLOCK_BOOTTIME && getenv("WALL_CLOCK_GOES_ON")) now->tv_sec += offset();
    return result;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    int (*real)(struct timeval *, void *) = dlsym(RTLD_NEXT, "gettimeofday");
    int result = real(now, zone);
    now->tv_sec += offset();
    return result;
}

time_t time(time_t *at) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (at) *at = now.tv_sec;
    return now.tv_sec;
}
"""


def wall_clock(scratch: Path, offset_s: int, *, goes_on: bool = False) -> dict[str, str]:
    """Say what a program has to be started with to read another date.

    Args:
        scratch: A folder for the library, which a C compiler makes.
        offset_s: What its clock is ahead of ours.
        goes_on: So much time has passed, and the clock was not set: the board runs for longer, too.
    """
    source, library = scratch / "wall_clock.c", scratch / "wall_clock.so"
    source.write_text(_SOURCE)
    compiler = os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc"
    subprocess.run(
        [*compiler.split(), "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True
    )
    environ = {"LD_PRELOAD": str(library), "WALL_CLOCK_OFFSET_S": str(offset_s)}
    return environ | ({"WALL_CLOCK_GOES_ON": "1"} if goes_on else {})
