"""What an engine process finds in its environment: where its threads run. Kind: hands."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

from inglenook.engine.cores import placement_order

#: Whoever has set one of these knows better.
_PLACED_BY_ADMIN: Final = ("OMP_PROC_BIND", "OMP_PLACES", "GOMP_CPU_AFFINITY")


def engine_environment(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment of this process, and where OpenMP is to put the engine's compute threads.

    Each has a core of its own. Left to the kernel, two come to share one as soon as another process
    is busy, and stay there: each spins until its time slice ends, then so does the one it waits
    for, some hundred times a token. On two x86 cores, beside one busy process, a token of the
    starter then took 3.3 s, and takes 19 ms like this; alone it takes 10 either way.
    """
    environment = dict(environ)
    if not any(name in environ for name in _PLACED_BY_ADMIN):
        environment["OMP_PLACES"] = ",".join(f"{{{core}}}" for core in placement_order())
        environment["OMP_PROC_BIND"] = "close"
    return environment
