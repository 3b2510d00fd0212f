"""DNS messages of the box: probes and goodbyes; and ids in others' records. Kind: hands."""

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
    """Return a probe for all records of these names.

    By multicast, because another program on this machine may get a unicast answer. Our own record
    is included, which makes others answer at once.
    """
    fqdn, host = f"{names.instance}.{SERVICE_TYPE}", f"{names.host}.local."
    out = DNSOutgoing(_QUESTION)
    # The library does not answer a question for any record of a host.
    for name, kind in ((fqdn, _ANY_TYPE), (host, _A), (host, _AAAA)):
        out.add_question(DNSQuestion(name, kind, _INTERNET))
    # The library takes no other kind there; responders only check that there is one.
    out.add_authorative_answer(AsyncServiceInfo(SERVICE_TYPE, fqdn).dns_pointer())
    return out


def goodbye(
    before: AsyncServiceInfo, after: AsyncServiceInfo, *, yielding: bool
) -> DNSOutgoing | None:
    """Return a goodbye for records that are no longer true; None if all still are.

    Args:
        before: The old announcement.
        after: The new one.
        yielding: The old names belong to another device now, and get no goodbye.
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
    """Return the records. New SRV and TXT records replace old ones without a goodbye."""
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
    """Return the boxes' ids in a packet, by service; without services that have two."""
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
    """Return the id in a TXT record, or an empty text."""
    while text:
        pair, text = text[1 : 1 + text[0]], text[1 + text[0] :]
        key, _, value = pair.partition(b"=")
        if key.lower() == b"id":
            found = value.decode("ascii", "replace")
            return found if SERVER_ID.fullmatch(found) else ""
    return ""
