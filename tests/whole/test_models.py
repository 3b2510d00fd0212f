"""A model that will not do keeps nobody from the box, and a good one in its place mends it."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from inglenook.governor.memory.process import read_process
from tests.parts.box import Box, made_box, run_inglenook
from tests.parts.gguf_files import corrupt_variants, small_model
from tests.parts.phone import connected, long_chat
from tests.parts.unmappable import refusing_library

#: One of each family of faults; tests/models has them all.
VARIANTS = (
    "empty",
    "web_page",
    "zeros",
    "version_9",
    "cut_in_metadata",
    "cut_in_half",
    "huge_array",
    "overlap",
    "embedding",
    "base_model",
)


@pytest.fixture(scope="module")
def broken_boxes(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[dict[str, tuple[Box, Path, str]]]:
    """A box for each corrupt file, all at once: without an engine they cost little."""
    written = corrupt_variants(tmp_path_factory.mktemp("corrupt"))
    variants = {path.stem: (path, words) for path, words in written if path.stem in VARIANTS}
    with ExitStack() as until_end:
        boxes = {}
        for name, (path, words) in variants.items():
            box = until_end.enter_context(made_box(path))
            box.start()
            boxes[name] = (box, path, words)
        yield boxes
        for box, _path, _words in boxes.values():
            box.stop()


@pytest.mark.parametrize("name", VARIANTS)
async def test_a_corrupt_model_is_said_and_the_box_stays_up(
    broken_boxes: dict[str, tuple[Box, Path, str]], name: str
) -> None:
    """503 with the reason, a sentence in the log, and a plain error for who asks."""
    box, path, words = broken_boxes[name]
    box.wait(lambda: "no model: " in box.log(), "the fault was never said", 60)

    health = box.http("GET", "/healthz")
    async with connected(box.url, box.pair("Ada")) as phone:
        refused = await phone.ask("Hi")
        state = phone.hello["state"]

    said = [line for line in box.log().splitlines() if line.startswith("no model: ")]
    assert words in said[0]
    assert str(path) in said[0]
    assert len(said) == 1
    assert (health.status, health.json()["reason"]) == (503, "model_missing")
    assert state["engine"] == "missing"
    assert refused.error is not None
    assert refused.error["code"] == "model_missing"


async def test_a_good_file_in_its_place_is_found_by_itself(tmp_path: Path) -> None:
    """Nobody has to restart anything."""
    path = tmp_path / "model.gguf"
    with made_box(path) as box:
        box.start()
        box.wait(lambda: "no model: " in box.log(), "the fault was never said", 40)
        copying = tmp_path / "copying"
        copying.write_bytes(small_model())
        shutil.move(copying, path)
        box.wait_ready()
        async with connected(box.url, box.pair("Ada")) as phone:
            answer = await phone.ask(long_chat(2))
        box.stop()

    assert answer.done is not None
    assert answer.done["usage"]["completion_tokens"] == 2


def test_what_cannot_be_mapped_is_read(starter_model: Path, tmp_path: Path) -> None:
    """Some file systems map no files; the box answers, and everything says how it was loaded."""
    refusing = {"LD_PRELOAD": str(refusing_library(tmp_path))}
    with made_box(starter_model) as box:
        box.extra_environ = refusing
        box.start()
        box.wait_ready()
        engine = read_process(Path("/"), box.engine_pid())
        asyncio.run(_asks(box))
        words = ("model", "info", "--config", str(box.config))
        info = run_inglenook(words, box.environ() | refusing)
        box.stop()
        log = box.log()

    assert engine is not None
    # What the libraries are made of is mapped, as ever; the weights are not.
    assert engine.mapped_bytes < starter_model.stat().st_size < engine.rss_bytes
    assert f"{starter_model} is read into memory: its file system cannot map files" in log
    assert "loading         read into memory, as its file system cannot map files\n" in info.out


async def _asks(box: Box) -> None:
    async with connected(box.url, box.pair("Ada")) as phone:
        assert (await phone.ask(long_chat(4))).done is not None


def test_what_can_be_mapped_is_mapped(box: Box) -> None:
    """So that the kernel may share and drop it."""
    assert "loading         mapped from the file\n" in box.run("model", "info").out
    assert "is read into memory" not in box.log()
