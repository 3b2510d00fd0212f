"""The end of a command by an unexpected fault: quietly, or with one line."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import sys
from collections.abc import Iterator
from typing import TextIO

from inglenook.common.errors import InglenookError

_FAILED = 1

#: Errors of an output that takes no more, besides a closed pipe (EPIPE).
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)

_EXPECTED = (InglenookError, OSError, KeyboardInterrupt)


def cause(exc: BaseException) -> BaseException:
    """The exception that nested task groups have wrapped; a fault of ours stays as it is."""
    if not isinstance(exc, BaseExceptionGroup):
        return exc
    leaves = list(_leaves(exc))
    if not all(isinstance(leaf, _EXPECTED) for leaf in leaves):
        return exc
    # A sentence for people says more than its consequences.
    return next((leaf for leaf in leaves if isinstance(leaf, InglenookError)), leaves[0])


def end_of_output(exc: BaseException) -> int:
    """Return the exit code if the output cannot be written; a full disk gets a line.

    Raises:
        BaseException: The same, if it is any other fault.
    """
    found = cause(exc)
    if not isinstance(found, OSError) or found.filename is not None:
        raise exc
    if found.errno != errno.EPIPE and found.errno not in _FULL:
        raise exc
    streams = [stream for stream in (sys.stdout, sys.stderr) if stream is not None]
    lost = [stream for stream in streams if _holds_back(stream)]
    if not lost:
        # The refused text may no longer be buffered; an empty line would be.
        lost = list(itertools.islice((s for s in streams if _holds_back(s, "\n")), 1))
    if not lost:
        raise exc
    for stream in lost:
        _silence(stream)
    # The reader has closed the pipe, as `| head` does: the rest is of no interest.
    if found.errno != errno.EPIPE:
        try:
            print(f"inglenook: the output cannot be written: {found.strerror}", file=sys.stderr)
        except OSError:
            _silence(sys.stderr)
    return _FAILED


def flush_output() -> None:
    """Flush stdout while a fault can still be printed.

    Raises:
        OSError: If it cannot be written.
    """
    if sys.stdout is not None:
        sys.stdout.flush()


def _holds_back(stream: TextIO, text: str = "") -> bool:
    """Whether a stream cannot write its buffer and this text."""
    with contextlib.suppress(ValueError):  # it is closed
        try:
            stream.write(text)
            stream.flush()
        except OSError:
            return True
    return False


def _silence(stream: TextIO) -> None:
    """Redirect a stream to /dev/null; else its buffer would fail again, with a trace, at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    for exc in group.exceptions:
        if isinstance(exc, BaseExceptionGroup):
            yield from _leaves(exc)
        else:
            yield exc
