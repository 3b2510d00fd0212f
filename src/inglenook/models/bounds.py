"""How much the prefix cache may take where the settings leave it open. Kind: rules."""

from __future__ import annotations

_RAM_SHARE, _RAM_BYTES_MAX = 4, 2**30
_DISK_SHARE, _DISK_BYTES_MAX = 10, 4 * 2**30


def auto_ram_bytes(spare_bytes: int) -> int:
    """Give the bound of the tier in memory: a quarter of what is spare, at most 1 GiB.

    The other three quarters are for the files that the kernel caches and for whatever else the box
    does. A GiB holds the state of some 37,000 tokens of a model of 1.5 B parameters.

    Args:
        spare_bytes: What is free once the model is loaded and the system has its reserve.
    """
    return min(max(spare_bytes, 0) // _RAM_SHARE, _RAM_BYTES_MAX)


def auto_disk_bytes(free_bytes: int, kept_bytes: int) -> int:
    """Give the bound of the tier on disk: a tenth of what could be had, at most 4 GiB.

    Boxes boot from SD cards, which wear by what is written to them, and whose owner did not buy
    them for this: 4 GiB are the state of 150,000 tokens of a model of 1.5 B parameters, more than a
    household says in a day.

    Args:
        free_bytes: Free space of the file system.
        kept_bytes: What the cache has there already; counted as free, or the bound would shrink
            from start to start.
    """
    return min((free_bytes + kept_bytes) // _DISK_SHARE, _DISK_BYTES_MAX)
