"""Fixtures every test shares: leak checks, an alarm for blocking calls, and the real program."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import shutil
import subprocess
import tempfile
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import psutil
import pytest
from blockbuster import blockbuster_ctx
from hypothesis import settings

from inglenook.common.errors import StartupError
from tests.parts.box import Box, running_box
from tests.parts.families import FAMILIES
from tests.parts.random_model import write_random_model
from tests.parts.starter import starter_model_path
from tests.parts.vocabularies import vocabulary_folder

# A busy machine makes any single example slow; pytest's own timeout is the deadline.
# The same examples each time: what one finds by luck is not lost on whoever changed something else.
settings.register_profile("patient", deadline=None, derandomize=True)
settings.load_profile("patient")

#: What a test leaves behind may take so long to go, on a machine that is busy with other things.
_GOING_S = 20.0

#: The daemon that all tests share, once there is one.
_shared: list[Box] = []


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Give each worker a short folder of its own: the path of a box's socket has 107 bytes."""
    if hasattr(config, "workerinput"):
        folder = tempfile.mkdtemp(prefix="gw")
        config.option.basetemp = folder
        config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> None:
    """Fetch models, if any is needed, before any test's time runs: that may take minutes."""
    names = {name for item in session.items for name in getattr(item, "fixturenames", ())}
    if names & {"starter_model", "starter_path"} and not session.config.option.collectonly:
        # The tests that need it will say why there is none.
        with contextlib.suppress(StartupError):
            starter_model_path()
    if names & {"vocabularies", "random_model"} and not session.config.option.collectonly:
        with contextlib.suppress(subprocess.SubprocessError):
            vocabulary_folder()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first: begun last, they would run alone while other workers have nothing to do."""
    weights: dict[Path, float] = {}
    for item in items:
        limit = item.get_closest_marker("timeout")
        weight = float(limit.args[0]) if limit else 0.0
        weights[item.path] = max(weights.get(item.path, 0.0), weight)
        weights[item.path] += item.get_closest_marker("slow") is not None
    items.sort(key=lambda item: -weights[item.path])


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    """After every test: no thread and no child process that was not there before."""
    threads_before = set(threading.enumerate())
    children_before = _children()
    yield
    for thread in set(threading.enumerate()) - threads_before:
        # The loop's default executor keeps idle workers until the loop closes, which is after us.
        if not thread.name.startswith("asyncio_"):
            thread.join(_GOING_S)
            assert not thread.is_alive(), f"thread left behind: {thread.name}"
    new = _children() - children_before
    left = [child for child in psutil.Process().children() if child.pid in new] if new else []
    _gone, alive = psutil.wait_procs(left, timeout=_GOING_S)
    for child in alive:
        child.kill()
    assert not alive, f"children left behind: {alive}"


def _children() -> set[int]:
    """Process ids of our children; psutil reads about every process there is, which adds up."""
    try:
        lists = [(task / "children").read_text() for task in Path("/proc/self/task").iterdir()]
    except (FileNotFoundError, ProcessLookupError):
        # A kernel without CONFIG_PROC_CHILDREN, or a thread that has just ended.
        return {child.pid for child in psutil.Process().children()}
    return {int(pid) for pids in lists for pid in pids.split()}


@pytest.fixture(autouse=True)
def nobody_ended_the_box() -> Iterator[None]:
    """After every test: the daemon that all share still runs, or who ended it is named."""
    yield
    shared = [box for box in _shared if box.runs]
    _shared.clear()
    for box in shared:
        box.check_alive()
        _shared.append(box)


@pytest.fixture(autouse=True)
async def no_task_left_behind() -> AsyncIterator[None]:
    """After every test: no task that was not there before, and no blocking call on the loop."""
    tasks_before = asyncio.all_tasks()
    with blockbuster_ctx("inglenook"):
        yield
    left = {task for task in asyncio.all_tasks() - tasks_before if not task.done()}
    left.discard(asyncio.current_task())
    assert not left, f"tasks left behind: {left}"


@pytest.fixture(scope="session")
def starter_model() -> Path:
    """The starter model's file."""
    return starter_model_path()


@pytest.fixture(scope="session")
def random_model(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Writes the model of a family (`tests.parts.families`) when it is first asked for."""
    folder = tmp_path_factory.mktemp("random")

    @functools.cache
    def write(family: str) -> Path:
        return write_random_model(folder / f"{family}.gguf", FAMILIES[family])

    return write


@pytest.fixture(scope="session")
def box(starter_model: Path) -> Iterator[Box]:
    """One real daemon for all tests; a test may use it, but not stop or break it."""
    with running_box(starter_model) as box:
        _shared.append(box)
        yield box


@pytest.fixture(scope="session")
def token(box: Box) -> str:
    """The token of a device of `box`, for tests to which it does not matter who asks."""
    return box.add_device("Anybody")


@pytest.fixture
def fresh_box(starter_model: Path) -> Iterator[Box]:
    """A real daemon that a test has for itself, to kill and to restart."""
    with running_box(starter_model) as box:
        yield box


@pytest.fixture(scope="session")
def daemon(box: Box) -> Box:
    """`box`, as the page's tests call it."""
    return box
