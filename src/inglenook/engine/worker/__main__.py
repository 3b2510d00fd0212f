"""Entry of the engine process: ``python -m inglenook.engine.worker FD PARENT``. Kind: hands.

It is meant to be the first to die: of its parent's death, and of the kernel's when memory is short.
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

#: Any number above the daemon's own makes the kernel take this process first; 1000 is most.
_OOM_SCORE_ADJ = 800

#: The library's recursion while it makes tokens takes up to 4 MB, see `prompting`. Only what is
#: used of it is ever memory; and threads go by what the limit was when this process began.
_STACK_BYTES = 64 * 2**20


def _die_with(parent_pid: int) -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    # The parent may have gone before the call.
    if os.getppid() != parent_pid:
        sys.exit(1)


def _die_first() -> None:
    score = Path("/proc/self/oom_score_adj")
    try:
        # Some containers begin above that already.
        score.write_text(str(max(_OOM_SCORE_ADJ, int(score.read_text()))))
    except OSError as exc:
        logging.getLogger(__name__).warning("oom_score_adj stays as it is: %s", exc)


def _raise_stack() -> None:
    """Let the stack grow as far as the administrator's own limit allows."""
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

    # Late, for the library takes its time: whoever starts us must not outlive its parent meanwhile.
    from inglenook.engine.cores import allowed_cores
    from inglenook.engine.worker.startup import serve

    # What was imported stays. To look through all of it takes 20 ms, on small boards more, and the
    # garbage collector would do so in the middle of a step.
    gc.freeze()
    serve(sock, allowed_cores())
    # The library's own tear-down takes time and can assert; the kernel's is enough.
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
