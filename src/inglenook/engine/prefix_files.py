"""The folder of the prefix cache's files: what is ours in it, and how to empty it. Kind: hands.

One folder in it for each fingerprint, named by its hex digits; in that one file for each block,
named by its key, or a temporary one that was never finished. Beside them lies what the daemon keeps
of when conversations began. Whatever is named otherwise is not ours and left alone.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

BLOCK_SUFFIX = ".kv"
TEMPORARY_SUFFIX = ".tmp"

#: When the conversations began of which there are blocks.
DATES_FILE = "dates"

_FOLDER = re.compile(r"[0-9a-f]{32}")
_FILE = re.compile(r"[0-9a-f]{32}\.(kv|tmp)")


def folder_bytes(folder: Path) -> dict[str, int]:
    """How large the files of each fingerprint are, by its hex digits; no folder is no files.

    Raises:
        OSError: If the folder cannot be read.
    """
    sizes: dict[str, int] = defaultdict(int)
    for path, status in cache_files(folder):
        sizes[path.parent.name] += status.st_size
    return dict(sizes)


def purge_folder(folder: Path) -> int:
    """Remove the files of all fingerprints, and the dates; no engine may be writing there.

    Returns:
        How many bytes they had.

    Raises:
        OSError: If one cannot be removed; those before it are.
    """
    freed_bytes = 0
    parents = set()
    for path, status in cache_files(folder):
        path.unlink(missing_ok=True)
        parents.add(path.parent)
        freed_bytes += status.st_size
    (folder / DATES_FILE).unlink(missing_ok=True)
    for parent in parents:
        # Somebody else's file may be in it.
        with contextlib.suppress(OSError):
            parent.rmdir()
    return freed_bytes


def cache_files(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Every file of ours below the folder; one that vanishes meanwhile is passed over.

    Raises:
        OSError: If the folder cannot be read.
    """
    for inner in _entries(folder):
        if not _FOLDER.fullmatch(inner.name) or not inner.is_dir(follow_symlinks=False):
            continue
        for entry in _entries(inner):
            if not _FILE.fullmatch(entry.name) or not entry.is_file(follow_symlinks=False):
                continue
            with contextlib.suppress(FileNotFoundError):
                yield Path(entry.path), entry.stat(follow_symlinks=False)


def _entries(folder: str | Path | os.DirEntry[str]) -> list[os.DirEntry[str]]:
    # A list, not a walk under way: the caller removes what it is given.
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except FileNotFoundError:
        return []
