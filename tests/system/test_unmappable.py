"""A model on a file system that maps no files: the box reads it, and says so."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from inglenook.models.inspect import can_map
from tests.parts.box import running_box
from tests.parts.netns import missing
from tests.parts.phone import connected, long_chat
from tests.parts.unmappable import mounted_without_mapping

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]


async def test_a_model_behind_a_driver_without_mapping_answers(
    starter_model: Path, tmp_path: Path
) -> None:
    """bindfs with direct I/O, as 9p and some network mounts are."""
    fault = missing("bindfs", "umount")
    assert not fault, f"{fault}; apt-get install bindfs"
    source, target = tmp_path / "disk", tmp_path / "mounted"
    source.mkdir()
    shutil.copy(starter_model, source)
    with mounted_without_mapping(source, target):
        model = target / starter_model.name
        assert not can_map(model)
        with running_box(model) as box:
            async with connected(box.url, box.pair("Ada")) as phone:
                answer = await phone.ask(long_chat(4))
            info = box.run("model", "info")
            log = box.log()

    assert answer.done is not None
    assert f"{model} is read into memory: its file system cannot map files" in log
    assert "read into memory" in info.out
