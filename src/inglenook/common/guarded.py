"""Lets an exception nobody foresaw cost one call, and says so: logged, counted. Kind: rules.

Such an exception is a bug. Whoever calls something that was handed in does so within a `Guard`: the
bug then costs that call, and not the caller, its task, and everything beside it.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from types import TracebackType

log = logging.getLogger(__name__)

#: So many kinds of failure are told apart at one place; more begin anew.
_KINDS_MAX = 64

#: Of this process since its start, by the place's name; like the log, there is one.
_counts: dict[str, int] = {}


def counts() -> Mapping[str, int]:
    """How many exceptions nobody foresaw there have been, by the names of all guards."""
    return dict(_counts)


def failed_in(times: Mapping[str, int]) -> str:
    """Say to a person what has failed, from `counts`; empty if nothing has."""
    failed = [f"{name} ({count})" for name, count in sorted(times.items()) if count]
    if not failed:
        return ""
    return f"Unexpected errors: {', '.join(failed)}. Please report their traces in the log."


class Guard:
    """A context that a foreign callable's exceptions do not leave.

    It may be entered again and again, and by several tasks at once. Each kind of failure (what was
    raised, and where) is logged as an error with its trace the first time, the 10th, the 100th and
    so on; in between for debugging only.

    Whether the block came to its end, its last line can tell: set a variable there.
    """

    __slots__ = ("_again", "_failing", "_foreseen", "_name", "_times")

    def __init__(
        self, name: str, *, foreseen: tuple[type[Exception], ...] = (), again: str = ""
    ) -> None:
        """Take what fails, as the log and the metrics call it.

        Args:
            name: One of a few, in plain words.
            foreseen: What is raised all the same, as the caller knows what to do about it.
            again: What the log says when a block ends well after a failure was told; for what is
                done again and again. Empty says nothing.
        """
        self._name = name
        self._foreseen = foreseen
        self._again = again
        self._failing = False
        self._times: dict[tuple[object, ...], int] = {}
        _counts.setdefault(name, 0)

    def __enter__(self) -> None:
        """Nothing is to be done."""

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        exc: BaseException | None,
        _trace: TracebackType | None,
    ) -> bool:
        """Swallow every `Exception`; a cancellation, or the end of the program, is none."""
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
            "%s: an error nobody foresaw (%s, time %d); %s. Please report what follows.",
            self._name,
            type(exc).__name__,
            times,
            then,
            exc_info=exc,
        )
        self._failing = self._failing or (told and bool(self._again))


def _kind(exc: BaseException) -> tuple[object, ...]:
    """What was raised, and where; of a group, the first."""
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
