"""The real starter model, fetched once and shared by all tests and by ``make up``."""

from __future__ import annotations

import asyncio
from pathlib import Path

from inglenook.models.starter import pull_starter

_MODELS_DIR = Path(__file__).parents[2] / ".state" / "models"


def starter_model_path() -> Path:
    """The starter model, size and hash checked; safe to call from several test runs at once.

    Call it where no event loop runs: in a synchronous session fixture.
    """
    return asyncio.run(pull_starter(_MODELS_DIR, progress=lambda _text, _fraction: None))
