"""Remembers a model at which engines die while they load it. Kind: hands.

llama.cpp ends the process on a broken assertion, also on one that a file broke. Such a file is no
better a second later.
"""

from __future__ import annotations

import signal
from importlib.metadata import version
from pathlib import Path
from typing import Final, TypeAlias

from inglenook.common.errors import EngineError
from inglenook.engine.child import WorkerExited

#: What a file's content and the library's are known by, without reading them.
Stamp: TypeAlias = tuple[int | str, ...]

#: So many in a row are no accident.
_DEATHS: Final = 3

#: Signals by which a process ends itself over what it met; not those by which others end it, nor
#: the one that tells of a disk that went away under a mapped file.
_OWN_FAULT: Final = frozenset({signal.SIGABRT, signal.SIGFPE, signal.SIGILL, signal.SIGSEGV})


def read_stamp(path: str) -> Stamp | None:
    """Tell this file and this library from later ones; None if there is no such file. Blocks."""
    try:
        status = Path(path).stat()
    except OSError:
        return None
    return (path, status.st_ino, status.st_size, status.st_mtime_ns, version("llama-cpp-python"))


class CrashRecord:
    """How often an engine has died of loading one model that was never ready yet."""

    def __init__(self) -> None:
        """Nothing has died yet."""
        self._stamp: Stamp | None = None
        self._deaths = 0
        self._ready = False

    @property
    def is_known(self) -> bool:
        """Whether the model of the latest `begins` need not be tried again."""
        return self._stamp is not None and self._deaths >= _DEATHS

    def begins(self, stamp: Stamp | None) -> None:
        """A model is about to be loaded."""
        if stamp != self._stamp:
            self._stamp, self._deaths, self._ready = stamp, 0, False

    def ready(self) -> None:
        """It was loaded: whatever comes later is no fault of the file alone."""
        self._deaths, self._ready = 0, True

    def died(self, why: EngineError) -> None:
        """An engine ended before it was ready."""
        own_fault = isinstance(why, WorkerExited) and -why.returncode in _OWN_FAULT
        if own_fault and not self._ready:
            self._deaths += 1
        else:
            self._deaths = 0
