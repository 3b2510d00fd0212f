from __future__ import annotations

import asyncio
import math

import pytest

from inglenook.discovery.announcer_events import AnnouncerEvents


async def test_the_network_is_looked_at_first_of_all_and_then_now_and_then() -> None:
    """Netlink may be forbidden; and after a failure it is looked at anew."""
    news = AnnouncerEvents()
    assert news.look_at_s == -math.inf
    news.look_begun()
    assert news.look_at_s == pytest.approx(asyncio.get_running_loop().time() + 30, abs=5)
    news.forget()
    assert news.look_at_s == -math.inf


async def test_a_change_is_looked_at_once_it_is_quiet() -> None:
    """A link that comes up gains its addresses one by one."""
    news = AnnouncerEvents()
    news.look_begun()
    assert news.settled_at_s == math.inf
    news.network_changed()
    assert news.look_at_s == news.settled_at_s < asyncio.get_running_loop().time() + 5
    news.look_begun()
    assert news.settled_at_s == math.inf


async def test_news_ends_the_waiting_even_if_it_came_before() -> None:
    """And only once."""
    news = AnnouncerEvents()
    news.wake()
    async with asyncio.timeout(30):
        await news.wait_until(math.inf)
    await news.wait_until(asyncio.get_running_loop().time() + 0.01)
