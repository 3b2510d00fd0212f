"""Progress on one line of a terminal: the model's loading, and waking a machine."""

from __future__ import annotations

import asyncio
import logging
import sys

from inglenook.cli.terminal.output import LineFormatter, columns_of, note
from inglenook.engine.interface import EnginePhase, EngineState

#: Loading has ended, successfully or not.
_SETTLED = (EnginePhase.READY, EnginePhase.MISSING, EnginePhase.UNLOADED)

#: Columns of the loading bar.
_BAR = 24

_TICK_S = 1.0

#: Clears a terminal's line from the cursor on (ECMA-48, EL).
_CLEAR = "\x1b[K"


class LoadingProgress:
    """Progress of the model's loading, on one line of a terminal."""

    def __init__(self) -> None:
        #: The model is loaded, or it is known why not.
        self.settled = asyncio.Event()
        self._moving = sys.stderr.isatty()
        if self._moving:
            for handler in logging.getLogger().handlers:
                if isinstance(handler.formatter, LineFormatter):
                    handler.formatter.before = _CLEAR

    def show(self, state: EngineState) -> None:
        """Take the engine's latest state."""
        if state.phase is EnginePhase.LOADING and self._moving:
            _overwrite(_loading_line(state, columns_of(sys.stderr) or 0))
        elif not self.settled.is_set() and state.phase in _SETTLED:
            if self._moving:
                _overwrite()
            self.settled.set()


class WakeProgress:
    """Progress of the waiting: each second on one line of a terminal, or else once."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._loop = asyncio.get_running_loop()
        self._began_s = self._loop.time()
        self._calls = 0
        self._where = ""
        self._timer: asyncio.TimerHandle | None = None
        if sys.stderr.isatty():
            self._tick()

    def called(self, interfaces: int) -> None:
        """Count one more packet, sent on this many interfaces."""
        self._calls += 1
        self._where = interfaces_text(interfaces)
        if self._timer is not None:
            self._show()
        elif self._calls == 1:
            note(f"called {self._name} on {self._where}; waiting until it answers")

    def over(self) -> None:
        """Clear the line for the next output."""
        if self._timer is not None:
            self._timer.cancel()
            _overwrite()

    def _tick(self) -> None:
        self._show()
        self._timer = self._loop.call_later(_TICK_S, self._tick)

    def _show(self) -> None:
        line = f"waking {self._name}  {self._loop.time() - self._began_s:.0f} s"
        if self._calls:
            times = "once" if self._calls == 1 else f"{self._calls} times"
            line += f", called {times} on {self._where}"
        _overwrite(line[: (columns_of(sys.stderr) or len(line) + 1) - 1])


def interfaces_text(count: int) -> str:
    """A number of network interfaces, in words."""
    return "1 interface" if count == 1 else f"{count} interfaces"


def _loading_line(state: EngineState, columns: int) -> str:
    """Draw the loading's progress on one line of a terminal; with the model's name if it fits."""
    done = round(_BAR * state.progress)
    bar = "━" * done + " " * (_BAR - done)
    line = f"loading {state.model}  {bar} {state.progress:4.0%}"
    # The last column stays free: some terminals begin a new line there.
    return line if len(line) < columns else f"loading {bar} {state.progress:4.0%}"[: columns - 1]


def _overwrite(line: str = "") -> None:
    # The cursor goes back to the start, so that the next output overwrites the line.
    print(f"{line}{_CLEAR}", end="\r" if line else "", file=sys.stderr, flush=True)
