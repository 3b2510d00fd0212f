"""`inglenook cache` shows what is kept of conversations, and forgets it."""

from __future__ import annotations

import contextlib
import re
import threading
from pathlib import Path

import pytest

from inglenook.daemon.statefolder import held_state_folder, holder_of
from inglenook.gateway.control import SOCKET_NAME, bind_control_socket
from tests.cli.conftest import Inglenook
from tests.parts.box import Box
from tests.parts.prefix_folder import fill

SOON_S = 20.0

OLD, NEW = "0" * 32, "f" * 32


@pytest.fixture
def prefix(tmp_path: Path) -> Path:
    """Where the box of `inglenook` keeps it: three blocks of an old model, one of the new."""
    folder = tmp_path / "state" / "prefix"
    fill(folder, OLD, 3, 1024)
    fill(folder, NEW, 1, 2**20)
    return folder


@pytest.mark.usefixtures("prefix")
def test_each_model_has_a_line(inglenook: Inglenook) -> None:
    """Its fingerprint, how many blocks, how large; a script gets nothing else."""
    ran = inglenook("cache")

    assert ran.returncode == 0
    assert [line.split("\t") for line in ran.out.splitlines()] == [
        [OLD, "3", "3.0 KiB"],
        [NEW, "1", "1.0 MiB"],
    ]
    assert inglenook("cache", "list") == ran


def test_without_any_it_says_how_much_there_may_be(inglenook: Inglenook) -> None:
    """Before the first start nothing is there, not even the folder."""
    ran = inglenook("cache")

    assert (ran.returncode, ran.out) == (0, "")
    assert "on disk: 0 B of " in ran.err
    assert "in memory: a quarter of what is free" in ran.err


@pytest.mark.parametrize(
    ("settings", "disk", "memory"),
    [
        ("{disk: 2GiB, ram: 64MiB}", "1.0 MiB of 2.0 GiB at most", "64.0 MiB at most"),
        ("{disk: 0, ram: 0}", "no more is added (cache.disk is 0)", "none (cache.ram is 0)"),
    ],
)
@pytest.mark.usefixtures("prefix")
def test_the_bounds_are_those_of_the_settings(
    inglenook: Inglenook, config: Path, settings: str, disk: str, memory: str
) -> None:
    """What is there stays when it is switched off, until it is purged."""
    config.write_text(config.read_text() + f"cache: {settings}\n")

    said = inglenook("cache").err

    assert disk in said
    assert memory in said


def test_without_a_daemon_its_files_are_removed(inglenook: Inglenook, prefix: Path) -> None:
    """Of every model; what is not the cache's own stays."""
    (prefix / OLD / "notes.txt").write_text("mine")

    ran = inglenook("cache", "purge")

    assert (ran.returncode, ran.out) == (0, "")
    assert "1.0 MiB were on the disk" in ran.err
    assert [path.name for path in prefix.rglob("*") if path.is_file()] == ["notes.txt"]
    assert "; 0 B were" in inglenook("cache", "purge").err


def test_a_running_daemon_is_asked(box: Box) -> None:
    """It forgets what is in its engine's memory too, and other models' files."""
    fill(box.state_dir / "prefix", OLD, 2, 4096)

    ran = box.run("cache", "purge")

    assert (ran.returncode, ran.out) == (0, "")
    assert re.search(r"[KM]iB were on the disk", ran.err)
    assert list((box.state_dir / "prefix" / OLD).glob("*.kv")) == []


@pytest.mark.parametrize("action", ["list", "purge"])
def test_a_folder_that_cannot_be_read_is_a_sentence(
    inglenook: Inglenook, tmp_path: Path, action: str
) -> None:
    """Root may read everything, so here it is a file."""
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "prefix").write_text("not a folder")

    ran = inglenook("cache", action)

    assert ran.returncode == 1
    assert ran.err.startswith(f"inglenook: {tmp_path / 'state' / 'prefix'}: cannot be ")


def test_what_a_killed_daemon_left_is_no_daemon(inglenook: Inglenook, prefix: Path) -> None:
    """Its socket and its lock's file stay when its process dies."""
    with held_state_folder(prefix.parent):
        pass
    bind_control_socket(prefix.parent / SOCKET_NAME).close()

    assert "the cache is empty" in inglenook("cache", "purge").err
    assert list(prefix.rglob("*.kv")) == []


@pytest.mark.parametrize("bound", [True, False])
def test_a_daemon_that_does_not_answer_keeps_its_files(
    inglenook: Inglenook, prefix: Path, bound: bool
) -> None:
    """It is starting, or its socket's file was removed; its engine may be writing blocks."""
    with held_state_folder(prefix.parent), contextlib.ExitStack() as stack:
        if bound:  # and does not listen yet
            stack.enter_context(bind_control_socket(prefix.parent / SOCKET_NAME))
        ran = inglenook("cache", "purge")

    assert ran.returncode == 1
    assert f"a daemon is running with the state in {prefix.parent} (process " in ran.err
    assert len(list(prefix.rglob("*.kv"))) == 4


def test_a_daemon_is_not_started_while_files_are_removed(prefix: Path) -> None:
    """It waits for the end of that, which is soon."""
    held, leave = threading.Event(), threading.Event()

    def purge() -> None:
        with held_state_folder(prefix.parent, "inglenook cache purge"):
            held.set()
            leave.wait(SOON_S)

    thread = threading.Thread(target=purge)
    thread.start()
    try:
        assert held.wait(SOON_S)
        holder = holder_of(prefix.parent)
        # Longer than a start waits for a daemon.
        threading.Timer(1.0, leave.set).start()
        with held_state_folder(prefix.parent):
            assert leave.is_set()
    finally:
        leave.set()
        thread.join()
    assert holder is not None
    assert (holder.what, holder.is_daemon) == ("inglenook cache purge", False)
