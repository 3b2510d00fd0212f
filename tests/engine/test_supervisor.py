"""Whatever an engine does, its jobs hear how they ended, and the next engine starts."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from msgspec import structs

from inglenook.common.errors import EngineError
from inglenook.engine import child
from inglenook.engine.failures import ModelWontFitNow
from inglenook.engine.interface import EnginePhase, EngineState
from inglenook.engine.messages import PIPE_VERSION
from inglenook.engine.orders import LoadModel
from inglenook.engine.timeouts import Timeouts
from tests.engine.watched import (
    DEADLINE_S,
    LOAD,
    Engine,
    Heard,
    fake,
    open_files,
    over,
    start,
    until,
)


@pytest.fixture
def script(tmp_path: Path) -> Path:
    return tmp_path / "script"


async def test_a_good_engine_loads_and_answers(script: Path) -> None:
    """Each phase is told once it is so, with how far loading has come."""
    engine = Engine(fake(script, []))
    async with engine.running():
        ready = await engine.until(EnginePhase.READY)
        heard = await engine.ask(1, "one two three")

    assert [(state.phase, state.progress) for state in engine.states] == [
        (EnginePhase.LOADING, 0.0),
        (EnginePhase.LOADING, 0.5),
        (EnginePhase.READY, 0.0),
        (EnginePhase.STOPPED, 0.0),
    ]
    assert ready == EngineState(EnginePhase.READY, "model", request_tokens_max=4096, threads=2)
    assert heard.what == ["started", "ended: stop"]
    assert (heard.text, heard.tokens) == ("one two three ", [0, 1, 2])
    assert engine.slept_s == []


async def test_many_jobs_at_once_each_hear_their_own(script: Path) -> None:
    """Refused, cancelled and answered side by side."""
    engine = Engine(fake(script, []))
    async with engine.running():
        await engine.until(EnginePhase.READY)
        sinks = {job: Heard() for job in range(4)}
        for job, text in enumerate(["wait", "refuse", "hello", "wait"]):
            engine.supervisor.start(start(job, text), sinks[job])
        await over(sinks[2])
        engine.supervisor.cancel(0)
        engine.supervisor.cancel(99)
        await over(sinks[0])

    assert sinks[0].what == ["started", "ended: cancelled"]
    assert sinks[1].what == ["refused: as you wish"]
    assert sinks[2].what == ["started", "ended: stop"]
    # Stopping loses what was not finished; that is no fault of the job's.
    assert sinks[3].what == ["started", "lost, killed"]


DEATHS = [
    ("aborts in a job", "the engine died of Aborted", "lost"),
    (
        "killed in a job",
        "the engine was killed (by the kernel, if memory was short)",
        "lost, killed",
    ),
    ("hangs in a step", "the engine was silent for 1 s and was killed", "lost"),
    ("garbage in a job", "the engine's pipe carried nonsense: a frame of ", "lost"),
    ("oversized in a job", "the engine's pipe carried nonsense: a frame of ", "lost"),
    ("no event in a job", "the engine's pipe carried nonsense: a frame that is no event", "lost"),
    ("no text in a job", "the engine's pipe carried nonsense: a frame that is no event", "lost"),
    (
        "ends an unknown job",
        "the engine's pipe carried nonsense: an event for job 2, which it was never given",
        "lost",
    ),
]


@pytest.mark.slow
@pytest.mark.parametrize(("how", "why", "told"), DEATHS, ids=[how for how, *_rest in DEATHS])
async def test_an_engine_that_fails_in_a_job_is_replaced(
    script: Path, how: str, why: str, told: str
) -> None:
    """The job hears it, people read why, the next job works; and nothing is left of the first."""
    # Nobody waits for it to go: with so much patience for that, the next would come too late.
    patient = Timeouts(close_s=2 * DEADLINE_S)
    hasty = replace(patient, step_s=1.0)
    engine = Engine(fake(script, [how]), patience=hasty if how == "hangs in a step" else patient)
    before = open_files()
    async with engine.running():
        await engine.until(EnginePhase.READY)
        first = engine.supervisor.pid
        lost = await engine.ask(1)
        # A busy machine may keep a good engine waiting for a second.
        engine.supervisor._silence.timeouts = patient
        state = await engine.until(EnginePhase.RESTARTING)
        await engine.until(EnginePhase.READY, times=2)
        heard = await engine.ask(2)
        assert first is not None
        assert not psutil.pid_exists(first)

    # What came with the nonsense, in one piece, may go with it.
    assert (lost.what, lost.text) in [(["started", told], "half "), ([told], "")]
    assert state.why.startswith(why)
    assert (state.model, state.retry_in_s) == ("model", 0.2)
    assert engine.slept_s == [0.2]
    assert heard.what == ["started", "ended: stop"]
    assert " ".join(engine.phases) == "loading ready restarting loading ready stopped"
    await until(lambda: open_files() <= before)


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ("silent at hello", "the engine was silent for 0.5 s and was killed"),
        ("hangs in load", "the engine was silent for 0.4 s and was killed"),
        (
            "wrong version",
            f"the engine's pipe carried nonsense: version {PIPE_VERSION + 1}, not {PIPE_VERSION}",
        ),
        ("exits 3", "the engine ended with exit code 3"),
    ],
)
async def test_an_engine_that_never_gets_ready_is_replaced(
    script: Path, how: str, why: str
) -> None:
    """The next one is given the same model."""
    # Even a fake engine takes a while to say hello on a busy machine, so only one tries to.
    patience = Timeouts(hello_s=0.5) if how == "silent at hello" else Timeouts(load_s=0.4)
    engine = Engine(fake(script, [how]), patience=patience)
    async with engine.running():
        state = await engine.until(EnginePhase.RESTARTING)
    assert state.why == why
    assert EnginePhase.READY not in engine.phases[: engine.phases.index(EnginePhase.RESTARTING)]


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ("exits 0", "the engine ended with exit code 0"),
        ("closes its pipe", "the engine closed its pipe without ending, and was killed"),
    ],
)
async def test_an_idle_engine_that_goes_is_replaced_too(
    script: Path, how: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody asks anything of it, and still it is noticed: the next question finds a good one."""
    if how == "closes its pipe":
        # It does not end, however long it is given.
        monkeypatch.setattr(child, "_EXIT_S", 0.05)
    engine = Engine(fake(script, [how]))
    async with engine.running():
        state = await engine.until(EnginePhase.RESTARTING)
        await engine.until(EnginePhase.READY, times=2)
        assert (await engine.ask(1)).what == ["started", "ended: stop"]
    assert state.why == why


