"""Why an engine does not begin an answer that has to keep to a schema. Kind: words."""

from __future__ import annotations

from inglenook.common.errors import EngineError


class _NotBegun(EngineError):
    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why

    def __str__(self) -> str:
        return self.why


class SchemaRefused(_NotBegun):
    """There is no JSON as the schema wants it, or no way to keep to it; ``why`` says which."""


class SchemaUntried(_NotBegun):
    """What is wrong is not the schema, and may soon be over; ``why`` says what it is."""
