"""Connects the governor with the dispatcher and the engine. Kind: hands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec

from inglenook.common.guarded import Guard
from inglenook.config import Config
from inglenook.daemon.limit_mapping import (
    engine_limits,
    mdns_status,
    serving_limits,
    shown_c,
    with_engine,
)
from inglenook.discovery.advert import Status
from inglenook.engine.interface import EnginePhase
from inglenook.engine.orders import LoadModel
from inglenook.engine.supervisor import Supervisor
from inglenook.governor.clocks import ClockCaps
from inglenook.governor.limits import Capacity, Decision
from inglenook.governor.monitor import BoxLoad, Monitor, SampleIntervals
from inglenook.governor.probes import Probes
from inglenook.governor.readings import Readings
from inglenook.serving.dispatcher import Dispatcher
from inglenook.serving.limits import ServingLimits

#: The state of a board before its first sample.
_UNKNOWN: dict[str, Any] = {
    "level": "unknown",
    "reason": "none",
    "sentence": "",
    "eta_s": None,
    "cpu_c": None,
    "mem_available_bytes": None,
}


class GovernorBridge:
    """Connects the governor with the rest of the box.

    Attributes:
        changes: Counts changes that phones are sent: of limits, and of whole degrees.
        loading: Whether the model is being loaded because it is needed.
    """

    def __init__(
        self,
        config: Config,
        supervisor: Supervisor,
        desk: Dispatcher,
        on_change: Callable[[], None],
        pace: SampleIntervals,
    ) -> None:
        """Nothing happens until `run`; ``on_change`` is called, synchronously, at `changes`."""
        self.changes = 0
        self.loading = False
        self._supervisor = supervisor
        self._desk = desk
        self._on_change = on_change
        self._telling = Guard("news of the governor")
        self._capacity = Capacity(
            max_active=config.engine.max_sequences,
            threads=config.engine.threads or 1,
            step_budget_s=config.engine.step_budget_s,
        )
        self._ram_cache_bytes = 0
        self._decision: Decision | None = None
        self._readings = Readings()
        self._cpu_c: int | None = None
        self._resting = False
        self._failing = False
        self._paused = False
        self._shown: tuple[object, ...] = ()
        self._limits = ServingLimits(config.engine.max_sequences)
        self._clocks = ClockCaps(config.governor.root, config.state_dir)
        probes = Probes(config.governor.root, lambda: supervisor.pid)
        self._monitor = Monitor(
            probes.read, self._work, self._looked, enabled=config.governor.enabled, pace=pace
        )

    async def run(self) -> None:
        """Govern until cancelled."""
        await self._monitor.run(self._clocks)

    def loads(self, load: LoadModel) -> None:
        """The engine is about to load a model with these settings."""
        self._ram_cache_bytes = load.prefix.ram_bytes if load.prefix else 0
        # Fewer than the settings say, where each takes memory of its own.
        self._capacity = replace(self._capacity, max_active=load.sequences)

    def rest(self, resting: bool) -> None:  # noqa: FBT001  # it is all there is to say
        """Unload the model, or load it again; without room for it, it stays unloaded."""
        if resting == self._resting:
            return
        self._resting = resting
        self._monitor.calm = resting
        self._load_or_unload(self._decision)

    def pause(self, paused: bool) -> None:  # noqa: FBT001  # it is all there is to say
        """Compute nothing for a while, or go on."""
        self._paused = paused
        if self._decision is not None:
            self._hand_on(self._decision)

    def forget(self) -> None:
        """Drop what was measured before the board was suspended."""
        self._monitor.forget()

    def engine_changed(self) -> None:
        """The engine has a new state, which may be that there is no room for it."""
        phase = self._supervisor.state.phase
        # A load that failed is tried again and again, whether it is needed or not.
        self.loading = phase is EnginePhase.LOADING and not self._failing
        if phase is not EnginePhase.LOADING:
            self._failing = phase in (EnginePhase.RESTARTING, EnginePhase.MISSING)
        if self._decision is not None:
            self._hand_on(self._decision)
        else:
            self._load_or_unload(None)

    def state(self) -> dict[str, Any]:
        """The governor's part of the ``state`` of docs/protocol.md."""
        if self._decision is None:
            return dict(_UNKNOWN)
        decision = with_engine(self._decision, self._supervisor.state)
        return {
            "level": decision.level,
            "reason": decision.reason,
            "sentence": decision.sentence,
            "eta_s": None if decision.eta_s is None else round(decision.eta_s),
            "cpu_c": self._cpu_c,
            "mem_available_bytes": self._readings.memory.left_bytes,
        }

    @property
    def asleep(self) -> bool:
        """Whether the model is unloaded because it is not needed; a missing one does not count."""
        return self._resting and self._supervisor.state.phase is not EnginePhase.MISSING

    @property
    def free_bytes(self) -> int:
        """Memory that may still be used; 0 if unknown."""
        return self._readings.memory.left_bytes or 0

    def mdns_status(self) -> Status:
        """The status that mDNS announces."""
        return mdns_status(self._decision, self._supervisor.state, resting=self.asleep)

    def _load_or_unload(self, decision: Decision | None) -> None:
        # A missing one takes no memory, is looked for again, and its owner must see that.
        missing = self._supervisor.state.phase is EnginePhase.MISSING
        if not missing and (self._resting or (decision is not None and decision.unload)):
            self._supervisor.unload()
        else:
            self._supervisor.load()

    def _work(self) -> BoxLoad:
        # Only here: limits are compared later with the capacity that was decided by.
        self._capacity = replace(
            self._capacity,
            threads=self._supervisor.state.threads or self._capacity.threads,
            ram_cache_bytes=self._ram_cache_bytes,
        )
        return BoxLoad(self._capacity, busy=self._desk.load.active > 0)

    def _looked(self, decision: Decision, readings: Readings) -> None:
        self._decision, self._readings = decision, readings
        hottest = readings.hottest
        self._cpu_c = shown_c(self._cpu_c, hottest.temp_c if hottest else None)
        self._hand_on(decision)

    def _hand_on(self, decision: Decision) -> None:
        """Send dispatcher and engine the limits of now; the latest counts."""
        decision = with_engine(decision, self._supervisor.state)
        limits = engine_limits(decision, self._capacity)
        self._supervisor.limit(
            msgspec.structs.replace(limits, duty=0.0) if self._paused else limits
        )
        self._load_or_unload(decision)
        allowed = serving_limits(decision, self._capacity)
        if allowed != self._limits:
            self._limits = allowed
            self._desk.limit(allowed)
        shown = (
            self._cpu_c,
            decision.level,
            decision.reason,
            decision.max_active,
            decision.threads,
            decision.clock,
            decision.duty,
        )
        if shown != self._shown:
            self._shown = shown
            self.changes += 1
            with self._telling:
                self._on_change()
