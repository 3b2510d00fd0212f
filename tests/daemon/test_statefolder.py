"""A start claims the folder its state is in, and holds it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from inglenook.daemon.statefolder import claim_state_folder
from inglenook.errors import StartupError


def test_a_folder_is_made_for_nobody_else(tmp_path: Path) -> None:
    """With those above it; one that is there is taken as it is."""
    folder = tmp_path / "a" / "b"
    for _start in range(2):
        claim_state_folder(folder)

    assert folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give folders away")
@pytest.mark.parametrize(("owner", "name"), [(65534, "nobody"), (61234, "user 61234")])
def test_root_leaves_nothing_in_a_folder_of_somebody_elses(
    tmp_path: Path, owner: int, name: str
) -> None:
    """As the service's, which could not read it."""
    os.chown(tmp_path, owner, owner)

    with pytest.raises(StartupError, match=f"state_dir: .* belongs to {name}, who could not read"):
        claim_state_folder(tmp_path)
