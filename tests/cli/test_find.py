"""`inglenook find` lists boxes; without any it says so and fails."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from inglenook.cli import find
from inglenook.discovery.box import BoxHello, MdnsAnswer, read_box
from inglenook.discovery.found_box import FoundBox
from tests.cli.conftest import Inglenook
from tests.parts.box import Ran


@pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("unshare") is None,
    reason="needs root for a network of its own",
)
def test_with_no_network_at_all_it_finds_none(tmp_path: Path) -> None:
    """Exit code 1, a sentence, no trace."""
    done = subprocess.run(
        ["unshare", "--net", sys.executable, "-m", "inglenook", "find"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=40,
        check=False,
    )

    assert (done.returncode, done.stdout) == (1, "")
    assert "no network interface with an address is up" in done.stderr
    assert "Traceback" not in done.stderr


def box(name: str, address: str, answers: bool = True, **txt: str) -> FoundBox:
    """What a search finds."""
    record = {"id": "ab12cd34", "st": "ready", "model": "Qwen2.5-1.5B", **txt}
    raw = {key.encode(): value.encode() for key, value in record.items()}
    host_name = f"{name.lower()}-{record['id'][:4]}.local."
    seen = read_box(MdnsAnswer(name, host_name, 8377, [address], raw))
    assert seen is not None
    hello = BoxHello(record["id"], name, run_id=f"{len(address):08x}") if answers else None
    return FoundBox(seen, seen.urls, hello)


KITCHEN = box("Kitchen", "192.168.1.20")
COPY = box("Kitchen-2", "192.168.1.120")
ATTIC = box("Attic", "192.168.1.30", answers=False, id="99887766")
CELLAR = box("Cellar", "192.168.1.40", answers=False, id="55443322", st="sleep")

Search = Callable[..., Ran]


@pytest.fixture
def search(monkeypatch: pytest.MonkeyPatch, inglenook: Inglenook) -> Search:
    """Runs the command where a search finds these."""

    def run(*found: FoundBox) -> Ran:
        async def find_boxes(timeout_s: float) -> list[FoundBox]:
            assert timeout_s == 2.0
            return list(found)

        monkeypatch.setattr(find, "find_boxes", find_boxes)
        return inglenook("find")

    return run


def test_a_pipe_gets_a_line_for_each_box(search: Search) -> None:
    """With what a box that answers says of itself; of another, that it does not answer."""
    ran = search(ATTIC, CELLAR, KITCHEN)

    assert (ran.returncode, ran.err) == (0, "")
    assert [line.split("\t") for line in ran.out.splitlines()] == [
        ["Attic", ATTIC.url, "attic-9988.local", "Qwen2.5-1.5B", "no answer"],
        ["Cellar", CELLAR.url, "cellar-5544.local", "Qwen2.5-1.5B", "sleep, no answer"],
        ["Kitchen", "http://192.168.1.20:8377", "kitchen-ab12.local", "Qwen2.5-1.5B", "ready"],
    ]


def test_where_none_answers_none_is_there(search: Search) -> None:
    """Though a router may still tell of it."""
    ran = search(ATTIC)

    assert ran.returncode == 1
    assert "no answer" in ran.out


def test_two_boxes_with_one_id_are_both_listed_and_told_of(search: Search) -> None:
    """With what to do, and beside the result."""
    ran = search(KITCHEN, COPY)

    assert ran.returncode == 0
    assert len(ran.out.splitlines()) == 2
    assert ran.err.startswith(
        "two boxes have one id, ab12cd34: Kitchen at http://192.168.1.20:8377 and Kitchen-2 at "
        "http://192.168.1.120:8377; one runs from a copy of the other's SD card"
    )
