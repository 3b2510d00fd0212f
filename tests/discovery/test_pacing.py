from __future__ import annotations

import math
from dataclasses import replace

import pytest

from inglenook.discovery.advert import Advert
from inglenook.discovery.pacing import Burst, publish_at_s

SENT = Advert("Kitchen", "ab12cd34", "0.1.0", 8377, models=("small",))


@pytest.mark.parametrize(
    ("wanted", "at_s"),
    [
        (SENT, math.inf),
        (replace(SENT, models=("large",)), 110.0),
        (replace(SENT, port=8378), 110.0),
        (replace(SENT, pairing_open=True), 101.0),
        (replace(SENT, status="hot"), 101.0),
        (replace(SENT, status="hot", models=("large",)), 101.0),
    ],
)
def test_what_somebody_waits_for_is_announced_sooner(wanted: Advert, at_s: float) -> None:
    """Pairing and state go out a second after the last announcement, the rest after ten."""
    assert publish_at_s(SENT, wanted, sent_s=100.0) == at_s


def test_a_network_that_stays_as_it_is_is_never_looked_at() -> None:
    """Without a change there is no time to wait for."""
    assert Burst().over_at_s() == math.inf


@pytest.mark.parametrize(
    ("heard_s", "over_s"),
    [
        ([100.0], 102.0),
        ([100.0, 101.5], 103.5),
        ([100.0 + step for step in range(30)], 110.0),
    ],
)
def test_a_burst_is_over_after_quiet_or_after_the_longest_wait(
    heard_s: list[float], over_s: float
) -> None:
    """A link gains its addresses one by one; one that flaps is announced every ten seconds."""
    burst = Burst()
    for now in heard_s:
        burst.heard(now)
    assert burst.over_at_s() == over_s
    burst.clear()
    assert burst.over_at_s() == math.inf
