"""Prefill of prompts that are likely to come: one a device, in idle places. Kind: hands."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Final, Protocol

import msgspec

from inglenook.common.errors import Problem
from inglenook.common.guarded import Guard
from inglenook.engine.events import JobRefused, PrefillDone
from inglenook.engine.interface import Engine, EnginePhase
from inglenook.engine.orders import Prefill
from inglenook.serving.engine_request import problem_of

#: From one order to read for a device to the next: as often as somebody pauses. Each has the engine
#: render the conversation and make tokens of what is new in it.
PACE_S: Final = 0.3

_giving = Guard("giving a prompt to the engine")
_telling = Guard("news of what was read ahead")


class LoopClock(Protocol):
    """What is needed of an event loop."""

    def call_later(self, delay: float, callback: Callable[[], None], /) -> object:
        """Call back once, after ``delay`` seconds."""


class PendingPrefill:
    """A `PrepareSink` for one such prompt.

    Attributes:
        device_id: Who is about to ask.
        order: The engine's; its ``job`` is 0 until the engine has it. Empty when it is over.
        stopped: The engine was told to read no further.
        forgotten: Its device is no longer welcome.
        over: Nothing more is done for it.
        prompt_tokens: What was to be read; 0 if the engine never came to it.
        cached_tokens: How many tokens from the start on are ready.
        problem: Why it cannot be a prompt.
    """

    def __init__(
        self, device_id: str, order: Prefill, ahead: SpeculativePrefill, on_over: Callable[[], None]
    ) -> None:
        """Take the order; ``on_over`` hears, synchronously, when it is over."""
        self.device_id = device_id
        self.order = order
        self.stopped = False
        self.forgotten = False
        self.over = False
        self.prompt_tokens = 0
        self.cached_tokens = 0
        self.problem: Problem | None = None
        self._ahead = ahead
        self._on_over = on_over

    def prepared(self, event: PrefillDone) -> None:
        """See `PrepareSink.prepared`."""
        self.prompt_tokens = event.prompt_tokens
        self.cached_tokens = event.cached_tokens
        self.end()

    def refused(self, event: JobRefused) -> None:
        """See `PrepareSink.refused`."""
        self.problem = problem_of(event)
        self.end()

    def lost(self, *, killed: bool) -> None:
        """See `PrepareSink.lost`. A phone that still wants it sends it again."""
        if not killed:
            self._ahead.suspect(self.device_id)
        self.end()

    def unloaded(self) -> None:
        """See `PrepareSink.unloaded`."""
        self.end()

    def broken(self) -> None:
        """See `PrepareSink.broken`. If it was over, that may not have come to its end."""
        self.end()

    def stop(self) -> None:
        """See `SpeculativePrefill.stop`."""
        self._ahead.stop(self)

    def end(self) -> None:
        """Nothing more is done for it."""
        self.over = True
        # A phone that is slow to take the news of many must not have us keep what they were about.
        self.order = msgspec.structs.replace(self.order, messages=())
        self._ahead.ended(self)
        with _telling:
            self._on_over()


class SpeculativePrefill:
    """Prompts that are being prefilled ahead, and those that are next.

    A device has one prompt in the engine and one behind it, its latest: somebody who types sends
    one after the other, and only the last is worth reading. What was read of those before stays in
    the engine's cache, where the next finds it.
    """

    def __init__(
        self,
        engine: Engine,
        numbers: Iterator[int],
        clock: Callable[[], LoopClock] = asyncio.get_running_loop,
    ) -> None:
        """Give orders to ``engine``, under ``numbers`` that answers use as well."""
        self._engine = engine
        self._numbers = numbers
        self._clock = clock
        #: Devices for which something was begun just now.
        self._lately: set[str] = set()
        self._devices_max = 0
        self._reading: dict[str, PendingPrefill] = {}
        self._next: dict[str, PendingPrefill] = {}
        self._suspects: set[str] = set()

    @property
    def devices(self) -> list[str]:
        """Devices with a prompt that is prefilled, or is to be; oldest first."""
        reading = [d for d, preparation in self._reading.items() if not preparation.stopped]
        return list(dict.fromkeys([*reading, *self._next]))

    def may_take(self, device_id: str) -> bool:
        """Whether there is room for something of this device, be it in place of its own."""
        if device_id in self._suspects or not self._devices_max:
            return False
        return device_id in self.devices or len(self.devices) < self._devices_max

    def take(self, device_id: str, order: Prefill, on_over: Callable[[], None]) -> PendingPrefill:
        """Read this for its device as soon as the engine can, instead of what it had before."""
        preparation = PendingPrefill(device_id, order, self, on_over)
        self.stop_device(device_id)
        self._next[device_id] = preparation
        self._begin()
        return preparation

    def stop(self, preparation: PendingPrefill) -> None:
        """End a prefill; tokens done so far stay in the cache."""
        if self._next.get(preparation.device_id) is preparation:
            preparation.end()
        elif not (preparation.over or preparation.stopped):
            preparation.stopped = True
            self._engine.cancel(preparation.order.job)

    def stop_device(self, device_id: str) -> None:
        """End the prefill for a device."""
        for preparations in (self._next, self._reading):
            if device_id in preparations:
                self.stop(preparations[device_id])

    def asked(self, device_id: str) -> None:
        """The question has come; whether the engine survives it is no longer our concern."""
        self._suspects.discard(device_id)
        self.stop_device(device_id)

    def forget(self, device_id: str) -> None:
        """End the prefill for a device that was revoked, and retain nothing of it."""
        self._suspects.discard(device_id)
        if device_id in self._reading:
            self._reading[device_id].forgotten = True
        self.stop_device(device_id)

    def allow(self, devices_max: int) -> None:
        """Read ahead for so many devices from now on; for the newest no longer if need be."""
        self._devices_max = devices_max
        for device_id in self.devices[devices_max:]:
            self.stop_device(device_id)
        self._begin()

    def suspect(self, device_id: str) -> None:
        """The engine died while it read for a device: no more of that before its next question.

        Somebody may be typing what this engine cannot bear, and would end it at every word. Of a
        question it is found out which one it was, see `Job`.
        """
        self._suspects.add(device_id)

    def ended(self, preparation: PendingPrefill) -> None:
        """A preparation is over."""
        for preparations in (self._next, self._reading):
            if preparations.get(preparation.device_id) is preparation:
                del preparations[preparation.device_id]
        if preparation.forgotten:
            # The engine has kept it just now, after it was told to forget everything.
            self._engine.purge()
        self._begin()

    def _begin(self) -> None:
        """Give the engine what it may have."""
        if self._engine.state.phase is not EnginePhase.READY:
            return
        lately = self._reading.keys() | self._lately
        for device_id in [d for d in self._next if d not in lately]:
            if len(self._reading) >= self._devices_max:
                # Those that were stopped still have their place, until the engine says so.
                return
            preparation = self._next.pop(device_id)
            order = msgspec.structs.replace(preparation.order, job=next(self._numbers))
            preparation.order = order
            self._reading[device_id] = preparation
            self._pace(device_id)
            self._give(preparation)

    def _pace(self, device_id: str) -> None:
        """Let a while pass before the next of this device."""
        self._lately.add(device_id)

        def due() -> None:
            self._lately.discard(device_id)
            self._begin()

        self._clock().call_later(PACE_S, due)

    def _give(self, preparation: PendingPrefill) -> None:
        with _giving:
            self._engine.prepare(preparation.order, preparation)
            return
        preparation.broken()
