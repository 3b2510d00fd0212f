"""The shared daemon must come out of every bad input unharmed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.parts.box import Box


@pytest.fixture
def unharmed(box: Box) -> Iterator[None]:
    """After the test the daemon still serves, is the same process, and has logged no trace."""
    pid, engine_pid, said_before = box.pid, box.engine_pid(), len(box.log())
    yield
    assert box.health() == 200
    assert (box.pid, box.engine_pid()) == (pid, engine_pid)
    said = box.log()[said_before:]
    assert "Traceback" not in said, said
