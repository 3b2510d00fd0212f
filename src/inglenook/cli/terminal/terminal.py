"""A person at a terminal: asks for lines, and keeps what is typed meanwhile for the next one."""

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

    Lines are edited, and those of this session called back, by the readline library where there
    is one and standard output is a terminal too. Nothing of it is written to disk.
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
        # Ctrl-C throws away what was typed before it, otherwise.
        self._asking[_LOCAL_FLAGS] |= termios.NOFLSH
        self._set(self._asking)
        # The usual end by a signal would leave a terminal that shows nothing of what is typed.
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
            prompt: What stands before it.
            recall: The arrow keys bring it back later.

        Raises:
            KeyboardInterrupt: At Ctrl-C; what was typed of the line is gone.
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
        """Show nothing of what is typed until the end, and leave it to the next `ask`.

        Ctrl-C is still a signal.
        """
        held = [*self._asking]
        held[_LOCAL_FLAGS] &= ~termios.ECHO
        if self._readline is not None:
            # It edits the keys themselves; else the kernel goes on making lines of them.
            held[_LOCAL_FLAGS] &= ~termios.ICANON
        self._set(held)
        try:
            yield
        finally:
            self._set(self._asking)

    def _set(self, modes: list[Any]) -> None:
        # Not TCSAFLUSH: what has been typed is to stay. A terminal that is gone needs no modes.
        with contextlib.suppress(termios.error):
            termios.tcsetattr(self._input, termios.TCSADRAIN, modes)


def read_secret(value: str | None, what: str) -> str | None:
    """Give an option's secret; for ``-`` it is typed unseen, or the first line of a pipe.

    Args:
        value: As on the command line, where other users of the machine can see it.
        what: What to ask for.
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
    # Else every line typed into `input` would be kept, codes too.
    readline.set_auto_history(False)
    return readline


def _end(number: int, _frame: FrameType | None) -> None:
    sys.exit(128 + number)
