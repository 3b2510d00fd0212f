"""Line input from a terminal; keys typed meanwhile are retained for the next line."""

from __future__ import annotations

import contextlib
import getpass
import signal
import sys
import termios
from collections.abc import Iterator
from io import TextIOWrapper
from types import FrameType
from typing import Any

_LOCAL_FLAGS = 3  # of what `termios.tcgetattr` returns


class Terminal:
    """Standard input, which is a terminal. Its modes are as before when ``with`` ends.

    Lines are edited and recalled with the readline library where Python has it and stdout is a
    terminal, too. No line is written to disk.
    """

    def __init__(self) -> None:
        self._input = sys.stdin.fileno()
        self._readline: Any = None
        self._before: list[Any] = []
        self._asking: list[Any] = []
        self._on_terminate: Any = None

    def __enter__(self) -> Terminal:
        if isinstance(sys.stdin, TextIOWrapper):
            sys.stdin.reconfigure(errors="replace")
        self._before = termios.tcgetattr(self._input)
        self._asking = termios.tcgetattr(self._input)
        # Otherwise Ctrl-C discards the keys typed before it.
        self._asking[_LOCAL_FLAGS] |= termios.NOFLSH
        self._set(self._asking)
        # The default action would leave a terminal without echo.
        self._on_terminate = signal.signal(signal.SIGTERM, _end)
        if sys.stdout.isatty():
            self._readline = _line_editor()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._set(self._before)
        signal.signal(signal.SIGTERM, self._on_terminate)

    def ask(self, prompt: str, *, recall: bool = True) -> str | None:
        """Wait for a line; None at the end of input.

        Args:
            prompt: Printed before it.
            recall: Add the line to the history of the arrow keys.

        Raises:
            KeyboardInterrupt: At Ctrl-C; the typed part of the line is lost.
        """
        if self._readline is None:
            print(prompt, end="", file=sys.stderr, flush=True)
            line = sys.stdin.readline()
            return line.strip() if line else None
        try:
            line = input(prompt)
        except EOFError:
            return None
        if recall and line.strip():
            self._readline.add_history(line)
        return line.strip()

    @contextlib.contextmanager
    def holding_keys(self) -> Iterator[None]:
        """Turn echo off, and leave typed keys to the next `ask`.

        Ctrl-C is still a signal.
        """
        held = [*self._asking]
        held[_LOCAL_FLAGS] &= ~termios.ECHO
        if self._readline is not None:
            # readline edits single keys; without it the kernel still makes lines of them.
            held[_LOCAL_FLAGS] &= ~termios.ICANON
        self._set(held)
        try:
            yield
        finally:
            self._set(self._asking)

    def _set(self, modes: list[Any]) -> None:
        # Not TCSAFLUSH, which discards typed keys. A closed terminal needs no modes.
        with contextlib.suppress(termios.error):
            termios.tcsetattr(self._input, termios.TCSADRAIN, modes)


def read_secret(value: str | None, what: str) -> str | None:
    """Return an option's secret; for ``-`` it is typed without echo, or a pipe's first line.

    Args:
        value: As on the command line, where other users of the machine can see it.
        what: The secret's name, for the prompt.
    """
    if value != "-":
        return value
    if sys.stdin.isatty():
        return getpass.getpass(f"{what}: ").strip()
    return sys.stdin.buffer.readline().decode(errors="replace").strip()


def _line_editor() -> Any:
    try:
        import readline
    except ImportError:  # some builds of Python are without
        return None
    # Else the history would have every line of `input`, codes too.
    readline.set_auto_history(False)
    return readline


def _end(number: int, _frame: FrameType | None) -> None:
    sys.exit(128 + number)
