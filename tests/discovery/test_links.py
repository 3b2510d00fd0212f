from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from inglenook.discovery.addresses import InterfaceAddress, Link, links_of
from inglenook.discovery.link import OnLink
from inglenook.discovery.links import Links


@pytest.fixture
async def links() -> AsyncIterator[Links]:
    """Give none, and close what is opened."""
    async with Links(lambda: None) as links:
        yield links


@pytest.fixture
def link(loopback: list[InterfaceAddress]) -> Link:
    """Give a link that can be used."""
    return links_of(loopback)["lo"]


async def test_a_new_link_is_asked_on_and_spoken_on(links: Links, link: Link) -> None:
    """And from then on neither, while nothing changes there."""
    fresh, changed = await links.settle({"lo": link})
    assert fresh == changed == [*links]
    assert await links.settle({"lo": link}) == ([], [])


async def test_other_addresses_are_told_and_nobody_is_asked(
    links: Links, link: Link, loopback: list[InterfaceAddress]
) -> None:
    """The names are held on that link; only what they lead to is another."""
    await links.settle({"lo": link})
    fresh, changed = await links.settle({"lo": replace(link, announced=("127.0.0.9",))})
    assert (fresh, changed) == ([], [*links])
    assert [there.link.announced for there in links] == [("127.0.0.9",)]


async def test_on_a_link_that_was_down_it_is_asked_again(links: Links, link: Link) -> None:
    """Somebody else may have come to it meanwhile."""
    await links.settle({"lo": link})
    fresh, changed = await links.settle({"lo": replace(link, carrier_ups=1)})
    assert fresh == changed == [*links]


async def test_a_link_that_could_not_be_used_whole_is_tried_again_and_spoken_on(
    links: Links, link: Link, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An IPv6 address that was still being tried by the kernel: the link fell silent to move."""
    await links.settle({"lo": link})
    monkeypatch.setattr(OnLink, "is_whole", False)
    assert await links.settle({"lo": link}) == ([], [*links])


async def test_a_link_that_is_gone_is_closed_and_a_card_that_is_another_is_opened_anew(
    links: Links, link: Link
) -> None:
    """A card that was pulled out and put back has the name, and another number."""
    await links.settle({"lo": link})
    (before,) = links
    fresh, _changed = await links.settle({"lo": replace(link, index=2)})
    assert before not in [*links] == fresh
    with pytest.raises(OSError, match="no interface for multicast"):
        await links.settle({})
    assert [*links] == []


async def test_a_link_that_cannot_be_used_does_not_spoil_the_others(
    links: Links, link: Link
) -> None:
    """Only where none is left that is told."""
    gone = replace(link, interface="gone0")
    assert (await links.settle({"gone0": gone, "lo": link}))[0] == [*links]
    with pytest.raises(OSError, match="No such device"):
        await links.settle({"gone0": gone})
