from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from inglenook.discovery import claim as claim_module
from inglenook.discovery import echo_check as judge_module
from inglenook.discovery.addresses import InterfaceAddress, links_of
from inglenook.discovery.advert import Advert
from inglenook.discovery.claim import Claim, ClaimResult
from inglenook.discovery.link import OnLink
from inglenook.discovery.names import Names, PreviousNames, base_names
from inglenook.discovery.rivals import ServiceRecord
from tests.discovery.test_link import info
from tests.parts.neighbour import Neighbour

RUN_ID = "00000001"
NOBODY = "192.0.2.9"


@pytest.fixture(autouse=True)
def _time_to_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Even on a machine that stands still meanwhile; nobody answers at 192.0.2.9 by HTTP."""
    monkeypatch.setattr("inglenook.discovery.link.PROBE_S", 0.5)
    monkeypatch.setattr(judge_module, "ASK_S", 0.2)
    monkeypatch.setattr(claim_module, "ASK_EVERY_S", 0.0)


@pytest.fixture
async def on_link(loopback: list[InterfaceAddress]) -> AsyncIterator[OnLink]:
    """Give a link, open."""
    link = await OnLink.open(links_of(loopback)["lo"], lambda: None)
    yield link
    await link.close()


def own(link: OnLink) -> frozenset[str]:
    return frozenset(link.link.announced)


def id_record(server_id: str) -> bytes:
    """A TXT record as it is on the wire."""
    pair = f"id={server_id}".encode()
    return bytes([len(pair)]) + pair


async def claimed(advert: Advert, link: OnLink) -> Claim:
    """Have a box claim its names and announce them."""
    claim = Claim(advert, PreviousNames(), RUN_ID)
    assert await claim.settle(advert, own(link), [link], [link]) == ClaimResult()
    assert claim.names == base_names(advert)
    said = info(claim.names, *link.link.announced, txt=id_record(advert.server_id))
    await link.say(said, yielding=False)
    return claim


async def heard_of(claim: Claim, link: OnLink) -> None:
    """Wait until somebody was heard with the names."""
    async with asyncio.timeout(30):
        while claim.doubt_at_s([link], own(link)) == float("inf"):  # noqa: ASYNC110
            await asyncio.sleep(0.01)


@pytest.mark.slow
async def test_names_of_somebody_else_are_left_to_him(
    neighbour: Neighbour, on_link: OnLink, advert: Advert
) -> None:
    """Both, as they were both taken."""
    base = base_names(advert)
    await neighbour.announce(base.instance, server=f"{base.host}.local.")
    claim = Claim(advert, PreviousNames(), RUN_ID)
    await claim.settle(advert, own(on_link), [on_link], [on_link])
    assert claim.names == Names(f"{base.instance}-2", f"{base.host}-2")


@pytest.mark.slow
async def test_an_echo_of_the_life_before_takes_no_names_away(
    neighbour: Neighbour, on_link: OnLink, advert: Advert
) -> None:
    """A reflector repeats it; nobody answers where it says the box is."""
    base = base_names(advert)
    txt = id_record(advert.server_id)
    await neighbour.announce(base.instance, server=f"{base.host}.local.", txt=txt, port=8377)
    await claimed(advert, on_link)


@pytest.mark.slow
async def test_a_flood_in_its_own_name_makes_a_box_ask_a_few(
    on_link: OnLink, advert: Advert, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Strangers could else have it call the whole world."""
    asked: list[str] = []

    async def nobody(url: str, timeout_s: float) -> None:
        asked.append(url)

    monkeypatch.setattr(judge_module, "who_answers", nobody)
    base = base_names(advert)
    later_s = asyncio.get_running_loop().time() + 60
    for port in range(1, 200):
        flood = ServiceRecord(base.instance.lower(), "flood", port)
        on_link.observed.service(flood, advert.server_id, later_s)
    for last in range(1, 17):
        on_link.observed.address("flood", f"192.0.2.{last}", later_s)
    claim = Claim(advert, PreviousNames(), RUN_ID)
    await claim.settle(advert, own(on_link), [on_link], [on_link])

    assert claim.names == base
    assert 0 < len(asked) <= 4 * 16 * 2


