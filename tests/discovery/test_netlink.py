from __future__ import annotations

import gc

from inglenook.discovery.netlink import network_changes


async def test_listening_for_changes_leaves_nothing_behind() -> None:
    """The socket is closed at the end: an open one would warn, and a warning fails the test.

    That changes are heard is shown by the system tests, which may change a network.
    """
    heard: list[None] = []
    with network_changes(lambda: heard.append(None)):
        pass
    gc.collect()
    assert not heard