async def test_deaths_in_a_row_are_followed_by_longer_and_longer_waits(script: Path) -> None:
    """And each is said to people, with how long it takes."""
    engine = Engine(fake(script, ["exits 3"] * 4))
    async with engine.running():
        await engine.until(EnginePhase.READY)

    assert engine.slept_s == pytest.approx([0.2, 0.4, 0.8, 1.6])
    told = [state.retry_in_s for state in engine.states if state.phase is EnginePhase.RESTARTING]
    assert told == engine.slept_s


async def test_its_last_words_reach_the_log(script: Path, caplog: pytest.LogCaptureFixture) -> None:
    """With how it ended and when it starts again."""
    engine = Engine(fake(script, ["exits 3"]))
    async with engine.running():
        await engine.until(EnginePhase.READY)

    warnings = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert warnings == [
        "the engine ended with exit code 3; it starts again in 0.2 s",
        "its last words: it was too much",
    ]


async def test_a_silence_is_counted_from_the_question_that_broke_the_idleness(
    script: Path,
) -> None:
    """An idle engine may be silent for ever; one that was asked something may not."""
    engine = Engine(fake(script, ["hangs in a step"]), patience=Timeouts(step_s=0.2))
    async with engine.running():
        await engine.until(EnginePhase.READY)
        began = asyncio.get_running_loop().time()
        lost = await engine.ask(1)
        waited_s = asyncio.get_running_loop().time() - began

    assert lost.what[-1] == "lost"
    assert 0.2 <= waited_s < DEADLINE_S / 2


