"""What an engine says of a schema it cannot keep to. Kind: words."""

from __future__ import annotations

from inglenook.errors import EngineError


class SchemaRefused(EngineError):
    """There is no JSON as the schema wants it, or no way to keep to it; ``why`` says which."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why

    def __str__(self) -> str:
        return self.why
