from __future__ import annotations

import errno

import pytest

from inglenook.discovery.state import announced, degraded


def test_a_found_box_is_described_by_both_names_and_where() -> None:
    """What a person needs to look for it."""
    state = announced("Kitchen", "kitchen-ab12", ["eth0", "wlan0"])
    assert state.kind == "ready"
    assert state.sentence == 'announced as "Kitchen" (kitchen-ab12.local) on eth0, wlan0'


def test_a_box_that_does_not_hear_itself_is_degraded() -> None:
    """It spoke, but will not hear phones ask."""
    state = announced("Kitchen", "kitchen-ab12", ["eth0"], ["eth0"])
    assert state.kind == "degraded"
    assert state.sentence.endswith(
        "was not heard: a firewall seems to drop UDP port 5353; allow it"
    )


def test_one_deaf_link_of_several_is_named() -> None:
    """On the others it is found."""
    state = announced("Kitchen", "kitchen-ab12", ["eth0", "wlan0"], ["wlan0"])
    assert state.kind == "degraded"
    assert "was not heard on wlan0: a firewall" in state.sentence


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError(errno.EADDRINUSE, "Address already in use"), "disallow-other-stacks"),
        (OSError(errno.EACCES, "Permission denied"), "firewall"),
        (OSError(errno.EPERM, "Operation not permitted"), "sandbox"),
        (OSError(errno.ENODEV, "No such device"), "plug in a cable"),
        (OSError(errno.ENETUNREACH, "Network is unreachable"), "plug in a cable"),
        (OSError(errno.ENOBUFS, "No buffer space available"), "No buffer space available"),
        (TimeoutError(), "took too long"),
    ],
)
def test_every_failure_says_why_and_what_to_do(error: OSError, told: str) -> None:
    """One sentence for the operator, never an error number alone."""
    state = degraded(error)
    assert state.kind == "degraded"
    assert state.sentence.startswith("not announced: ")
    assert told in state.sentence
