"""When changes are announced, so that a flapping state does not flood the network. Kind: rules."""

from __future__ import annotations

import math

from inglenook.discovery.advert import Advert

# Changes of pairing and status, which a phone's user waits for.
URGENT_S = 1.0
ROUTINE_S = 10.0
# A new link gains its addresses one by one; a bad one flaps.
QUIET_S = 2.0
LONGEST_BURST_S = 10.0


def publish_at_s(sent: Advert, wanted: Advert, sent_s: float) -> float:
    """Return when ``wanted`` may replace ``sent``, of ``sent_s``; infinity if they are equal."""
    if wanted == sent:
        return math.inf
    urgent = (wanted.pairing_open, wanted.status) != (sent.pairing_open, sent.status)
    return sent_s + (URGENT_S if urgent else ROUTINE_S)


class Burst:
    """Burst of network changes; over once it is quiet, or after the longest wait."""

    def __init__(self) -> None:
        self._first_s = math.inf
        self._last_s = math.inf

    def heard(self, now: float) -> None:
        """Record a change at ``now``, seconds."""
        self._first_s = min(self._first_s, now)
        self._last_s = now

    def over_at_s(self) -> float:
        """Return when to look at the network; infinity if nothing changed."""
        return min(self._last_s + QUIET_S, self._first_s + LONGEST_BURST_S)

    def clear(self) -> None:
        """Forget the changes, after a look."""
        self._first_s = self._last_s = math.inf
