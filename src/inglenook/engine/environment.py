"""What an engine process finds in its environment. Kind: hands."""

from __future__ import annotations

import os

#: How often a compute thread looks whether the others are done before it sleeps. Left to itself,
#: OpenMP (GCC's libgomp) spins 300,000 times; alone on two x86 cores that writes no faster than
#: this, but beside one busy process, where each spinning thread keeps the other from its core, it
#: writes 0.3 tokens a second where this writes 22. Below 1,000 the lone engine becomes slower.
_SPIN_COUNT = "1000"


def engine_environment() -> dict[str, str]:
    """The environment of this process, and what OpenMP needs to be a good neighbour.

    Whoever has set ``GOMP_SPINCOUNT`` or ``OMP_WAIT_POLICY`` knows better.
    """
    environment = dict(os.environ)
    if "OMP_WAIT_POLICY" not in environment:
        environment.setdefault("GOMP_SPINCOUNT", _SPIN_COUNT)
    return environment
