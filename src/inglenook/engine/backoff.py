"""When to start a dead engine again, and look for a model that is gone. Kind: rules."""

from __future__ import annotations

from collections.abc import Sequence

_FIRST_S = 0.2
_LONGEST_S = 30.0

#: Deaths longer ago say nothing about now.
_WINDOW_S = 300.0

#: A model's file that is being moved or whose drive comes late is looked for often at first.
_SOON_LOOKS, _SOON_S, _LATER_S = 15, 1.0, 5.0


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


def recheck_delay_s(looks: int) -> float:
    """Say how long to wait, in seconds, after so many looks at a model that cannot be used."""
    return _SOON_S if looks < _SOON_LOOKS else _LATER_S
