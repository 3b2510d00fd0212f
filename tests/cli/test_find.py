"""`inglenook find` lists boxes; without any it says so and fails."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("unshare") is None,
    reason="needs root for a network of its own",
)
def test_with_no_network_at_all_it_finds_none(tmp_path: Path) -> None:
    """Exit code 1, a sentence, no trace."""
    done = subprocess.run(
        ["unshare", "--net", sys.executable, "-m", "inglenook", "find", "--timeout", "0.2"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=40,
        check=False,
    )

    assert (done.returncode, done.stdout) == (1, "")
    assert "no network interface with an address is up" in done.stderr
    assert "Traceback" not in done.stderr
