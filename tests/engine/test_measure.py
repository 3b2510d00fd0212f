"""Settings are measured by a child, and nothing it does ends the measuring."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from inglenook.common.errors import StartupError
from inglenook.engine import measure
from inglenook.engine.environment import engine_environment
from inglenook.engine.measure import WORKER, Gauge
from inglenook.engine.trial import Speed, Trial, TrialSetting, Unusable, Workload
from tests.engine.worker.toy import write_toy_model
from tests.parts.gguf_files import small_model

TRIAL = Trial(TrialSetting(1), Workload(64, 1, 4))

#: A child that loads well, and then does what its argument says whenever it is asked for something.
CHILD = """
import os, signal, sys, time
print('{"type":"TrialLoading","fraction":0.5}', flush=True)
print('{"type":"Loaded","cores":4}', flush=True)
for line in sys.stdin:
    exec(sys.argv[1])
"""

SPEED = (
    """print('{"type":"Speed","read_tok_s":3,"write_tok_s":2,"write_many_tok_s":1}', flush=True)"""
)


def child(what: str) -> tuple[str, ...]:
    return (sys.executable, "-c", CHILD, what)


@pytest.fixture(autouse=True)
def one_core() -> Iterator[None]:
    """Threads that wait for busy cores take for ever."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    yield
    os.sched_setaffinity(0, before)


@pytest.fixture
def toy_path(tmp_path: Path) -> Path:
    path = tmp_path / "toy.gguf"
    write_toy_model(path)
    return path


def test_the_real_child_measures_and_goes(toy_path: Path) -> None:
    """One child for all trials: reading a large model takes long."""
    heard: list[float] = []
    with Gauge(toy_path, heard.append) as gauge:
        assert gauge.load() == 1
        first = gauge.measure(TRIAL)
        loaded = len(heard)
        second = gauge.measure(Trial(TrialSetting(1, kv_type="q8_0"), Workload(64, 1, 4)))

    assert isinstance(first, Speed)
    assert isinstance(second, Speed)
    assert heard[-1] == 1.0
    assert len(heard) == loaded


def test_the_child_reads_a_model_that_cannot_be_mapped(toy_path: Path) -> None:
    """It measures what the daemon would run; that its words say so is all it is told by."""
    with Gauge(toy_path, use_mmap=False) as gauge:
        gauge.load()
        (child,) = (child for child in psutil.Process().children() if WORKER[-1] in child.cmdline())
        mapped = {entry.path for entry in child.memory_maps()}

    assert str(toy_path) not in mapped


def test_the_child_places_its_threads_as_an_engine_does(toy_path: Path) -> None:
    """Else it would find what is best for threads that the kernel moves about."""
    with Gauge(toy_path) as gauge:
        gauge.load()
        (child,) = (child for child in psutil.Process().children() if WORKER[-1] in child.cmdline())
        environment = child.environ()

    assert environment.items() >= engine_environment().items()


@pytest.mark.parametrize("data", [None, b"<html>", b""])
def test_a_model_that_cannot_be_read_is_a_sentence(tmp_path: Path, data: bytes | None) -> None:
    """With the library's own reason."""
    path = tmp_path / "some.gguf"
    if data is not None:
        path.write_bytes(data)

    with (
        Gauge(path) as gauge,
        pytest.raises(StartupError, match=r"the model cannot be measured: llama\.cpp could not"),
    ):
        gauge.load()


def test_a_setting_the_library_refuses_does_not_end_the_child(tmp_path: Path) -> None:
    """Heads of 16 cannot be cut into the blocks of 32 that q8_0 is made of."""
    path = tmp_path / "small.gguf"
    path.write_bytes(small_model())
    with Gauge(path) as gauge:
        refused = gauge.measure(Trial(TrialSetting(1, kv_type="q8_0"), Workload(64, 1, 4)))
        assert isinstance(gauge.measure(TRIAL), Speed)

    assert isinstance(refused, Unusable)
    assert refused.why.startswith("llama.cpp could not make a context")


