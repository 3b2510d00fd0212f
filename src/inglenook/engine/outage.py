"""Why there is no engine, and when to try again. Kind: rules."""

from __future__ import annotations

import logging

from inglenook.common.errors import EngineError
from inglenook.engine.backoff import recheck_delay_s, restart_delay_s, still_counting
from inglenook.engine.interface import EnginePhase, EngineState

log = logging.getLogger(__name__)


class Outage:
    """Deaths of engines and looks for a missing model, since an engine was last ready."""

    def __init__(self) -> None:
        self._deaths: list[float] = []
        self._complaint = ""
        self._missed = 0

    def over(self) -> None:
        """An engine is ready."""
        self._complaint, self._missed = "", 0

    def died(self, name: str, why: EngineError, now: float) -> EngineState:
        """The engine of model ``name`` has died."""
        delay_s = self._delay_s(now)
        log.warning("%s; it starts again in %.1f s", why, delay_s)
        return EngineState(EnginePhase.RESTARTING, name, str(why), retry_in_s=delay_s)

    def missing(self, name: str, why: str, *, at_least_s: float = 0.0) -> EngineState:
        """The model's file is gone or wrong: its owner may be moving or copying it."""
        if self._complaint != why:
            log.error("no model: %s", why)
            self._complaint = why
        delay_s = max(recheck_delay_s(self._missed), at_least_s)
        self._missed += 1
        return EngineState(EnginePhase.MISSING, name, why, retry_in_s=delay_s)

    def unloadable(self, name: str, why: str, now: float) -> EngineState:
        """The engine cannot load the model; that counts as a death."""
        return self.missing(name, why, at_least_s=self._delay_s(now))

    def _delay_s(self, now: float) -> float:
        """Count a death, and say how long to wait after it, seconds."""
        self._deaths = [*still_counting(self._deaths, now), now]
        return restart_delay_s(self._deaths, now)
