"""The DNS records by which the box asks, says goodbye and knows others. Kind: hands."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

# Public and documented, though missing from the library's `__all__`.
from zeroconf import (  # type: ignore[attr-defined]
    DNSAddress,
    DNSOutgoing,
    DNSQuestion,
    DNSRecord,
    DNSService,
    DNSText,
)
from zeroconf.asyncio import AsyncServiceInfo

from inglenook.discovery.advert import SERVER_ID, SERVICE_TYPE
from inglenook.discovery.names import Names

__all__ = ["DNSAddress", "DNSRecord", "DNSService", "goodbye", "ids_in", "probe"]

# RFC 1035 sections 3.2 and 4.1.1: a question; an answer by the names' owner; any type; Internet.
_QUESTION, _ANSWER = 0x0000, 0x8400
_A, _AAAA, _ANY_TYPE, _INTERNET = 1, 28, 255, 1


def probe(names: Names) -> DNSOutgoing:
    """Ask for all that is known of these names.

    By multicast, as another program on this machine may get an answer by unicast. What we would say
    stands along, which has others answer at once.
    """
    fqdn, host = f"{names.instance}.{SERVICE_TYPE}", f"{names.host}.local."
    out = DNSOutgoing(_QUESTION)
    # The plain library answers nothing to a question for any record of a host.
    for name, kind in ((fqdn, _ANY_TYPE), (host, _A), (host, _AAAA)):
        out.add_question(DNSQuestion(name, kind, _INTERNET))
    # The library takes no other kind there; what matters to those who answer is that one is.
    out.add_authorative_answer(AsyncServiceInfo(SERVICE_TYPE, fqdn).dns_pointer())
    return out


def goodbye(
    before: AsyncServiceInfo, after: AsyncServiceInfo, *, yielding: bool
) -> DNSOutgoing | None:
    """Take back what was said before and is no longer so; None if all of it still is.

    Args:
        before: As it was announced.
        after: As it is to be.
        yielding: The names before belong to somebody else now, and are not to be taken back.
    """
    gone = list(_gone(before, after, yielding=yielding))
    if not gone:
        return None
    out = DNSOutgoing(_ANSWER)
    for record in gone:
        out.add_answer_at_time(record, 0)
    return out


def _gone(
    before: AsyncServiceInfo, after: AsyncServiceInfo, *, yielding: bool
) -> Iterator[DNSRecord]:
    """Give the records. Of an SRV or TXT record a new one takes the place by itself."""
    stays = set(after.dns_addresses())
    goodbyes = before.dns_addresses(override_ttl=0)
    for record, gone in zip(before.dns_addresses(), goodbyes, strict=True):
        if record not in stays:
            yield gone
    if before.key != after.key and not yielding:
        yield before.dns_pointer(override_ttl=0)
        yield before.dns_service(override_ttl=0)
        yield before.dns_text(override_ttl=0)


def ids_in(records: Sequence[DNSRecord]) -> dict[str, str]:
    """The boxes' ids in a packet, by service; without those of which there are two."""
    found: dict[str, str] = {}
    twice: set[str] = set()
    for record in records:
        if not isinstance(record, DNSText):
            continue
        name = record.name.lower()
        server_id = _id_in(record.text)
        if name in found and found[name] != server_id:
            twice.add(name)
        found[name] = server_id
    return {name: server_id for name, server_id in found.items() if name not in twice}


def _id_in(text: bytes) -> str:
    """The id in a TXT record; empty if there is none."""
    while text:
        pair, text = text[1 : 1 + text[0]], text[1 + text[0] :]
        key, _, value = pair.partition(b"=")
        if key.lower() == b"id":
            found = value.decode("ascii", "replace")
            return found if SERVER_ID.fullmatch(found) else ""
    return ""
