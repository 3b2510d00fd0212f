"""When to start a dead engine again. Kind: rules."""

from __future__ import annotations

from collections.abc import Sequence

_FIRST_S = 0.2
_LONGEST_S = 30.0

#: Deaths longer ago say nothing about now.
_WINDOW_S = 300.0


def restart_delay_s(deaths: Sequence[float], now: float) -> float:
    """Say how long to wait, in seconds, given when the engine died lately (monotonic seconds).

    The first death costs next to nothing, since phones are waiting; each further one within five
    minutes doubles the wait, so a model that always crashes does not keep a board at full load.
    """
    recent = sum(1 for died in deaths if now - died < _WINDOW_S)
    return min(_FIRST_S * 2.0 ** max(recent - 1, 0), _LONGEST_S)


def still_counting(deaths: Sequence[float], now: float) -> list[float]:
    """Return those deaths that still matter, so that the list stays short."""
    return [died for died in deaths if now - died < _WINDOW_S]
