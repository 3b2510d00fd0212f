"""Files as the prefix cache leaves them."""

from __future__ import annotations

from pathlib import Path


def fill(folder: Path, fingerprint: str, blocks: int, block_bytes: int) -> None:
    """Put blocks of a model there; what is in them nobody here reads."""
    inner = folder / fingerprint
    inner.mkdir(parents=True, exist_ok=True)
    for number in range(blocks):
        (inner / f"{number:032x}.kv").write_bytes(bytes(block_bytes))
