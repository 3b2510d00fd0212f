"""Has settings of the library measured, in a child that may die of them. Kind: hands."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from inglenook.common.errors import StartupError
from inglenook.engine.environment import engine_environment
from inglenook.engine.trial import (
    NO_MMAP,
    NOT_A_LINE,
    Answer,
    Loaded,
    Speed,
    Trial,
    TrialLoading,
    Unusable,
    decode_answer,
    encode,
)

WORKER = (sys.executable, "-m", "inglenook.engine.worker.measure")

#: Between two signs of progress while loading; as `Timeouts.load_s`, and for the same reasons.
LOAD_S = 180.0

#: For one trial. The slowest board worth tuning does the longest, a thousand tokens, in a few
#: seconds by the size it is given; a board that swaps does not.
TRIAL_S = 60.0

#: From the end of a child's answers to its own; as in `child`, and for the same reasons.
_EXIT_S = 5.0

_ANSWER_BYTES_MAX = 65536
_TAIL_BYTES = 2000


@dataclass(slots=True)
class _Child:
    process: subprocess.Popen[bytes]
    pipe: socket.socket
    answers: BinaryIO
    errors: BinaryIO

    def close(self) -> None:
        """End it, however it is."""
        self.process.kill()
        self.process.wait()
        self.answers.close()
        self.pipe.close()
        self.errors.close()


class Gauge:
    """Measures one model. Use it as a context manager; what it calls blocks.

    The library aborts its process on a broken assertion, so a setting may end the child: that one
    is then unusable, and another child measures the next.
    """

    def __init__(
        self,
        model: Path,
        on_loading: Callable[[float], None] = lambda _fraction: None,
        argv: Sequence[str] = WORKER,
        *,
        use_mmap: bool = True,
    ) -> None:
        """Take the model.

        Args:
            model: The GGUF file.
            on_loading: Hears 0 to 1 whenever a child reads it.
            argv: What a child runs.
            use_mmap: See `Load`.
        """
        self._argv = (*argv, str(model), *(() if use_mmap else (NO_MMAP,)))
        self._on_loading = on_loading
        self._child: _Child | None = None
        self._cores = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _exc: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self._bury()

    def load(self) -> int:
        """Read the model, if no child has; returns how many cores are worth computing on.

        Raises:
            StartupError: If the library does not take it.
        """
        if self._child is None:
            self._child = _spawn(self._argv)
            while not isinstance(answer := self._answer(self._child, LOAD_S), Loaded):
                if not isinstance(answer, TrialLoading):
                    why = answer.why if isinstance(answer, Unusable) else "it spoke out of turn"
                    raise StartupError(f"the model cannot be measured: {why}")
                self._on_loading(answer.fraction)
            self._cores = answer.cores
        return self._cores

    def measure(self, trial: Trial) -> Speed | Unusable:
        """Have one trial made.

        Raises:
            StartupError: If a new child was needed and the library does not take the model.
        """
        self.load()
        assert self._child is not None
        # If it is gone, the answer, or rather its absence, tells more.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self._child.pipe.sendall(encode(trial) + b"\n")
        answer = self._answer(self._child, TRIAL_S)
        return answer if isinstance(answer, Speed | Unusable) else Unusable("it spoke out of turn")

    def _answer(self, child: _Child, timeout_s: float) -> Answer:
        """The next answer; a child that gives none, or nonsense, is buried."""
        child.pipe.settimeout(timeout_s)
        try:
            line = child.answers.readline(_ANSWER_BYTES_MAX)
            if line:
                return decode_answer(line)
            why = _last_words(child)
        except TimeoutError:
            why = f"it took longer than {timeout_s:g} s"
        except ConnectionResetError:
            why = _last_words(child)
        except NOT_A_LINE:
            why = "its answer was nonsense"
        self._bury()
        return Unusable(why)

    def _bury(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            child.close()


def _spawn(argv: Sequence[str]) -> _Child:
    ours, theirs = socket.socketpair()
    # A file, not a pipe: nobody reads along, and a child must not wait for that.
    errors = tempfile.TemporaryFile()  # noqa: SIM115  # closed with the child
    with theirs:
        try:
            process = subprocess.Popen(
                argv,
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                stderr=errors,
                env=engine_environment(),
            )
        except OSError as exc:
            ours.close()
            errors.close()
            raise StartupError(f"nothing can be measured: {exc.strerror}") from exc
    return _Child(process, ours, ours.makefile("rb"), errors)


def _last_words(child: _Child) -> str:
    """How a child ended that has closed its pipe, in words for the operator."""
    try:
        returncode = child.process.wait(timeout=_EXIT_S)
    except subprocess.TimeoutExpired:
        return "the library fell silent"
    if returncode == -signal.SIGKILL:
        return "the library was killed (by the kernel, if memory was short)"
    child.errors.seek(max(child.errors.seek(0, os.SEEK_END) - _TAIL_BYTES, 0))
    lines = child.errors.read().decode(errors="replace").strip().splitlines()
    how = f"died of {signal.strsignal(-returncode)}" if returncode < 0 else "gave up"
    return f"the library {how}" + (f" ({lines[-1]})" if lines else "")
