"""What the prefix cache may take by itself."""

from __future__ import annotations

import pytest

from inglenook.models.preflight import auto_disk_bytes, auto_ram_bytes

MIB, GIB = 2**20, 2**30


@pytest.mark.parametrize(
    ("spare_bytes", "ram_bytes"),
    [
        (-MIB, 0),  # the reserve itself is not free
        (0, 0),
        (400 * MIB, 100 * MIB),
        (4 * GIB, GIB),
        (4 * GIB - 4, GIB - 1),
        (64 * GIB, GIB),  # a large machine does not make a household talk more
    ],
)
def test_memory_is_a_quarter_of_what_is_spare(spare_bytes: int, ram_bytes: int) -> None:
    """At most a GiB, and nothing where nothing is spare."""
    assert auto_ram_bytes(spare_bytes) == ram_bytes


@pytest.mark.parametrize(
    ("free_bytes", "kept_bytes", "disk_bytes"),
    [
        (0, 0, 0),
        (10 * GIB, 0, GIB),
        (9 * GIB, GIB, GIB),  # what it wrote itself does not make it smaller next time
        (40 * GIB, 0, 4 * GIB),
        (2000 * GIB, 0, 4 * GIB),  # a NAS: a tenth would be more than is ever said
    ],
)
def test_disk_is_a_tenth_of_what_is_free(free_bytes: int, kept_bytes: int, disk_bytes: int) -> None:
    """At most 4 GiB, since many boxes live on SD cards."""
    assert auto_disk_bytes(free_bytes, kept_bytes) == disk_bytes
