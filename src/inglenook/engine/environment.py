"""What an engine process finds in its environment: places of its threads, pages. Kind: hands."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from inglenook.engine.cores import placement_order

#: Whoever has set one of these knows better.
_PLACED_BY_ADMIN: Final = ("OMP_PROC_BIND", "OMP_PLACES", "GOMP_CPU_AFFINITY")

_HUGE_PAGES: Final = Path("/sys/kernel/mm/transparent_hugepage")

#: The largest huge page that is asked for. Where ordinary pages have 16 KiB, as on a Pi 5, a huge
#: one has 32 MiB, and every heap would begin with one.
_HUGE_PAGE_MAX_BYTES: Final = 2 * 2**20


def engine_environment(
    environ: Mapping[str, str] = os.environ, huge_pages: Path = _HUGE_PAGES
) -> dict[str, str]:
    """The environment of this process, and what makes an engine fast; what is set there wins.

    Each compute thread has a core of its own. Left to the kernel, two come to share one as soon as
    another process is busy, and stay there: each spins until its time slice ends, then so does the
    one it waits for, some hundred times a token. On two x86 cores, beside one busy process, a token
    of the starter then took 3.3 s, and takes 19 ms like this; alone it takes 10 either way.

    Large memory comes in huge pages, where the kernel gives them to those who ask: each token reads
    all weights once, and a page of 4 KiB is over before the processor has looked ahead. The model
    of `benchmarks.shape_model`, whose weights the library copies out of the file, decodes 4 to 5 %
    faster for it on two x86 cores; one whose weights stay in the mapped file, as fast as before.

    Args:
        environ: What there is already.
        huge_pages: The kernel's folder about transparent huge pages.
    """
    environment = dict(environ)
    if not any(name in environ for name in _PLACED_BY_ADMIN):
        environment["OMP_PLACES"] = ",".join(f"{{{core}}}" for core in placement_order())
        environment["OMP_PROC_BIND"] = "close"
    if "GLIBC_TUNABLES" not in environ and _huge_pages_for_asking(huge_pages):
        environment["GLIBC_TUNABLES"] = "glibc.malloc.hugetlb=1"
    return environment


def _huge_pages_for_asking(folder: Path) -> bool:
    """Whether huge pages are for those who ask, and of a good size; else the C library must not.

    See https://docs.kernel.org/admin-guide/mm/transhuge.html for the two files.
    """
    try:
        for_asking = "[madvise]" in (folder / "enabled").read_text()
        return for_asking and int((folder / "hpage_pmd_size").read_text()) <= _HUGE_PAGE_MAX_BYTES
    except (OSError, ValueError):
        return False
