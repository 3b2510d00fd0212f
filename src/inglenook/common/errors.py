"""The error tree and the closed set of codes. Kind: words.

Four families, told apart by *who must act*::

    InglenookError
    ├── ConfigError      the operator: every fault found in the settings; exit 78
    ├── StartupError     the operator: a port taken, a model unreadable; exit 1
    ├── Problem          the phone: a code, one plain sentence, maybe when to try again
    └── EngineError      only ``engine/`` itself: the child exited, hung or broke the pipe's format
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Code(StrEnum):
    """Every error code of the protocol; docs/protocol.md says when each is sent."""

    BAD_REQUEST = "bad_request"
    NOT_PAIRED = "not_paired"
    FORBIDDEN = "forbidden"
    REVOKED = "revoked"
    BUSY = "busy"
    TOO_HOT = "too_hot"
    LOW_MEMORY = "low_memory"
    MODEL_LOADING = "model_loading"
    MODEL_MISSING = "model_missing"
    CONTEXT_TOO_LONG = "context_too_long"
    ENGINE_FAILED = "engine_failed"
    UNKNOWN_RESPONSE = "unknown_response"
    RATE_LIMITED = "rate_limited"
    SHUTTING_DOWN = "shutting_down"
    INTERNAL = "internal"


class InglenookError(Exception):
    """Root of everything this program raises on purpose."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with the settings.

    Attributes:
        where: Dotted path of the setting, such as ``listen.port``; or the file.
        what: What is wrong and what to write instead, one sentence without a full stop.
    """

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


class ConfigError(InglenookError):
    """The settings are wrong; carries every fault found, not just the first."""

    def __init__(self, faults: list[Fault], source: str = "config") -> None:
        super().__init__(faults, source)
        self.faults = faults
        self.source = source

    def __str__(self) -> str:
        return "\n".join(f"{self.source}: {fault}" for fault in self.faults)


class StartupError(InglenookError):
    """The program cannot start or carry on for a reason only its operator can remove."""


class Problem(InglenookError):
    """An error sent to the client; ``text`` is one plain sentence, safe to show."""

    def __init__(self, code: Code, text: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(code, text)
        self.code = code
        self.text = text
        self.retry_after_s = retry_after_s

    def __str__(self) -> str:
        return f"{self.code}: {self.text}"


class EngineError(InglenookError):
    """The engine process failed; caught inside ``engine/`` and turned into a state or a Problem."""
