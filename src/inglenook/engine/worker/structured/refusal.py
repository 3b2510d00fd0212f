"""Reasons for not beginning an answer with a schema. Kind: words."""

from __future__ import annotations

from inglenook.common.errors import EngineError


class _NotBegun(EngineError):
    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why

    def __str__(self) -> str:
        return self.why


class SchemaRefused(_NotBegun):
    """The schema is invalid, unsatisfiable or too expensive; ``why`` says which."""


class SchemaUntried(_NotBegun):
    """The trial failed for a reason other than the schema, perhaps a temporary one: ``why``."""