async def test_an_engine_that_reads_no_orders_is_silent(script: Path) -> None:
    """It was well while it idled; it answers nothing."""
    engine = Engine(fake(script, ["reads nothing"]), patience=Timeouts(step_s=0.2))
    async with engine.running():
        await engine.until(EnginePhase.READY)
        lost = Heard()
        for job in range(40):
            sink = lost if job == 0 else Heard()
            engine.supervisor.start(start(job, "x" * 100_000), sink)
        await over(lost)
        state = await engine.until(EnginePhase.RESTARTING)

    assert lost.what == ["lost"]
    assert state.why == "the engine was silent for 0.2 s and was killed"


async def test_an_idle_engine_may_be_silent(script: Path) -> None:
    """No deadline runs while nothing is asked of it; one does as soon as something is."""
    engine = Engine(fake(script, []))

    def deadline() -> float | None:
        silence = engine.supervisor._silence.timer
        return None if silence is None else silence.when()

    async with engine.running():
        await engine.until(EnginePhase.READY)
        for job in (1, 2):
            assert (await engine.ask(job)).what == ["started", "ended: stop"]
            await until(lambda: engine.supervisor._silence.timer is not None and deadline() is None)
        before = asyncio.get_running_loop().time()
        engine.supervisor.start(start(3, "wait"), Heard())
        due = deadline()
        assert due is not None
        assert before + 90.0 <= due <= asyncio.get_running_loop().time() + 90.0


async def test_text_for_a_job_that_has_gone_is_passed_over(script: Path) -> None:
    """A step is computed for several; one of them may just have been given up."""
    engine = Engine(fake(script, ["writes in an unknown job"]))
    async with engine.running():
        await engine.until(EnginePhase.READY)
        assert (await engine.ask(1)).text == "hello "
    assert EnginePhase.RESTARTING not in engine.phases


async def test_an_engine_that_writes_ten_megabytes_to_its_log_answers(script: Path) -> None:
    """It does not block on it, and neither does the daemon."""
    engine = Engine(fake(script, ["writes a lot"]))
    async with engine.running():
        await engine.until(EnginePhase.READY)
        assert (await engine.ask(1)).text == "hello "


async def test_a_job_may_be_given_from_within_a_callback(script: Path) -> None:
    """When an engine gets ready, and when a job ends: that is when the desk gives out the next."""
    engine = Engine(fake(script, []))
    first, second = Heard(), Heard()

    def give(state: EngineState) -> None:
        if state.phase is EnginePhase.READY:
            engine.supervisor.start(start(1), first)

    class GivesAnother(Heard):
        def _over(self, how: str) -> None:
            engine.supervisor.start(start(2), second)
            super()._over(how)

    first = GivesAnother()
    engine.on_change = give
    async with engine.running():
        await over(first)
        await over(second)
    assert second.what == ["started", "ended: stop"]


async def test_an_engine_is_given_no_job_when_it_is_not_ready(script: Path) -> None:
    """Before, and from the moment its death is known: at each state that is told."""
    engine = Engine(fake(script, ["aborts in a job", "load failed"]))
    refused: dict[EnginePhase, list[str]] = {}

    def give(state: EngineState) -> None:
        if state.phase is not EnginePhase.READY:
            with pytest.raises(EngineError) as raised:
                engine.supervisor.start(start(5), Heard())
            refused.setdefault(state.phase, []).append(str(raised.value))

    engine.on_change = give
    async with engine.running():
        await engine.until(EnginePhase.READY)
        await engine.ask(1)
        await engine.until(EnginePhase.READY, times=2)

    assert set(refused) == {
        EnginePhase.LOADING,
        EnginePhase.RESTARTING,
        EnginePhase.MISSING,
        EnginePhase.STOPPED,
    }
    assert {why for whys in refused.values() for why in whys} == {"the engine is not ready"}


