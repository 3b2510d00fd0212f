"""When a change is announced, so that nothing that flaps floods the network. Kind: rules."""

from __future__ import annotations

import math

from inglenook.discovery.advert import Advert

# A phone waits for these two: somebody stands at the box, or it can answer again.
URGENT_S = 1.0
ROUTINE_S = 10.0
# A link that comes up gains its addresses one by one; a bad one comes and goes.
QUIET_S = 2.0
LONGEST_BURST_S = 10.0


def publish_at_s(sent: Advert, wanted: Advert, sent_s: float) -> float:
    """Say when ``wanted`` may replace what was sent at ``sent_s``; infinity if nothing is new."""
    if wanted == sent:
        return math.inf
    urgent = (wanted.pairing_open, wanted.status) != (sent.pairing_open, sent.status)
    return sent_s + (URGENT_S if urgent else ROUTINE_S)


class Burst:
    """Network changes that belong together: over once it is quiet, or after the longest wait."""

    def __init__(self) -> None:
        self._first_s = math.inf
        self._last_s = math.inf

    def heard(self, now: float) -> None:
        """Note a change at ``now``, seconds."""
        self._first_s = min(self._first_s, now)
        self._last_s = now

    def over_at_s(self) -> float:
        """Say when to look at the network; infinity if nothing changed."""
        return min(self._last_s + QUIET_S, self._first_s + LONGEST_BURST_S)

    def clear(self) -> None:
        """Forget the changes: somebody has looked."""
        self._first_s = self._last_s = math.inf
