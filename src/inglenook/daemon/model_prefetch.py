"""Reads the model's file into the page cache while a phone still authenticates. Kind: hands."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path

from inglenook.models.prefetch import prefetch

#: Seconds between two reads at least: a new connection need not be a paired phone.
_PREFETCH_EVERY_S = 60.0


class ModelPrefetch:
    """Reads the file ahead of the engine that will load it."""

    def __init__(self, free_bytes: Callable[[], int]) -> None:
        """Nothing is read before `run`; ``free_bytes`` tells how much memory may be used."""
        self._free_bytes = free_bytes
        self._wanted = asyncio.Event()

    def begin(self) -> None:
        """The model is likely to be needed."""
        self._wanted.set()

    async def run(self, model: Path) -> None:
        """Read this file whenever `begin` was called, until cancelled."""
        while True:
            await self._wanted.wait()
            stop = threading.Event()
            try:
                free_bytes = self._free_bytes()
                await asyncio.to_thread(prefetch, model, free_bytes=free_bytes, stop=stop)
            finally:
                stop.set()
            await asyncio.sleep(_PREFETCH_EVERY_S)
            self._wanted.clear()
