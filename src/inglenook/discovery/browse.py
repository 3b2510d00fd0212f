"""Looks for boxes on the local network. Kind: hands."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import zeroconf

# Public and documented, though missing from the library's `__all__`.
from zeroconf import (  # type: ignore[attr-defined]
    DNSCache,
    DNSPointer,
    DNSQuestionType,
    IPVersion,
    ServiceStateChange,
    Zeroconf,
)
from zeroconf.asyncio import AsyncServiceBrowser, AsyncServiceInfo

from inglenook.common.errors import StartupError
from inglenook.discovery.addresses import InterfaceAddress
from inglenook.discovery.advert import SERVICE_TYPE
from inglenook.discovery.box import Box, BoxHello, MdnsAnswer, Network, networks_of, read_box
from inglenook.discovery.found_box import FoundBox, boxes_found
from inglenook.discovery.hello import who_answers
from inglenook.discovery.interfaces import list_addresses
from inglenook.discovery.responder import open_responder
from inglenook.discovery.state import reason

# A household has a few boxes; beyond this the network is being flooded.
MAX_ANSWERS = 256
ASKED_AT_ONCE_MAX = 64
LOOK_S = 5.0

#: Answers that were multicast within the last second are repeated a second late (RFC 6762
#: section 6): a shorter search would find nothing just after another one.
LISTEN_LEAST_S = 2.0

#: Longest wait for a box's ``/.well-known/inglenook``; the box may be busy.
ANSWER_S = 2.0

#: Delay before the next of a box's addresses is tried, while the one before is still pending.
#: RFC 8305 section 5 has the same for connections.
STAGGER_S = 0.25

_LABEL_BYTES_MAX = 63

#: Asks at one address who is there, within so many seconds; see `who_answers`.
Ask = Callable[[str, float], Awaitable[BoxHello | None]]


async def find_boxes(
    timeout_s: float,
    *,
    until: Callable[[FoundBox], bool] | None = None,
    addresses: Callable[[], list[InterfaceAddress]] = list_addresses,
    ask: Ask = who_answers,
) -> list[FoundBox]:
    """Ask the network for boxes, listen for ``timeout_s`` seconds, and ask each whether it is so.

    Args:
        timeout_s: How long to listen, at least `LISTEN_LEAST_S`, which finds all awake boxes near.
            The box found last has `ANSWER_S` more to answer.
        until: Ends the search early, at the first answering box for which it is true. Others may
            not have been asked then.
        addresses: Lists this machine's addresses; called in a thread.
        ask: Asks for the facts of the box at an address.

    Returns:
        The boxes by name, each machine once; see `boxes_found`.

    Raises:
        StartupError: If mDNS cannot be used here.
    """
    try:
        own = await _look(addresses)
        async with open_responder(own) as responder:
            search = _Search(responder.zeroconf, networks_of(own), until, ask)
            await search.run(max(timeout_s, LISTEN_LEAST_S))
    except (OSError, zeroconf.Error) as exc:
        raise _unusable(exc) from exc
    return search.found()


async def try_search(
    addresses: Callable[[], list[InterfaceAddress]] = list_addresses,
) -> None:
    """Check that mDNS can be used here, without a search.

    Raises:
        StartupError: If it cannot.
    """
    try:
        async with open_responder(await _look(addresses)):
            pass
    except (OSError, zeroconf.Error) as exc:
        raise _unusable(exc) from exc


async def _look(addresses: Callable[[], list[InterfaceAddress]]) -> list[InterfaceAddress]:
    async with asyncio.timeout(LOOK_S):
        return await asyncio.to_thread(addresses)


def _unusable(exc: Exception) -> StartupError:
    return StartupError(f"cannot search the network: {reason(exc)}")


class _Unwritable(zeroconf.RecordUpdateListener):
    """Removes pointers to services whose names cannot be encoded in a question.

    Bytes that are not UTF-8 are longer after decoding. The library would list such a name in its
    next question, fail, and ask no more questions.
    """

    def __init__(self, cache: DNSCache) -> None:
        self._cache = cache
        self._heard: list[DNSPointer] = []

    def async_update_records(
        self, zc: Zeroconf, now: float, records: list[zeroconf.RecordUpdate]
    ) -> None:
        """Collect a packet's unusable pointers; the library calls this, then caches its records."""
        pointers = [update.new for update in records if isinstance(update.new, DNSPointer)]
        self._heard += [pointer for pointer in pointers if not _is_writable(pointer.alias)]

    def async_update_records_complete(self) -> None:
        """Remove the records from the cache."""
        heard, self._heard = self._heard, []
        self._cache.async_remove_records(heard)