@pytest.mark.parametrize(
    ("what", "why"),
    [
        ("os.abort()", "the library died of Aborted"),
        (
            "print('GGML_ASSERT(x) failed', file=sys.stderr, flush=True); os.abort()",
            "the library died of Aborted (GGML_ASSERT(x) failed)",
        ),
        (
            "os.kill(os.getpid(), signal.SIGKILL)",
            "the library was killed (by the kernel, if memory was short)",
        ),
        ("sys.exit(3)", "the library gave up"),
        ("print('hm', flush=True)", "its answer was nonsense"),
        ("print('{}', flush=True)", "its answer was nonsense"),
        ("print('[' * 60000, flush=True)", "its answer was nonsense"),
        ("os.write(1, bytes([255, 10]))", "its answer was nonsense"),
        (
            """print('{"type":"TrialLoading","fraction":0.5}', flush=True)""",
            "it spoke out of turn",
        ),
        (f"print(9 * 'x' * 10**6, file=sys.stderr, flush=True); {SPEED}", None),
    ],
    ids=[
        "aborts",
        "asserts",
        "is killed",
        "exits",
        "no JSON",
        "no answer",
        "endless",
        "no text",
        "another answer",
        "chatters",
    ],
)
def test_whatever_a_child_does_is_told_and_there_is_one_again(what: str, why: str | None) -> None:
    """Why it went wrong is known, and there is a child again for the next, or still."""
    with Gauge(Path("model"), argv=child(what)) as gauge:
        answer = gauge.measure(TRIAL)
        assert answer == (Speed(3, 2, 1) if why is None else Unusable(why))
        assert gauge.load() == 4


def test_another_child_measures_after_one_has_died(tmp_path: Path) -> None:
    """The first leaves a mark, so that the second knows better."""
    mark = tmp_path / "mark"
    what = (
        f"import pathlib; mark = pathlib.Path({str(mark)!r})\n"
        f"    if not mark.exists(): mark.touch(); os.abort()\n    {SPEED}"
    )
    script = CHILD.replace("exec(sys.argv[1])", what)
    heard: list[float] = []
    with Gauge(Path("model"), heard.append, (sys.executable, "-c", script)) as gauge:
        assert gauge.measure(TRIAL) == Unusable("the library died of Aborted")
        assert gauge.measure(TRIAL) == Speed(3, 2, 1)

    assert heard == [0.5, 0.5]


def test_a_trial_without_an_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A board that swaps; the child is killed."""
    monkeypatch.setattr(measure, "TRIAL_S", 0.1)
    with Gauge(Path("model"), argv=child("time.sleep(60)")) as gauge:
        assert gauge.measure(TRIAL) == Unusable("it took longer than 0.1 s")


def test_a_child_that_dies_between_trials_is_noticed(tmp_path: Path) -> None:
    """The order then goes nowhere."""
    script = CHILD.replace("for line in sys.stdin:", "sys.exit(0)\nif True:")
    with Gauge(Path("model"), argv=(sys.executable, "-c", script, "")) as gauge:
        gauge.load()
        answer = gauge.measure(TRIAL)

    assert answer == Unusable("the library gave up")


def test_a_program_that_cannot_be_started_is_a_sentence() -> None:
    """And nothing stays open."""
    with (
        Gauge(Path("model"), argv=("/nowhere",)) as gauge,
        pytest.raises(StartupError, match="nothing can be measured: No such file"),
    ):
        gauge.load()


def test_whoever_is_interrupted_leaves_no_child() -> None:
    """Ctrl-C while the model is read; the leak check of all tests sees what is left."""

    def interrupt(_fraction: float) -> None:
        raise KeyboardInterrupt

    with Gauge(Path("model"), interrupt, child(SPEED)) as gauge, pytest.raises(KeyboardInterrupt):
        gauge.load()
