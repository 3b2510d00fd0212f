"""Limits an unexpected exception to one call; logs and counts it. Kind: rules.

Such an exception is a bug. Injected callables are called within a `Guard`: the bug then costs that
call, and not the caller, its task, and everything beside it.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from types import TracebackType

log = logging.getLogger(__name__)

#: Number of kinds of failure told apart at one place; one more clears them.
_KINDS_MAX = 64

#: Failures of this process by the guard's name; one for all guards, like the log.
_counts: dict[str, int] = {}


def counts() -> Mapping[str, int]:
    """Return the number of unexpected exceptions, by the names of all guards."""
    return dict(_counts)


def failed_in(times: Mapping[str, int]) -> str:
    """Describe the failures in `counts` for people; empty if there are none."""
    failed = [f"{name} ({count})" for name, count in sorted(times.items()) if count]
    if not failed:
        return ""
    return f"Unexpected errors: {', '.join(failed)}. Please report their traces in the log."


class Guard:
    """Context manager that swallows the exceptions of an injected callable.

    Reusable, and by several tasks at once. Each kind of failure (exception type and place) is
    logged as an error with its trace the 1st, 10th, 100th time and so on; otherwise as debug.

    To know whether the block ran to its end, set a variable in its last line.
    """

    __slots__ = ("_again", "_failing", "_foreseen", "_name", "_times")

    def __init__(
        self, name: str, *, foreseen: tuple[type[Exception], ...] = (), again: str = ""
    ) -> None:
        """Name the guard.

        Args:
            name: What fails, for the log and the metrics; one of a few, in plain words.
            foreseen: Exceptions that pass, because the caller handles them.
            again: Logged when a block succeeds after a logged failure; for repeated work. Empty
                logs nothing.
        """
        self._name = name
        self._foreseen = foreseen
        self._again = again
        self._failing = False
        self._times: dict[tuple[object, ...], int] = {}
        _counts.setdefault(name, 0)

    def __enter__(self) -> None:
        """Do nothing."""

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        exc: BaseException | None,
        _trace: TracebackType | None,
    ) -> bool:
        """Swallow every `Exception`; cancellation and the program's end are none."""
        if exc is None:
            if self._failing:
                self._failing = False
                log.info("%s", self._again)
            return False
        if not isinstance(exc, Exception) or isinstance(exc, self._foreseen):
            return False
        self.note(exc)
        return True

    def note(self, exc: BaseException, then: str = "it goes on") -> None:
        """Log and count an exception that was caught elsewhere; ``then`` says what follows."""
        _counts[self._name] += 1
        kind = _kind(exc)
        if len(self._times) >= _KINDS_MAX:
            self._times.clear()
        times = self._times[kind] = self._times.get(kind, 0) + 1
        told = _is_power_of_ten(times)
        log.log(
            logging.ERROR if told else logging.DEBUG,
            "%s: an unexpected error (%s, time %d); %s. Please report what follows.",
            self._name,
            type(exc).__name__,
            times,
            then,
            exc_info=exc,
        )
        self._failing = self._failing or (told and bool(self._again))


def _kind(exc: BaseException) -> tuple[object, ...]:
    """Return the exception's type and place; of a group, those of the first."""
    while isinstance(exc, BaseExceptionGroup):
        exc = exc.exceptions[0]
    trace = exc.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return (type(exc),)
    return (type(exc), trace.tb_frame.f_code.co_filename, trace.tb_lineno)


def _is_power_of_ten(times: int) -> bool:
    while times % 10 == 0:
        times //= 10
    return times == 1
