"""Why there is no engine, or no longer. Kind: words."""

from __future__ import annotations

from inglenook.common.errors import EngineError, StartupError


class WorkerSilent(EngineError):
    """The engine said nothing for longer than its phase allows."""

    def __init__(self, patience_s: float) -> None:
        super().__init__(patience_s)
        self.patience_s = patience_s

    def __str__(self) -> str:
        return f"the engine was silent for {self.patience_s:g} s and was killed"


class ModelUnloadable(EngineError):
    """The engine is well but cannot load this model; trying again at once would not help."""


class ModelWontFitNow(StartupError):
    """The model is well, but cannot be loaded just now; waiting helps."""
