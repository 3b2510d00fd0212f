"""Entry of the engine process: ``python -m inglenook.engine.worker FD PARENT``. Kind: hands.

It is meant to die first: with its parent, and by the kernel when memory is short.
"""

from __future__ import annotations

import ctypes
import gc
import logging
import os
import resource
import signal
import socket
import sys
from pathlib import Path

_PR_SET_PDEATHSIG = 1

#: Any value above the daemon's own makes the kernel kill this process first; the maximum is 1000.
_OOM_SCORE_ADJ = 800

#: The library's recursion while it tokenizes takes up to 4 MB, see `prompt_queue`. Only the used
#: part is ever memory; threads have the limit that this process started with.
_STACK_BYTES = 64 * 2**20


def _die_with(parent_pid: int) -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    # The parent may have exited before the call.
    if os.getppid() != parent_pid:
        sys.exit(1)


def _die_first() -> None:
    score = Path("/proc/self/oom_score_adj")
    try:
        # In some containers the value is higher already.
        score.write_text(str(max(_OOM_SCORE_ADJ, int(score.read_text()))))
    except OSError as exc:
        logging.getLogger(__name__).warning("oom_score_adj could not be raised: %s", exc)


def _raise_stack() -> None:
    """Raise the stack limit as far as the administrator's own limit allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_STACK)
    wanted = _STACK_BYTES if hard == resource.RLIM_INFINITY else min(_STACK_BYTES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_STACK, (wanted, hard))


def main() -> int:
    """Serve on the socket whose number is the first argument; the parent's pid is the second."""
    logging.basicConfig(stream=sys.stderr, format="%(message)s")
    _die_with(int(sys.argv[2]))
    _die_first()
    _raise_stack()
    # Ctrl-C goes to the whole terminal group; the daemon decides when we end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sock = socket.socket(fileno=int(sys.argv[1]))
    sock.setblocking(True)

    # Late, because the library takes its time, and this process must die with its parent meanwhile.
    from inglenook.engine.cores import allowed_cores
    from inglenook.engine.worker.startup import serve

    # Imported objects stay. Scanning all of them takes the garbage collector 20 ms, on small boards
    # more, in the middle of a step.
    gc.freeze()
    serve(sock, allowed_cores())
    # The library's own tear-down takes time and can assert; the kernel's is enough.
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