@pytest.mark.slow
async def test_a_model_the_engine_cannot_load_is_missing_until_it_can(
    script: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Tried again, less and less often, and logged once: its owner may be copying it right now."""
    engine = Engine(fake(script, ["load failed"] * 7))
    async with engine.running():
        state = await engine.until(EnginePhase.MISSING)
        await engine.until(EnginePhase.READY)

    why = "/models/model.gguf: not enough memory"
    assert state == EngineState(EnginePhase.MISSING, "model", why, retry_in_s=1.0)
    assert engine.slept_s == pytest.approx([1.0, 1.0, 1.0, 1.6, 3.2, 6.4, 12.8])
    errors = [r.getMessage() for r in caplog.records if r.levelno == logging.ERROR]
    assert errors == ["no model: /models/model.gguf: not enough memory"]


async def test_without_a_model_nothing_is_started_until_there_is_one(
    script: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The reason is shown, logged once, and looked at again: every second, later every five."""
    engine = Engine(fake(script, []))
    engine.missing = "model.path: /models/none.gguf does not exist"
    async with engine.running():
        state = await engine.until(EnginePhase.MISSING)
        assert engine.supervisor.pid is None
        await until(lambda: len(engine.slept_s) >= 20)
        engine.missing = None
        await engine.until(EnginePhase.READY)
        first_s = engine.slept_s[:20]
        engine.missing = "gone again"
        assert engine.supervisor.pid is not None
        os.kill(engine.supervisor.pid, signal.SIGKILL)
        await until(lambda: len(engine.slept_s) >= 30)

    why = "model.path: /models/none.gguf does not exist"
    assert state == EngineState(EnginePhase.MISSING, "", why, retry_in_s=1.0)
    assert first_s == [1.0] * 15 + [5.0] * 5
    # A model that was there meanwhile is looked for as often again, after the first new start.
    assert engine.slept_s[-5:] == [1.0] * 5
    errors = [r.getMessage() for r in caplog.records if r.levelno == logging.ERROR]
    assert errors == [
        "no model: model.path: /models/none.gguf does not exist",
        "no model: gone again",
    ]


_EXITS_3 = "the engine ended with exit code 3"
_NO_MEMORY = "/models/model.gguf: not enough memory"


async def test_unloading_ends_the_engine_and_loading_starts_another(
    script: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """In between there is no process; no delay comes before the next, as nothing went wrong."""
    caplog.set_level(logging.INFO)
    engine = Engine(fake(script, []))
    async with engine.running():
        await engine.until(EnginePhase.READY)
        job = Heard()
        engine.supervisor.start(start(1, "wait"), job)
        engine.supervisor.unload()
        engine.supervisor.unload()
        state = await engine.until(EnginePhase.UNLOADED)
        with pytest.raises(EngineError):
            engine.supervisor.start(start(2), Heard())
        await until(lambda: "model model unloaded" in caplog.messages)
        assert engine.supervisor.pid is None
        engine.supervisor.load()
        await engine.until(EnginePhase.READY, times=2)
        assert (await engine.ask(3)).what == ["started", "ended: stop"]

    assert job.what[-1] == "unloaded"
    assert state == EngineState(EnginePhase.UNLOADED, "model")
    assert " ".join(engine.phases) == "loading ready unloaded loading ready stopped"
    assert engine.slept_s == []


async def test_jobs_hear_of_the_unloading_before_the_engine_is_buried(script: Path) -> None:
    """One that does not go by itself is killed in the end; nobody waits for that."""
    engine = Engine(
        fake(script, ["ignores its closed pipe"]), patience=Timeouts(close_s=2 * DEADLINE_S)
    )
    async with engine.running():
        await engine.until(EnginePhase.READY)
        job = Heard()
        engine.supervisor.start(start(1), job)
        engine.supervisor.unload()
        await over(job)

    # What the engine had said may have come through before.
    assert job.what[-1] == "unloaded"


@pytest.mark.parametrize(
    ("how", "when"),
    [
        ("hangs in load", EngineState(EnginePhase.LOADING, "model", progress=0.5)),
        ("exits 3", EngineState(EnginePhase.RESTARTING, "model", _EXITS_3, retry_in_s=0.2)),
        ("load failed", EngineState(EnginePhase.MISSING, "model", _NO_MEMORY, retry_in_s=1.0)),
    ],
)
async def test_an_engine_can_be_unloaded_at_any_time(
    script: Path, how: str, when: EngineState
) -> None:
    """While it loads, and while one is waited for."""
    engine = Engine(fake(script, [how]), patience=Timeouts(close_s=0.2))
    engine.supervisor._sleep = _for_ever
    async with engine.running():
        await until(lambda: when in engine.states)
        engine.supervisor.unload()
        await engine.until(EnginePhase.UNLOADED)
        engine.supervisor.load()
        await engine.until(EnginePhase.READY)


async def test_unloading_and_loading_at_once_loses_no_job(script: Path) -> None:
    """Whoever changes their mind gets a new engine, and the jobs hear of it."""
    engine = Engine(fake(script, []))
    async with engine.running():
        await engine.until(EnginePhase.READY)
        job = Heard()
        engine.supervisor.start(start(1, "wait"), job)
        engine.supervisor.unload()
        engine.supervisor.load()
        await over(job)
        await engine.until(EnginePhase.READY, times=2)

    assert job.what[-1] == "unloaded"


async def test_what_is_called_off_at_once_starts_no_engine(script: Path) -> None:
    """Somebody wanted the model, and before anything came of it nobody did."""
    engine = Engine(fake(script, []))
    engine.supervisor.unload()
    async with engine.running():
        await engine.until(EnginePhase.UNLOADED)
        engine.supervisor.load()
        engine.supervisor.unload()
        # More turns of the loop than it takes to begin loading.
        for _ in range(20):
            await asyncio.sleep(0)
    assert engine.phases == [EnginePhase.UNLOADED, EnginePhase.STOPPED]


async def test_it_may_be_said_again_and_otherwise_while_the_engine_is_being_buried(
    script: Path,
) -> None:
    """Whatever was said last counts."""
    engine = Engine(fake(script, ["ignores its closed pipe"]), patience=Timeouts(close_s=0.2))
    async with engine.running():
        await engine.until(EnginePhase.READY)
        engine.supervisor.unload()
        await engine.until(EnginePhase.UNLOADED)
        engine.supervisor.unload()
        engine.supervisor.load()
        engine.supervisor.unload()
        await until(lambda: engine.supervisor._life is None)
        assert engine.phases[-1] is EnginePhase.UNLOADED
        engine.supervisor.load()
        await engine.until(EnginePhase.READY, times=2)


async def test_an_engine_that_was_unloaded_before_it_ran_waits_to_be_loaded(script: Path) -> None:
    """A box may begin its day asleep."""
    engine = Engine(fake(script, []))
    engine.supervisor.unload()
    async with engine.running():
        await engine.until(EnginePhase.UNLOADED)
        engine.supervisor.load()
        await engine.until(EnginePhase.READY)
    assert engine.phases[0] is EnginePhase.UNLOADED


async def test_a_model_that_has_no_room_yet_waits_for_it(
    script: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is not missing: what waits goes on waiting. Said once, though the numbers change."""
    engine = Engine(fake(script, []))
    looks = 0

    async def prepare() -> tuple[str, LoadModel]:
        nonlocal looks
        looks += 1
        if looks < 4:
            raise ModelWontFitNow(f"{looks} MiB are free")
        return "model", engine.load

    engine.supervisor._prepare = prepare
    async with engine.running():
        await engine.until(EnginePhase.READY)

    waiting = [state for state in engine.states if state.phase is EnginePhase.UNLOADED]
    assert [state.why for state in waiting] == [f"{n} MiB are free" for n in (1, 2, 3)]
    assert set(engine.slept_s) == {5.0}
    warnings = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert warnings == ["the model waits: 1 MiB are free"]


async def test_a_program_that_cannot_be_started_is_tried_again(script: Path) -> None:
    """As when the machine has no process to spare."""
    engine = Engine(fake(script, []))
    worker = engine.supervisor._worker
    engine.supervisor._worker = ("/nowhere/python",)

    def mend(state: EngineState) -> None:
        if state.phase is EnginePhase.RESTARTING:
            engine.supervisor._worker = worker

    engine.on_change = mend
    async with engine.running():
        state = await engine.until(EnginePhase.RESTARTING)
        await engine.until(EnginePhase.READY)
    assert state.why == "the engine could not be started: No such file or directory"


def _loading(state: EngineState) -> bool:
    return state.phase is EnginePhase.LOADING and state.progress == 0


def _half_loaded(state: EngineState) -> bool:
    return state.phase is EnginePhase.LOADING and state.progress == 0.5


def _ready(state: EngineState) -> bool:
    return state.phase is EnginePhase.READY


@pytest.mark.parametrize(
    ("how", "when"),
    [
        ("good", _loading),
        ("good", _ready),
        ("silent at hello", _loading),
        ("hangs in load", _half_loaded),
        ("ignores its closed pipe", _ready),
        ("closes its pipe", _ready),
        ("reads nothing", _ready),
    ],
)
async def test_stopping_takes_no_longer_than_it_may(
    script: Path, how: str, when: Callable[[EngineState], bool]
) -> None:
    """At any point of an engine's life; afterwards there is no process, no file, no job."""
    before = open_files()
    engine = Engine(fake(script, [how]), patience=Timeouts(close_s=0.2))
    reached = asyncio.Event()
    engine.on_change = lambda state: reached.set() if when(state) else None
    heard = Heard()
    async with engine.running():
        async with asyncio.timeout(DEADLINE_S):
            await reached.wait()
        if when is _ready:
            engine.supervisor.start(start(1, "wait"), heard)
        began = asyncio.get_running_loop().time()

    assert asyncio.get_running_loop().time() - began < DEADLINE_S / 2
    assert when is not _ready or heard.what[-1].startswith("lost")
    await until(lambda: open_files() <= before)


async def test_stopping_while_it_waits_to_start_again_is_immediate(script: Path) -> None:
    """There is nothing to bury."""
    engine = Engine(fake(script, ["exits 3"]))
    engine.supervisor._sleep = _for_ever
    async with engine.running():
        await engine.until(EnginePhase.RESTARTING)
    assert engine.phases == [EnginePhase.LOADING, EnginePhase.RESTARTING, EnginePhase.STOPPED]


async def _for_ever(_delay_s: float) -> None:
    await asyncio.Event().wait()


@pytest.mark.parametrize("ready", [True, False])
async def test_what_is_to_be_forgotten_is_told_now_or_to_the_next_engine(
    script: Path, ready: bool
) -> None:
    """A device may be shut out while the model is being loaded; its words are on the disk."""
    engine = Engine(fake(script, ["exits 7 at a purge"]))
    if not ready:
        engine.supervisor.purge()
    async with engine.running():
        if ready:
            await engine.until(EnginePhase.READY)
            engine.supervisor.purge()
        state = await engine.until(EnginePhase.RESTARTING)
    assert state.why == "the engine ended with exit code 7"


#: Far beyond what is told of anything that hangs.
LONG_AFTER_S = 1000.0


def hangs(engine: Engine) -> bool:
    """Whether it will count as hanging if all stays as it is."""
    now = asyncio.get_running_loop().time()
    assert not engine.supervisor.overdue(now)
    return engine.supervisor.overdue(now + LONG_AFTER_S)


async def test_a_look_at_the_model_that_does_not_end_is_overdue(
    script: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its drive hangs: at the first start, and between two engines."""
    engine = Engine(fake(script, ["exits 3"]))
    drive = asyncio.Event()
    looking = asyncio.Event()
    prepare = engine.supervisor._prepare

    async def look() -> tuple[str, LoadModel]:
        looking.set()
        await drive.wait()
        return await prepare()

    monkeypatch.setattr(engine.supervisor, "_prepare", look)
    async with engine.running():
        await looking.wait()
        assert hangs(engine)
        drive.set()
        await engine.until(EnginePhase.RESTARTING)
        drive.clear()
        looking.clear()
        async with asyncio.timeout(DEADLINE_S):
            await looking.wait()
        assert engine.phases == [EnginePhase.LOADING, EnginePhase.RESTARTING]
        assert hangs(engine)
        drive.set()
        await engine.until(EnginePhase.READY)
        assert not hangs(engine)


async def test_an_engine_that_cannot_be_buried_is_overdue(
    script: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was killed, and the kernel waits for its disk."""
    gone, dying = asyncio.Event(), asyncio.Event()
    close = child.Child.close

    async def slowly(self: child.Child, patience_s: float) -> None:
        dying.set()
        await gone.wait()
        await close(self, patience_s)

    monkeypatch.setattr(child.Child, "close", slowly)
    engine = Engine(fake(script, ["exits 3"]))
    async with engine.running():
        async with asyncio.timeout(DEADLINE_S):
            await dying.wait()
        assert hangs(engine)
        gone.set()
        await engine.until(EnginePhase.READY)


async def test_whoever_waits_for_nothing_is_not_overdue(script: Path) -> None:
    """A model that is missing, or away, is looked for in good time, or not needed."""
    engine = Engine(fake(script, []))
    engine.missing = "it is gone"
    async with engine.running():
        await engine.until(EnginePhase.MISSING)
        engine.missing = None
        await engine.until(EnginePhase.READY)
        assert not hangs(engine)
        engine.supervisor.unload()
        await engine.until(EnginePhase.UNLOADED)
        await until(lambda: engine.supervisor.pid is None)
        await until(lambda: not hangs(engine))


@pytest.fixture
def model_file(tmp_path: Path) -> Path:
    path = tmp_path / "model.gguf"
    path.write_bytes(b"GGUF")
    return path


async def test_a_model_at_which_engines_die_is_not_tried_for_ever(
    script: Path, model_file: Path
) -> None:
    """Three in a row before it was ever ready: said once, and tried again when it has changed."""
    engine = Engine(
        fake(script, ["aborts in load"] * 3), structs.replace(LOAD, path=str(model_file))
    )
    async with engine.running():
        state = await engine.until(EnginePhase.MISSING)
        await until(lambda: len(engine.slept_s) >= 6)
        tried = [state.phase for state in engine.states].count(EnginePhase.RESTARTING)
        await asyncio.to_thread(model_file.write_bytes, b"GGUF, a better one")
        await engine.until(EnginePhase.READY)

    assert str(model_file) in state.why
    assert "llama.cpp cannot load it and ends with it" in state.why
    assert tried == 2
    assert engine.slept_s[:6] == pytest.approx([0.2, 0.4, 30.0, 30.0, 30.0, 30.0])


@pytest.mark.slow
@pytest.mark.parametrize(
    "deaths",
    [
        ["killed in load"] * 4,  # memory was short
        ["exits 3"] * 4,  # it never came to the model
        ["aborts in load", "aborts in load", "killed in load", "aborts in load", "aborts in load"],
        ["aborts in load", "good, then aborts", *["aborts in load"] * 4],
    ],
)
async def test_other_deaths_are_of_the_moment(
    script: Path, model_file: Path, deaths: list[str]
) -> None:
    """Of one that was ready before, by others' hands, or of something else: it goes on trying."""
    engine = Engine(fake(script, deaths), structs.replace(LOAD, path=str(model_file)))
    async with engine.running():
        await until(lambda: len(engine.slept_s) >= len(deaths))
        await engine.until(EnginePhase.READY)

    assert EnginePhase.MISSING not in engine.phases
