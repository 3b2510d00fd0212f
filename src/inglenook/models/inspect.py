"""Looks into model files before anything loads them, and lists them. Kind: hands."""

from __future__ import annotations

import mmap
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from inglenook.models.describe import describe
from inglenook.models.gguf.read import read_header
from inglenook.models.info import CHOOSE_ANOTHER, BadModelError, ModelFileError, ModelInfo
from inglenook.models.starter import STARTER

_CHECK_PATH = "check model.path, or fetch the starter model with `inglenook model pull starter`"

#: Remedy if the path was an argument.
CHECK_ARGUMENT = "check the path, and that the disk it is on is mounted"


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


def inspect_model(path: Path, *, remedy: str = _CHECK_PATH) -> ModelInfo:
    """Read and check a GGUF model without its weights.

    Blocks for as long as the vocabulary takes, 40 ms and 4 MB of memory for 49,152 tokens on a
    PC; call it in a thread.

    Args:
        path: The file.
        remedy: What to do if there is no file: its name may not be from the settings.

    Raises:
        ModelFileError: If llama.cpp could not load the file or it cannot chat, saying why and what
            to do.
    """
    try:
        _check_regular(path.stat().st_mode)  # before opening: a pipe would wait for its writer
        with path.open("rb") as file:
            size_bytes = os.fstat(file.fileno()).st_size
            return describe(path, size_bytes, read_header(file, size_bytes))
    except BadModelError as exc:
        raise ModelFileError(path, exc.reason, exc.remedy) from exc
    except FileNotFoundError as exc:
        raise ModelFileError(path, "does not exist", remedy) from exc
    except PermissionError as exc:
        may = "let the user that runs inglenook read it, and enter the directories above it"
        raise ModelFileError(path, "may not be read", may) from exc
    except OSError as exc:
        raise ModelFileError(path, f"cannot be read: {exc.strerror}", remedy) from exc


def can_map(path: Path) -> bool:
    """Return whether the kernel maps this file into memory; tried, as file systems do not say.

    Some cannot: 9p, a few network mounts, and FUSE drivers that ask for direct I/O (``ENODEV``).
    llama.cpp maps by default, and does not load a model from there unless it is told to read it.

    Args:
        path: A model that `inspect_model` has read. If it has gone meanwhile, it counts as one that
            can be mapped, because the loader's error says more.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return True
    try:
        mmap.mmap(descriptor, 0, flags=mmap.MAP_SHARED, prot=mmap.PROT_READ).close()
    except (OSError, ValueError):  # ValueError: of an empty file
        return False
    finally:
        os.close(descriptor)
    return True


def list_models(models_dir: Path) -> list[ModelEntry]:
    """Inspect all ``*.gguf`` in a directory, sorted by name; a missing directory has none.

    Blocks on the file system; call it in a thread.
    """
    return [examine(path) for path in sorted(models_dir.glob("*.gguf"))]


def resolve_model(configured: Path | None, models_dir: Path) -> Path:
    """Return the file of ``model.path``; None is the starter model, whether there or not."""
    return models_dir / STARTER.file_name if configured is None else configured


def examine(path: Path) -> ModelEntry:
    """Inspect one file, whether it is there or not; blocks."""
    try:
        return ModelEntry(path, inspect_model(path), None)
    except ModelFileError as exc:
        return ModelEntry(path, None, str(exc))


def _check_regular(mode: int) -> None:
    if stat.S_ISDIR(mode):
        raise BadModelError("is a directory", "name the .gguf file inside it")
    if not stat.S_ISREG(mode):
        raise BadModelError("is not a regular file", CHOOSE_ANOTHER)
