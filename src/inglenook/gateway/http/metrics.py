"""Metrics for Prometheus: counts since the start, and the state now. Kind: hands.

None is about a person: no device, no question, no answer.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any

from inglenook.common.guarded import counts
from inglenook.engine.interface import EnginePhase, EngineState
from inglenook.gateway.http.totals import Totals
from inglenook.serving.response_parts import Outcome, Status

#: Prometheus' text format, which other collectors read too.
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def load_exposition() -> None:
    """Import the library that writes the format, in a thread, as it takes a while.

    Not before the first request: most boxes get none, and the library takes a megabyte.
    """
    importlib.import_module("inglenook.gateway.http.prometheus")


class Metrics:
    """All metrics of ``GET /metrics``; the counts begin at 0 with each start of the daemon."""

    def __init__(self, snapshot: Callable[[], Mapping[str, Any]]) -> None:
        """Take ``snapshot``, which gives the latest ``state`` as docs/protocol.md has it."""
        self._snapshot = snapshot
        self._totals = Totals()
        self._phase = EnginePhase.LOADING

    def answered(self, status: Status, outcome: Outcome) -> None:
        """An answer has ended."""
        self._totals.add(status, outcome)

    def engine_changed(self, state: EngineState) -> None:
        """The engine has a new state."""
        if state.phase is EnginePhase.RESTARTING and self._phase is not EnginePhase.RESTARTING:
            self._totals.restarts += 1
        self._phase = state.phase

    def text(self) -> bytes:
        """All metrics in Prometheus' text format; imports the library if need be."""
        from inglenook.gateway.http.prometheus import expose

        return expose(self._totals, self._snapshot(), counts())