def _is_writable(name: str) -> bool:
    """Whether no label is longer than 63 bytes (RFC 1035 section 2.3.4)."""
    return all(len(label.encode()) <= _LABEL_BYTES_MAX for label in name.split("."))


class _Search:
    """The answers of one search so far."""

    def __init__(
        self,
        responder: Zeroconf,
        own_networks: Sequence[Network],
        until: Callable[[FoundBox], bool] | None,
        ask: Ask,
    ) -> None:
        self._responder = responder
        self._own_networks = own_networks
        self._until = until
        self._ask = ask
        self._announced: dict[str, Box] = {}
        self._answers: dict[str, BoxHello | None] = {}
        self._asking = asyncio.Semaphore(ASKED_AT_ONCE_MAX)
        self._seen = 0
        self._patience = asyncio.timeout(None)

    def found(self) -> list[FoundBox]:
        """Return the boxes found so far."""
        return boxes_found(self._announced.values(), self._answers)

    async def run(self, listen_s: float) -> None:
        """Listen for so long; then wait for the boxes that were asked."""
        until_s = self._now() + listen_s
        self._patience = asyncio.timeout_at(until_s + ANSWER_S)
        try:
            async with self._patience, asyncio.TaskGroup() as tasks:
                await self._listen(tasks, until_s)
        except TimeoutError:
            return

    async def _listen(self, tasks: asyncio.TaskGroup, until_s: float) -> None:
        def seen(
            zeroconf: Zeroconf, service_type: str, name: str, state_change: ServiceStateChange
        ) -> None:
            if state_change is not ServiceStateChange.Removed and self._seen < MAX_ANSWERS:
                self._seen += 1
                tasks.create_task(self._meet(name, until_s), name=f"meet {name}")

        # Multicast questions only: a unicast answer may end up in another program's socket,
        # such as this box's own announcer.
        self._responder.async_add_listener(_Unwritable(self._responder.cache), None)
        async with AsyncServiceBrowser(
            self._responder, SERVICE_TYPE, handlers=[seen], question_type=DNSQuestionType.QM
        ):
            await asyncio.sleep(until_s - self._now())

    async def _meet(self, service_name: str, until_s: float) -> None:
        """Resolve a service, and ask for the facts of the box at each of its addresses."""
        box = await self._resolve(service_name, until_s)
        if box is None:
            return
        self._announced[service_name] = box
        async with asyncio.TaskGroup() as tasks:
            for url in box.urls:
                if url not in self._answers:
                    self._answers[url] = None
                    asked = tasks.create_task(self._ask_at(url, box), name=f"ask {url}")
                    await asyncio.wait([asked], timeout=STAGGER_S)

    async def _ask_at(self, url: str, box: Box) -> None:
        try:
            async with self._asking, asyncio.timeout(ANSWER_S):
                self._answers[url] = await self._ask(url, ANSWER_S)
                if self._answers[url] is None and box.tls:
                    # The announced port is the TLS port if there is no other.
                    url = url.replace("http:", "https:", 1)
                    self._answers[url] = await self._ask(url, ANSWER_S)
        except TimeoutError:
            return
        self._look_whether_content()

    def _look_whether_content(self) -> None:
        if self._until is None or self._patience.expired():
            return
        if any(found.hello is not None and self._until(found) for found in self.found()):
            self._patience.reschedule(self._now())

    async def _resolve(self, service_name: str, until_s: float) -> Box | None:
        """Ask for a service's records; None if they do not come or make no sense."""
        try:
            info = AsyncServiceInfo(SERVICE_TYPE, service_name)
        except zeroconf.BadTypeInNameException:
            return None  # announcements are untrusted
        left_ms = (until_s - self._now()) * 1000
        try:
            complete = await info.async_request(self._responder, left_ms, DNSQuestionType.QM)
        except zeroconf.NamePartTooLongException:
            return None  # such as a host name of bytes that are no UTF-8
        if not complete or info.server is None or info.port is None:
            return None
        return read_box(
            MdnsAnswer(
                name=service_name.removesuffix(f".{SERVICE_TYPE}"),
                host_name=info.server,
                port=info.port,
                addresses=info.parsed_scoped_addresses(IPVersion.All),
                txt=info.properties,
            ),
            self._own_networks,
        )

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()
