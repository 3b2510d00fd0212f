"""Which models there are, and which one is meant. Kind: hands."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from inglenook.models.info import ModelFileError, ModelInfo
from inglenook.models.inspect import inspect_model
from inglenook.models.starter import STARTER


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """A model's file.

    Attributes:
        path: The file.
        info: What it is, if it can be used.
        fault: A sentence saying why it cannot, otherwise None.
    """

    path: Path
    info: ModelInfo | None
    fault: str | None


def list_models(models_dir: Path) -> list[ModelEntry]:
    """Look into every ``*.gguf`` in a directory, by name; a missing directory has none.

    Blocks on the file system; call it in a thread.
    """
    return [examine(path) for path in sorted(models_dir.glob("*.gguf"))]


def resolve_model(configured: Path | None, models_dir: Path) -> Path:
    """Say which file ``model.path`` means; None is the starter model, whether there or not."""
    return models_dir / STARTER.file_name if configured is None else configured


def examine(path: Path) -> ModelEntry:
    """Look into one file, whether it is there or not; blocks."""
    try:
        return ModelEntry(path, inspect_model(path), None)
    except ModelFileError as exc:
        return ModelEntry(path, None, str(exc))