@pytest.mark.slow
async def test_names_once_held_are_kept(on_link: OnLink, advert: Advert) -> None:
    """Though the plain ones are free by now: whoever kept a link finds the same box."""
    base = base_names(advert)
    last = PreviousNames(f"{base.instance}-2", f"{base.host}-3")
    claim = Claim(advert, last, RUN_ID)
    await claim.settle(advert, own(on_link), [on_link], [on_link])
    assert claim.names == Names(f"{base.instance}-2", f"{base.host}-3")


@pytest.mark.slow
async def test_a_box_that_the_owner_renames_claims_that_name(
    neighbour: Neighbour, on_link: OnLink, advert: Advert
) -> None:
    """The host name stays, as phones may have kept it; and others' names are theirs."""
    claim = await claimed(advert, on_link)
    host = claim.names.host
    renamed = Advert(f"Study {advert.server_id}", advert.server_id, "0.1.0", 8377)
    await neighbour.announce(renamed.name, server="other.local.")
    assert await claim.settle(renamed, own(on_link), [on_link], []) == ClaimResult()
    assert claim.names == Names(f"{renamed.name}-2", host)


@pytest.mark.slow
async def test_a_later_clash_is_lost_to_the_later_record(
    neighbour: Neighbour, on_link: OnLink, advert: Advert
) -> None:
    """The names go without a goodbye: they are the other's."""
    claim = await claimed(advert, on_link)
    base = base_names(advert)
    # 192.0.2.9 is later than 127.0.0.0/8.
    await neighbour.announce("x" + base.instance, server=f"{base.host}.local.", address=NOBODY)
    await heard_of(claim, on_link)
    settled = await claim.settle(advert, own(on_link), [on_link], [])
    assert settled.yielded
    assert claim.names == Names(base.instance, f"{base.host}-2")


@pytest.mark.slow
async def test_a_name_is_not_lost_to_who_speaks_once(on_link: OnLink, advert: Advert) -> None:
    """Nobody answers when asked once more; anybody can send one packet."""
    claim = await claimed(advert, on_link)
    instance = claim.names.instance.lower()
    now = asyncio.get_running_loop().time()
    on_link.observed.service(ServiceRecord(instance, "zz", 65535), "99887766", now)
    settled = await claim.settle(advert, own(on_link), [on_link], [on_link])

    assert not settled.yielded
    assert claim.names == base_names(advert)


@pytest.mark.slow
async def test_a_later_clash_is_won_with_the_later_record_for_a_while(
    neighbour: Neighbour, on_link: OnLink, advert: Advert, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then the names are said again; but whoever never gives way is given way to."""
    claim = await claimed(advert, on_link)
    base = base_names(advert)
    await neighbour.announce("x" + base.instance, server=f"{base.host}.local.", address="10.0.0.9")
    await heard_of(claim, on_link)
    assert await claim.settle(advert, own(on_link), [on_link], []) == ClaimResult(defended=True)
    assert claim.names == base
    monkeypatch.setattr(claim_module, "PATIENCE_S", 0.0)
    assert (await claim.settle(advert, own(on_link), [on_link], [on_link])).yielded
    assert claim.names == Names(base.instance, f"{base.host}-2")


@pytest.mark.slow
async def test_names_are_said_again_once_whoever_used_them_is_silent(
    on_link: OnLink, advert: Advert
) -> None:
    """Or phones would go on with what they heard last."""
    claim = await claimed(advert, on_link)
    a_while_ago_s = asyncio.get_running_loop().time() - 2.0
    on_link.checked_s = a_while_ago_s - 1.0
    on_link.observed.address(claim.names.host, NOBODY, a_while_ago_s)
    assert await claim.settle(advert, own(on_link), [on_link], []) == ClaimResult(defended=True)
    assert await claim.settle(advert, own(on_link), [on_link], []) == ClaimResult()


@pytest.mark.slow
async def test_nobody_is_asked_while_nobody_is_heard(on_link: OnLink, advert: Advert) -> None:
    """The names are held; the network is left in peace."""
    claim = await claimed(advert, on_link)
    asked_s = on_link.asked_s
    assert claim.doubt_at_s([on_link], own(on_link)) == float("inf")
    assert await claim.settle(advert, own(on_link), [on_link], []) == ClaimResult()
    assert on_link.asked_s == asked_s
