"""The real starter model, fetched once and shared by all tests and by ``make up``."""

from __future__ import annotations

import asyncio
from pathlib import Path

from inglenook.models.starter import pull_starter

#: A question to which the starter has one answer, on any processor and however its words are drawn:
#: each is likelier than all others together by far. Without the second sentence it sometimes begins
#: in French.
CAPITAL = "What is the capital of France? Answer with one word."
PARIS = "The capital of France is Paris."

#: As certain.
GERMANY = "What is the capital of Germany? Answer with one word."
BERLIN = "The capital of Germany is Berlin."

#: What it says to this goes on for hundreds of words, however they are drawn, and is no loop.
HISTORY = "Tell me the history of the world in one hundred chapters."

_MODELS_DIR = Path(__file__).parents[2] / ".state" / "models"


def starter_model_path() -> Path:
    """The starter model, size and hash checked; safe to call from several test runs at once.

    Call it where no event loop runs: in a synchronous session fixture.
    """
    return asyncio.run(pull_starter(_MODELS_DIR, progress=lambda _text, _fraction: None))
