from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import Any

import pytest

from inglenook.chat.request import ChatRequest, parse_chat_request
from inglenook.chat.thinking import Channel
from inglenook.common.errors import Code, Problem
from inglenook.engine.interface import EnginePhase, PrefillSink, Sink
from inglenook.engine.orders import Prefill, StartJob, Thinking
from inglenook.serving import response_lifecycle as lifecycle_module
from inglenook.serving.admission import WAITING_PER_DEVICE_MAX
from inglenook.serving.date_store import DateStore
from inglenook.serving.dispatcher import Dispatcher
from inglenook.serving.journal import access as access_module
from inglenook.serving.journal.journal import Journal
from inglenook.serving.journal.moments import Moment
from inglenook.serving.journal.recorder import Recorder
from inglenook.serving.limits import ServingLimits
from inglenook.serving.response import Response
from inglenook.serving.response_parts import Outcome, Status, WaitReason
from inglenook.serving.scheduler import SchedulerLoad
from inglenook.serving.settings import ServingSettings
from tests.fakes.engine import LETTERS, FakeEngine
from tests.serving.journal.test_journal import files, opened, raw
from tests.serving.journal.test_recorder import full_disk

ALPHABET = "abcdefghijklmnopqrstuvwxyz"

HELLO = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello."}]

#: Everything here takes milliseconds; this is for a machine that is busy elsewhere.
SOON_S = 30.0


@asynccontextmanager
async def open_desk(
    engine: FakeEngine,
    folder: Path | None = None,
    settings: ServingSettings | None = None,
    max_active: int = 4,
    journal: Journal | None = None,
    heard: list[tuple[Status, int]] | None = None,
    dating: DateStore | None = None,
) -> AsyncIterator[Dispatcher]:
    """A desk at work, with a journal if there is one or a folder for it; stopped at the end.

    What it tells of ends, status and tokens, goes into ``heard``.
    """

    def over(status: Status, outcome: Outcome) -> None:
        if heard is not None:
            heard.append((status, outcome.completion_tokens))

    if folder is not None:
        journal = Journal(folder / "journal.db")
    desk = Dispatcher(
        settings or ServingSettings(),
        Recorder(journal),
        on_change=lambda: None,
        on_over=over,
        dating=dating,
    )
    desk.engines.add(engine, max_active=max_active)
    engine.on_change = desk.engine_changed
    await desk.restore(lambda _device_id: True)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(desk.run(), name="desk")
        # A daemon's engine begins after its desk, and tells when it is ready.
        desk.engine_changed(engine.state)
        try:
            yield desk
        finally:
            desk.stop()


async def until(response: Response, condition: Callable[[], object]) -> None:
    """Read along until ``condition`` holds."""
    news = asyncio.Event()
    response.subscribe(news.set)
    try:
        async with asyncio.timeout(SOON_S):
            while not condition():
                await news.wait()
                news.clear()
    finally:
        response.unsubscribe(news.set, asyncio.get_running_loop().time())


async def eventually(condition: Callable[[], object]) -> None:
    """Wait for what nobody tells."""
    async with asyncio.timeout(SOON_S):
        while not condition():  # noqa: ASYNC110 a file or an engine tells nobody
            await asyncio.sleep(0.005)


async def until_over(*responses: Response) -> None:
    """Wait until readers know the end of each."""
    for response in responses:
        await until(response, partial(_is_over, response))


def _is_over(response: Response) -> bool:
    return response.status.over


async def until_shown(response: Response, text: str) -> None:
    """Wait until readers know so much text."""
    await until(response, lambda: response.text(Channel.ANSWER).startswith(text))


@pytest.fixture
async def idle_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time passes only while the loop has nothing to do: no machine is too slow, or too fast."""
    loop = asyncio.get_running_loop()
    selector = loop._selector  # type: ignore[attr-defined]
    look, now_s = selector.select, 0.0

    def select(timeout_s: float | None) -> Any:
        nonlocal now_s
        if timeout_s is None:
            return look(None)
        events = look(0)
        if not events:
            now_s += timeout_s
        return events

    monkeypatch.setattr(loop, "time", lambda: now_s)
    monkeypatch.setattr(selector, "select", select)


def ask(question: str = "Why?", **fields: Any) -> ChatRequest:
    """A request of one message."""
    return parse_chat_request({"messages": [{"role": "user", "content": question}], **fields})


def answer(response: Response) -> str:
    """What it answered."""
    return response.text(Channel.ANSWER)


def code(response: Response) -> Code | None:
    """Why it failed."""
    assert response.outcome is not None
    return response.outcome.problem.code if response.outcome.problem else None


def killed(folder: Path, name: str = "killed") -> Path:
    """The journal as kill -9 leaves it at this moment."""
    copy = folder / name
    copy.mkdir()
    for path in files(folder):
        shutil.copyfile(path, copy / path.name)
    return copy


async def test_a_question_becomes_an_answer() -> None:
    """In, through the engine, out."""
    engine = FakeEngine()
    async with open_desk(engine) as desk:
        response = desk.submit("ada", ask())
        engine.step(27)
        await until_over(response)
    assert answer(response) == ALPHABET
    assert response.status is Status.COMPLETED


@pytest.mark.parametrize("shared", [True, False])
async def test_each_device_has_cached_tokens_of_its_own_if_they_are_not_shared(
    shared: bool,
) -> None:
    """Its requests and what is prefilled ahead for it; the engine tells them apart by namespace."""
    engine = FakeEngine()
    async with open_desk(engine, settings=ServingSettings(shared_cache=shared)) as desk:
        for device in ("ada", "ben", "ada"):
            desk.submit(device, ask(max_tokens=1))
        desk.prepare("cy", ask(), lambda *_: None)
        ada, ben, again = (order.namespace for order in engine.orders[:3])
        typed = engine.prepares[0].namespace

    assert ada == again
    assert len({ada, ben, typed}) == (1 if shared else 3)


async def test_whoever_counts_hears_of_every_end_once() -> None:
    """How it ended and what it took, also of an answer that never began."""
    engine = FakeEngine()
    heard: list[tuple[Status, int]] = []
    async with open_desk(engine, max_active=1, heard=heard) as desk:
        first, second = (desk.submit("ada", ask()) for _ in range(2))
        desk.cancel(second)
        engine.step(27)
        await until_over(first, second)
    assert heard == [(Status.CANCELLED, 0), (Status.COMPLETED, len(ALPHABET))]


async def test_a_response_is_known_to_its_owner_only() -> None:
    """By id and by key."""
    async with open_desk(FakeEngine()) as desk:
        response = desk.submit("ada", ask(), "key")

        assert desk.find("ada", response.response_id) is response
        assert desk.find("ben", response.response_id) is None
        assert desk.submit("ben", ask(), "key") is not response


async def test_the_same_key_gets_the_same_response_even_after_its_end() -> None:
    """And the engine hears of it once."""
    engine = FakeEngine()
    async with open_desk(engine) as desk:
        response = desk.submit("ada", ask(), "key")
        assert desk.submit("ada", ask("Something else?"), "key") is response
        engine.step(27)
        await until_over(response)
        assert desk.submit("ada", ask(), "key") is response
    assert len(engine.orders) == 1


async def test_another_model_is_refused_but_not_for_its_case_or_its_latest() -> None:
    """Ollama's clients write ``:latest``."""
    async with open_desk(FakeEngine(model="Tiny")) as desk:
        desk.submit("ada", ask(model="tiny:latest"))
        with pytest.raises(Problem) as problem:
            desk.submit("ada", ask(model="huge"))
    assert problem.value.code is Code.MODEL_MISSING


async def test_at_most_so_many_run_and_the_rest_know_where_they_stand() -> None:
    """Place, time and reason; each moves up when one ends."""
    engine = FakeEngine()
    async with open_desk(engine, max_active=2) as desk:
        responses = [desk.submit(name, ask(max_tokens=1)) for name in ("ada", "ben", "cy", "di")]
        assert desk.load == SchedulerLoad(2, 2, 2)
        [first, second] = [response.place for response in responses[2:]]
        assert first is not None
        assert second is not None
        assert (first.position, second.position) == (1, 2)
        assert 0 < first.eta_s < second.eta_s
        assert first.reason is WaitReason.BUSY
        engine.step()
        assert desk.load == SchedulerLoad(2, 0, 2)
        engine.step()
        await until_over(*responses)
    assert [answer(response) for response in responses] == ["a"] * 4


@pytest.mark.usefixtures("idle_clock")
async def test_how_long_it_takes_is_learned_from_how_long_it_took() -> None:
    """The first guess is a guess; with every answer it gets better."""
    engine = FakeEngine()
    async with open_desk(engine, max_active=1) as desk:
        answered = []
        for _ in range(30):
            answered.append(desk.submit("ada", ask(max_tokens=1)))
            engine.step()
        desk.submit("ada", ask())
        waiting = desk.submit("ben", ask())
        assert waiting.place is not None
        assert waiting.place.eta_s < 1.0
        await until_over(*answered)


async def test_a_full_queue_says_when_to_come_back() -> None:
    """A bound for all."""
    async with open_desk(FakeEngine(), settings=ServingSettings(queue=2), max_active=1) as desk:
        for name in ("ada", "ben", "cy"):
            desk.submit(name, ask())
        with pytest.raises(Problem) as problem:
            desk.submit("di", ask())
    assert problem.value.code is Code.BUSY
    assert problem.value.retry_after_s is not None
    assert problem.value.retry_after_s > 0


async def test_one_device_cannot_fill_the_queue() -> None:
    """A bound for each."""
    async with open_desk(FakeEngine(), max_active=1) as desk:
        for _ in range(1 + WAITING_PER_DEVICE_MAX):
            desk.submit("ada", ask())
        with pytest.raises(Problem) as problem:
            desk.submit("ada", ask())
        desk.submit("ben", ask())
    assert problem.value.code is Code.BUSY


async def test_a_newcomer_gets_a_place_of_the_device_that_has_them_all() -> None:
    """One device may use the whole box, until somebody else comes."""
    engine = FakeEngine()
    async with open_desk(engine, max_active=3) as desk:
        long = [desk.submit("ada", ask()) for _ in range(5)]
        engine.step(5)
        assert desk.load == SchedulerLoad(3, 2, 3)
        newcomer = desk.submit("ben", ask(max_tokens=2))
        engine.step(4)
        await until_over(newcomer)
        assert not any(response.status.over for response in long)
        engine.step(100)
        await until_over(*long)
    assert [answer(response) for response in long] == [ALPHABET] * 5
    order = [start.messages[0].content for start in engine.orders]
    assert len(order) == 7


async def test_nobody_makes_way_for_more_than_a_first_answer() -> None:
    """Two devices with one place each: a third request waits, and nothing is thrown over."""
    engine = FakeEngine()
    async with open_desk(engine, max_active=2) as desk:
        responses = [desk.submit(name, ask()) for name in ("ada", "ben", "ada", "cy")]
        engine.step(3)
        assert len(engine.orders) == 2
        engine.step(100)
        await until_over(*responses)
    assert len(engine.orders) == 4


async def test_who_had_made_way_is_charged_for_what_it_got_and_no_more() -> None:
    """Standing aside costs no turn."""
    engine = FakeEngine()
    async with open_desk(engine, max_active=2) as desk:
        first, second = (desk.submit("ada", ask(max_tokens=5)) for _ in range(2))
        newcomer = desk.submit("ben", ask(max_tokens=5))
        engine.step(30)
        # Now, as the desk forgets devices that are idle.
        assert desk.engines.clock.times["ada"] == pytest.approx(2 * (10 + 5))
        await until_over(first, second, newcomer)
    assert answer(second) == "abcde"


async def test_cancelling_a_waiting_answer_ends_it_at_once() -> None:
    """No engine needs to hear of it."""
    async with open_desk(FakeEngine(), max_active=1) as desk:
        desk.submit("ada", ask())
        waiting = desk.submit("ada", ask())
        desk.cancel(waiting)
        await until_over(waiting)

        assert waiting.status is Status.CANCELLED
        assert desk.load == SchedulerLoad(1, 0, 1)
        desk.cancel(waiting)


async def test_cancelling_a_running_answer_ends_it_within_a_step() -> None:
    """With the text it had."""
    engine = FakeEngine()
    async with open_desk(engine) as desk:
        response = desk.submit("ada", ask())
        engine.step(3)
        desk.cancel(response)
        engine.step()
        await until_over(response)
    assert (response.status, answer(response)) == (Status.CANCELLED, "abc")


@pytest.mark.parametrize("when", ["just before it dies", "while it restarts"])
async def test_cancelling_an_answer_whose_engine_dies_ends_it(when: str) -> None:
    """The next engine never hears of it."""
    engine = FakeEngine()
    async with open_desk(engine) as desk:
        response = desk.submit("ada", ask())
        engine.step(3)
        if when == "just before it dies":
            desk.cancel(response)
        engine.die()
        if when == "while it restarts":
            desk.cancel(response)
        await until_over(response)
        engine.come_back()
        assert not engine.running
    assert response.status is Status.CANCELLED


async def test_an_answer_goes_on_with_the_next_engine_from_its_own_tokens() -> None:
    """To a reader it is a pause."""
    engine = FakeEngine()
    async with open_desk(engine) as desk:
        response = desk.submit("ada", ask())
        engine.step(5)
        await until_shown(response, "abcde")
        engine.die(killed=True)
        assert desk.load == SchedulerLoad(0, 1, 4)
        engine.come_back()
        engine.step(22)
        await until_over(response)
    assert answer(response) == ALPHABET
    assert [start.produced for start in engine.orders] == [(), (0, 1, 2, 3, 4)]
    assert response.outcome is not None
    assert response.outcome.completion_tokens == 26


async def test_after_a_death_answers_return_one_by_one_and_newcomers_after_them() -> None:
    """Each has to get a token before the next goes, so that a second death has one cause."""
    engine = FakeEngine()
    async with open_desk(engine) as desk:
        responses = [desk.submit(name, ask()) for name in ("ada", "ben", "cy")]
        engine.step()
        engine.die()
        newcomer = desk.submit("di", ask())
        engine.come_back()
        counts = []
        for _ in range(4):
            counts.append(len(engine.running))
            engine.step()
        assert counts == [1, 2, 3, 4]
        engine.step(30)
        await until_over(*responses, newcomer)
    assert {answer(response) for response in (*responses, newcomer)} == {ALPHABET}


async def test_while_the_model_is_unloaded_answers_wait_and_then_all_go_on_at_once() -> None:
    """None is under suspicion, so none is waited for. Who waits hears the limit's reason."""
    engine = FakeEngine()
    async with open_desk(engine) as desk:
        responses = [desk.submit(name, ask()) for name in ("ada", "ben", "cy")]
        engine.step(5)
        desk.limit(ServingLimits(0, WaitReason.MEMORY))
        engine.unload()
        newcomer = desk.submit("di", ask())
        assert desk.load == SchedulerLoad(0, 4, 0)
        assert newcomer.place is not None
        assert newcomer.place.reason is WaitReason.MEMORY
        desk.limit(ServingLimits(4))
        assert not engine.running
        engine.come_back()
        assert len(engine.running) == 4
        engine.step(27)
        await until_over(*responses, newcomer)
    assert {answer(response) for response in (*responses, newcomer)} == {ALPHABET}


async def test_an_answer_that_kills_every_engine_fails_and_the_others_go_on() -> None:
    """At its second death in a row without a new token."""
    engine = FakeEngine(scripts={"poison": [*LETTERS[:3], None]})
    async with open_desk(engine) as desk:
        others = [desk.submit(name, ask()) for name in ("ada", "ben", "cy")]
        poison = desk.submit("di", ask("poison"))
        lives = 1
        for _ in range(40):
            engine.step()
            if engine.state.phase is EnginePhase.RESTARTING:
                lives += 1
                engine.come_back()
        await until_over(*others, poison)
    assert [answer(response) for response in others] == [ALPHABET] * 3
    assert (poison.status, code(poison)) == (Status.FAILED, Code.ENGINE_FAILED)
    assert answer(poison) == "abc"
    assert lives == 3


async def test_a_storm_of_kills_ends() -> None:
    """An engine that never lives to a token: five attempts each, then the answer fails."""
    engine = FakeEngine()
    async with open_desk(engine) as desk:
        responses = [desk.submit(name, ask()) for name in ("ada", "ben", "cy")]
        kills = 0
        while engine.running:
            engine.die(killed=True)
            kills += 1
            engine.come_back()
        await until_over(*responses)
    assert {code(response) for response in responses} == {Code.ENGINE_FAILED}
    # All three are hit by the first kill, then each by its own.
    assert kills == 1 + 3 * 4


async def test_engines_that_live_for_one_token_each_still_get_every_answer_on() -> None:
    """The first to return gets it, and is the last to return next time."""
    engine = FakeEngine()
    async with open_desk(engine) as desk:
        responses = [desk.submit(name, ask(max_tokens=9)) for name in ("ada", "ben", "cy", "di")]
        for _ in range(100):
            # One gets a token, the next has begun: that is when it dies.
            engine.step()
            engine.die(killed=True)
            engine.come_back()
        await until_over(*responses)
    assert {answer(response) for response in responses} == {ALPHABET[:9]}


async def test_questions_asked_while_it_loads_wait_and_say_why() -> None:
    """They begin when the model is there."""
    engine = FakeEngine()
    engine.tell(EnginePhase.LOADING)
    async with open_desk(engine) as desk:
        response = desk.submit("ada", ask())
        assert response.place is not None
        assert response.place.reason is WaitReason.LOADING
        engine.come_back()
        engine.step(27)
        await until_over(response)
    assert answer(response) == ALPHABET


async def test_while_the_engine_needs_long_phones_are_sent_away() -> None:
    """A second's pause is worth waiting, half a minute is not."""
    engine = FakeEngine()
    async with open_desk(engine) as desk:
        engine.die(retry_in_s=0.4)
        desk.submit("ada", ask())
        engine.die(retry_in_s=25.6)
        with pytest.raises(Problem) as problem:
            desk.submit("ada", ask())
    assert problem.value.code is Code.ENGINE_FAILED
    assert problem.value.retry_after_s == 25.6


async def test_while_the_model_is_missing_what_was_begun_waits_and_what_comes_is_refused() -> None:
    """Its drive may come a moment later, or its file be replaced; phones hear why they wait."""
    engine = FakeEngine()
    async with open_desk(engine, max_active=1) as desk:
        running = desk.submit("ada", ask())
        engine.step(3)
        await until_shown(running, "abc")
        engine.die()
        waiting = desk.submit("ben", ask())
        engine.tell(EnginePhase.MISSING, retry_in_s=1.0)
        await until(waiting, lambda: waiting.place is not None)
        assert waiting.place is not None
        assert waiting.place.reason is WaitReason.LOADING
        with pytest.raises(Problem) as problem:
            desk.submit("ada", ask())
        assert (problem.value.code, problem.value.retry_after_s) == (Code.MODEL_MISSING, 1.0)
        engine.come_back()
        engine.step(60)
        await until_over(running, waiting)
    assert (answer(running), answer(waiting)) == (ALPHABET, ALPHABET)
    assert running.status is waiting.status is Status.COMPLETED


@pytest.mark.usefixtures("quick_tidying")
async def test_what_nobody_reads_does_not_wait_for_a_missing_model_for_ever() -> None:
    """It has its grace, like any other."""
    engine = FakeEngine()
    async with open_desk(engine, settings=ServingSettings(unread_grace_s=0.05)) as desk:
        unread, read = desk.submit("ada", ask()), desk.submit("ben", ask())
        read.subscribe(lambda: None)
        engine.step()
        engine.die()
        engine.tell(EnginePhase.MISSING)
        await eventually(lambda: unread.status.over)
        assert (unread.status, read.status.over) == (Status.CANCELLED, False)
        desk.cancel(read)


@pytest.mark.usefixtures("idle_clock")
@pytest.mark.parametrize("phase", [EnginePhase.LOADING, EnginePhase.MISSING, EnginePhase.UNLOADED])
async def test_without_an_engine_nobody_waits_for_another_ones_place(phase: EnginePhase) -> None:
    """So a phone that locks its screen meanwhile has its whole grace, not that of a crowd."""
    engine = FakeEngine()
    async with open_desk(engine, settings=ServingSettings(unread_grace_s=60.0)) as desk:
        engine.tell(EnginePhase.LOADING)
        responses = [desk.submit(name, ask()) for name in ("ada", "ben")]
        engine.tell(phase)
        await asyncio.sleep(55.0)
        assert not any(response.status.over for response in responses)
        await asyncio.sleep(10.0)
        assert all(response.status is Status.CANCELLED for response in responses)


async def test_an_answer_cannot_go_on_with_another_file_of_the_same_name() -> None:
    """Its tokens would mean something else; one without any is simply answered by the new file."""
    engine = FakeEngine()
    engine.state = replace(engine.state, model_id="one")
    async with open_desk(engine, max_active=1) as desk:
        begun, fresh = desk.submit("ada", ask()), desk.submit("ben", ask())
        engine.step(2)
        await until_shown(begun, "ab")
        engine.die()
        engine.state = replace(engine.state, model_id="other")
        engine.come_back()
        engine.step(27)
        await until_over(begun, fresh)
    assert (answer(begun), code(begun)) == ("ab", Code.MODEL_MISSING)
    assert begun.outcome is not None
    assert "was replaced" in str(begun.outcome.problem)
    assert answer(fresh) == ALPHABET


async def test_an_answer_cannot_go_on_with_another_model() -> None:
    """Its tokens would mean something else there."""
    engine = FakeEngine()
    async with open_desk(engine) as desk:
        begun = desk.submit("ada", ask())
        engine.step()
        engine.die()
        engine.come_back(model="other")
        fresh = desk.submit("ada", ask())
        engine.step(27)
        await until_over(begun, fresh)
    assert code(begun) is Code.MODEL_MISSING
    assert (answer(fresh), fresh.model) == (ALPHABET, "other")


async def test_many_answers_that_cannot_go_on_fail_without_ado() -> None:
    """However many: each one's end begins the next, but not inside the one before."""
    engine = FakeEngine()
    settings = ServingSettings(queue=10_000)
    async with open_desk(engine, settings=settings, max_active=1) as desk:
        engine.tell(EnginePhase.LOADING)
        responses = [desk.submit(f"device{number}", ask()) for number in range(200)]
        engine.come_back(model="other")
        await until_over(*responses)
    assert {code(response) for response in responses} == {Code.MODEL_MISSING}


@pytest.mark.usefixtures("idle_clock")
async def test_frames_come_at_once_at_first_and_then_ten_a_second_at_most() -> None:
    """However fast the engine is; nothing is held longer than a tenth of a second."""
    engine = FakeEngine(scripts={"fast": [b"x"] * 1000})
    loop = asyncio.get_running_loop()
    shown_at: list[float] = []
    async with open_desk(engine) as desk:
        response = desk.submit("ada", ask("fast"))
        begun_at = loop.time()

        def note() -> None:
            if response.last_seq > len(shown_at):
                shown_at.append(loop.time() - begun_at)

        response.subscribe(note)
        for _millisecond in range(600):
            engine.step()
            await asyncio.sleep(0.001)
        response.unsubscribe(note, loop.time())
        desk.cancel(response)
        engine.step()
        await until_over(response)
    assert shown_at == pytest.approx([frame / 10 for frame in range(len(shown_at))], abs=1e-6)
    assert 6 <= len(shown_at) <= 7


@pytest.mark.usefixtures("idle_clock")
async def test_the_first_text_of_an_answer_does_not_wait_for_the_next_frame() -> None:
    """However lately somebody else was shown a frame."""
    engine = FakeEngine(scripts={"fast": [b"x"] * 1000})
    loop = asyncio.get_running_loop()
    async with open_desk(engine) as desk:
        for name in ("ada", "ben", "cleo"):
            response = desk.submit(name, ask("fast"))
            asked_at = loop.time()
            while not response.last_seq:
                engine.step()
                await asyncio.sleep(0.001)
            assert loop.time() - asked_at < 0.005
            for _millisecond in range(50):
                engine.step()
                await asyncio.sleep(0.001)


class CopiedJournal(Journal):
    """A journal of which a copy is made after every write."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / "journal.db")
        self.folder = folder
        self.writes = 0

    def write(self, *args: Any) -> None:
        super().write(*args)
        killed(self.folder, f"write{self.writes + 1}")
        self.writes += 1


async def test_a_phone_sees_nothing_that_is_not_on_disk(tmp_path: Path) -> None:
    """Whenever a reader is woken, the journal of a killed daemon would have all it can see."""
    engine = FakeEngine()
    journal = CopiedJournal(tmp_path)
    seen: list[tuple[int, str, int]] = []
    async with open_desk(engine, journal=journal) as desk:
        response = desk.submit("ada", ask(max_tokens=8))
        response.subscribe(
            lambda: seen.append((journal.writes, answer(response), response.last_seq))
        )
        for steps in range(1, 10):
            engine.step()
            await until_shown(response, ALPHABET[: min(steps, 8)])
        await until_over(response)
    assert len(seen) >= 8
    for writes, text, last_seq in seen:
        [saved] = await asyncio.to_thread(read_back, tmp_path / f"write{writes}")
        assert "".join(piece.text for piece in saved.pieces).startswith(text)
        last_saved = saved.ending or ([*saved.pieces] or [None])[-1]
        assert (last_saved.seq if last_saved else 0) >= last_seq


def read_back(folder: Path) -> list[Any]:
    """What a journal holds."""
    with opened(folder) as (_journal, saved):
        return saved


@pytest.mark.slow
async def test_a_restarted_desk_goes_on_where_a_killed_one_was(tmp_path: Path) -> None:
    """Running, waiting and finished answers, at every moment of their lives; keys too."""
    engine = FakeEngine()
    copies = []
    async with open_desk(engine, tmp_path, max_active=2) as desk:
        ids = [
            desk.submit(f"device{number}", ask(max_tokens=6), f"key{number}").response_id
            for number in range(4)
        ]
        desk.cancel(desk.submit("device9", ask(), "key9"))
        first = desk.find("device0", ids[0])
        last = desk.find("device3", ids[3])
        assert first is not None
        assert last is not None
        await until(first, lambda: first.opened)
        for number in range(14):
            engine.step()
            await asyncio.sleep(0.05)
            copies.append(killed(tmp_path, f"killed{number}"))
        await until_over(last)
    for copy in copies:
        await check_second_life(copy, ids)


async def check_second_life(folder: Path, ids: list[str]) -> None:
    """Bring up what a killed desk left and see every answer to its end."""
    engine = FakeEngine()
    async with open_desk(engine, folder, max_active=2) as desk:
        responses = [desk.submit(f"device{n}", ask(), f"key{n}") for n in range(4)]
        assert [response.response_id for response in responses] == ids
        assert desk.submit("device9", ask(), "key9").status is Status.CANCELLED
        before = [(answer(response), response.status) for response in responses]
        engine.step(20)
        await until_over(*responses)
    for response, (text, status) in zip(responses, before, strict=True):
        assert answer(response) == "abcdef"
        assert answer(response).startswith(text)
        assert response.status is Status.INCOMPLETE
        assert not status.over or text == "abcdef"


async def test_a_desk_that_is_stopped_in_the_middle_loses_nothing(tmp_path: Path) -> None:
    """What is unfinished stays on disk, and the last word shown is there."""
    engine = FakeEngine()
    async with open_desk(engine, tmp_path) as desk:
        response = desk.submit("ada", ask(), "key")
        engine.step(5)
        await until_shown(response, "abcde")
        engine.step()
    assert answer(response) == "abcdef"
    assert not response.status.over
    engine = FakeEngine()
    async with open_desk(engine, tmp_path) as desk:
        again = desk.submit("ada", ask(), "key")
        assert (again.response_id, answer(again)) == (response.response_id, "abcdef")
        assert again.next_seq > 2**31
        engine.step(21)
        await until_over(again)
    assert answer(again) == ALPHABET
    assert engine.orders[0].produced == (0, 1, 2, 3, 4, 5)


@pytest.mark.parametrize("disk", ["off", "full"])
async def test_without_a_journal_a_stop_ends_what_is_unfinished(tmp_path: Path, disk: str) -> None:
    """It says that the box is going, rather than leave phones waiting."""
    engine = FakeEngine()
    folder = tmp_path if disk == "full" else None
    with contextlib.ExitStack() as stack:
        async with open_desk(engine, folder, max_active=1) as desk:
            running = desk.submit("ada", ask())
            waiting = desk.submit("ben", ask())
            engine.step()
            await until_shown(running, "a")
            if disk == "full":
                stack.enter_context(full_disk())
                engine.step()
                await until_shown(running, "ab")
    assert code(running) is code(waiting) is Code.SHUTTING_DOWN
    assert running.outcome is not None
    assert running.outcome.problem is not None
    assert running.outcome.problem.retry_after_s is not None


async def test_a_stop_tries_a_journal_that_failed_once_more(tmp_path: Path) -> None:
    """If the disk has room by then, answers go on in the next life."""
    engine = FakeEngine()
    async with open_desk(engine, tmp_path) as desk:
        response = desk.submit("ada", ask(), "key")
        engine.step()
        await until_shown(response, "a")
        with full_disk():
            engine.step(2)
            await until_shown(response, "abc")
            await eventually(lambda: desk.journal_error)
    assert not response.status.over
    engine = FakeEngine()
    async with open_desk(engine, tmp_path) as desk:
        again = desk.submit("ada", ask(), "key")
        assert (again.response_id, answer(again)) == (response.response_id, "abc")
        engine.step(27)
        await until_over(again)
    assert answer(again) == ALPHABET


async def test_a_stopping_desk_takes_nothing_more() -> None:
    """Phones are told to come back."""
    async with open_desk(FakeEngine()) as desk:
        desk.stop()
        with pytest.raises(Problem) as problem:
            desk.submit("ada", ask())
    assert problem.value.code is Code.SHUTTING_DOWN


async def test_another_model_in_the_next_life_fails_what_was_unfinished(tmp_path: Path) -> None:
    """And leaves what was finished alone."""
    engine = FakeEngine()
    async with open_desk(engine, tmp_path) as desk:
        finished = desk.submit("ada", ask(max_tokens=1), "finished")
        unfinished = desk.submit("ada", ask(), "unfinished")
        engine.step(3)
        await until_over(finished)
        await until_shown(unfinished, "abc")
    async with open_desk(FakeEngine(model="other"), tmp_path) as desk:
        finished = desk.submit("ada", ask(), "finished")
        unfinished = desk.submit("ada", ask(), "unfinished")
        await until_over(unfinished)
    assert (answer(finished), code(finished)) == ("a", None)
    assert (answer(unfinished), code(unfinished)) == ("abc", Code.MODEL_MISSING)


async def test_what_is_too_old_for_the_next_life_is_dropped_and_purged(tmp_path: Path) -> None:
    """Finished or not; nobody may resume it, so nobody may read it from the disk either."""
    engine = FakeEngine(scripts={"Why?": [b"secret"] * 9})
    async with open_desk(engine, tmp_path) as desk:
        finished = desk.submit("ada", ask(max_tokens=1), "finished")
        unfinished = desk.submit("ada", ask(), "unfinished")
        engine.step(2)
        await until_over(finished)
        await until_shown(unfinished, "secretsecret")
    assert b"secret" in raw(tmp_path)
    engine = FakeEngine()
    async with open_desk(engine, tmp_path, ServingSettings(resume_ttl_s=0.0)) as desk:
        assert desk.find("ada", finished.response_id) is None
        assert desk.find("ada", unfinished.response_id) is None
    assert not engine.orders
    assert b"secret" not in raw(tmp_path)


async def test_more_come_back_than_the_queue_would_take(tmp_path: Path) -> None:
    """What was once accepted is answered; only newcomers are told to wait."""
    engine = FakeEngine()
    engine.tell(EnginePhase.LOADING)
    async with open_desk(engine, tmp_path) as desk:
        asked = [desk.submit(f"device{n % 4}", ask(max_tokens=2), f"key{n}") for n in range(40)]
        await until(asked[-1], lambda: asked[-1].opened)
    settings = ServingSettings(queue=8)
    engine = FakeEngine()
    engine.tell(EnginePhase.LOADING)
    async with open_desk(engine, tmp_path, settings) as desk:
        responses = [desk.submit(f"device{n % 4}", ask(), f"key{n}") for n in range(40)]
        with pytest.raises(Problem):
            desk.submit("new", ask())
        engine.come_back()
        engine.step(200)
        await until_over(*responses)
    assert {answer(response) for response in responses} == {"ab"}


async def test_a_forgotten_device_leaves_nothing(tmp_path: Path) -> None:
    """Its answers stop, its responses are gone, and its text is in no byte on disk."""
    engine = FakeEngine(scripts={"mine": [b"secret "] * 50})
    async with open_desk(engine, tmp_path, max_active=3) as desk:
        own = [desk.submit("ada", ask("mine", max_tokens=n), f"k{n}") for n in (2, 50, 51)]
        other = desk.submit("ben", ask())
        engine.step(3)
        await until_over(own[0])
        await until_shown(own[1], "secret secret ")
        assert b"secret" in raw(tmp_path)
        desk.forget_device("ada")
        assert all(desk.find("ada", response.response_id) is None for response in own)
        engine.step(30)
        await until_over(*own, other)
        assert own[1].status is own[2].status is Status.CANCELLED
        await eventually(lambda: b"secret" not in raw(tmp_path) and b"mine" not in raw(tmp_path))
    assert answer(other) == ALPHABET


def half_typed(question: str = "Why", **fields: Any) -> ChatRequest:
    """A conversation whose next question is being typed."""
    messages = [*HELLO, {"role": "user", "content": question}]
    return parse_chat_request({"messages": messages, **fields}, asked=False)


async def test_what_is_being_typed_is_read_ahead_as_its_question_will_be() -> None:
    """With the same system message before it, or nothing would be found again."""
    engine = FakeEngine(model="SmolLM2-tiny")
    async with open_desk(engine) as desk:
        preparation = desk.prepare("ada", half_typed("Why?"), lambda: None)
        [job] = engine.reading
        engine.have_read(job, tokens=9)
        response = desk.submit("ada", half_typed("Why?"))
        engine.step(27)
        await until_over(response)
    assert preparation.cached_tokens == 9
    assert engine.prepares[0].messages == engine.orders[0].messages
    assert engine.orders[0].messages[0].role == "system"


async def test_reading_ahead_leaves_nothing_behind(tmp_path: Path) -> None:
    """No response, no answer that runs or waits, and not a word on the disk."""
    engine = FakeEngine()
    async with open_desk(engine, tmp_path) as desk:
        desk.prepare("ada", half_typed("secret"), lambda: None)
        assert desk.load == SchedulerLoad(0, 0, 4)
        marker = desk.submit("ben", ask("marker"))
        await until(marker, lambda: marker.opened)
        assert b"marker" in raw(tmp_path)
        assert b"secret" not in raw(tmp_path)


class OrderlyEngine(FakeEngine):
    """Writes down in which order it was told what."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[str] = []

    def start(self, start: StartJob, sink: Sink) -> None:
        self.told.append("start")
        super().start(start, sink)

    def prepare(self, prepare: Prefill, sink: PrefillSink) -> None:
        self.told.append("prepare")
        super().prepare(prepare, sink)

    def cancel(self, job: int) -> None:
        self.told.append("cancel")
        super().cancel(job)

    def purge(self) -> None:
        self.told.append("purge")
        super().purge()


async def test_a_question_ends_what_its_device_had_read_ahead_first() -> None:
    """What was read is in the cache before the answer looks there."""
    engine = OrderlyEngine()
    async with open_desk(engine) as desk:
        desk.prepare("ada", half_typed(), lambda: None)
        desk.submit("ada", ask())
    assert engine.told == ["prepare", "cancel", "start"]


async def test_what_is_no_longer_wanted_is_read_no_further() -> None:
    """Its phone has gone; what another connection of the device wants is left alone."""
    engine = FakeEngine()
    async with open_desk(engine) as desk:
        older = desk.prepare("ada", half_typed(), lambda: None)
        newer = desk.prepare("ada", half_typed(), lambda: None)
        older.stop()
        engine.step()
        await eventually(lambda: engine.reading)
        assert [order.job for order in engine.prepares] == [older.order.job, newer.order.job]
        newer.stop()
        engine.step()
        assert newer.over
        assert not engine.reading


HOT = Problem(Code.TOO_HOT, "The box is cooling down.", retry_after_s=30.0)


@pytest.mark.parametrize(
    ("why", "code"),
    [
        ("all places are taken", Code.BUSY),
        ("somebody waits", Code.BUSY),
        ("two others type", Code.BUSY),
        ("the engine restarts", Code.BUSY),
        ("the engine keeps failing", Code.ENGINE_FAILED),
        ("there is no model", Code.MODEL_MISSING),
        ("another model is meant", Code.MODEL_MISSING),
        ("it is too hot", Code.TOO_HOT),
        ("it is too hot for any question", Code.TOO_HOT),
        ("an answer is on trial", Code.BUSY),
        ("the box stops", Code.SHUTTING_DOWN),
        ("nothing is in the way", None),
    ],
)
async def test_reading_ahead_is_refused_when_anybody_needs_the_box(
    why: str, code: Code | None
) -> None:
    """At once, and the phone need not care."""
    engine = FakeEngine()
    async with open_desk(engine) as desk:
        request = half_typed()
        match why:
            case "all places are taken":
                for name in ("ben", "cy", "di", "eve"):
                    desk.submit(name, ask())
            case "somebody waits":
                engine.tell(EnginePhase.LOADING)
                for name in ("ben", "cy", "di", "eve", "flo"):
                    desk.submit(name, ask())
            case "two others type":
                for name in ("ben", "cy"):
                    desk.prepare(name, half_typed(), lambda: None)
            case "the engine restarts":
                engine.die()
            case "the engine keeps failing":
                engine.die(retry_in_s=30.0)
            case "there is no model":
                engine.tell(EnginePhase.MISSING)
            case "another model is meant":
                request = half_typed(model="huge")
            case "it is too hot":
                desk.limit(ServingLimits(4, read_ahead=HOT))
            case "it is too hot for any question":
                desk.limit(ServingLimits(4, refuse=HOT))
            case "an answer is on trial":
                desk.submit("ben", ask())
                engine.die()
                engine.come_back()
            case "the box stops":
                desk.stop()
            case _:
                assert code is None
        try:
            desk.prepare("ada", request, lambda: None)
            said = None
        except Problem as problem:
            said = problem.code
    assert said is code


@pytest.mark.parametrize("how", ["answers", "heat", "a restart"])
async def test_reading_ahead_ends_when_the_box_is_needed_after_all(how: str) -> None:
    """Its phone hears how far it came."""
    engine = FakeEngine()
    async with open_desk(engine, max_active=2) as desk:
        heard: list[str] = []
        preparation = desk.prepare("ada", half_typed(), lambda: heard.append("over"))
        if how == "answers":
            for name in ("ben", "cy"):
                desk.submit(name, ask())
        elif how == "heat":
            desk.limit(ServingLimits(2, read_ahead=HOT))
        else:
            engine.die(killed=True)
            engine.come_back()
        engine.step()
        assert preparation.over
        assert heard == ["over"]
        assert not engine.reading


async def test_what_is_typed_while_the_model_loads_is_read_as_soon_as_it_is_there() -> None:
    """Behind the questions that were asked meanwhile, but beside them."""
    engine = OrderlyEngine()
    engine.tell(EnginePhase.LOADING)
    async with open_desk(engine) as desk:
        desk.prepare("ada", half_typed("Wh"), lambda: None)
        desk.prepare("ada", half_typed("Why"), lambda: None)
        desk.submit("ben", ask())
        engine.come_back()
        assert engine.told == ["start", "prepare"]
    assert engine.prepares[0].messages[-1].content == "Why"


#: Before midnight, after it in the same boot, and after a reboot.
EVENING, NIGHT = Moment(1.8e9, 1000.0, "A"), Moment(1.8e9 + 600, 1600.0, "A")
MORNING = Moment(1.8e9 + 9 * 3600, 20.0, "B")


async def test_a_conversation_has_one_date_over_midnight_and_a_restart(tmp_path: Path) -> None:
    """What is asked, what is typed and what goes on after a death; a new one has its own."""
    for moment in (EVENING, NIGHT, MORNING):
        engine = FakeEngine()
        engine.state = replace(engine.state, dated=True)
        dating = DateStore(tmp_path / "prefix" / "dates", partial(itemgetter(0), [moment]))
        async with open_desk(engine, tmp_path, dating=dating) as desk:
            first = desk.submit("ada", ask("Hi"))
            desk.prepare("ben", half_typed("Wh"), lambda: None)
            second = desk.submit("ben", half_typed("Why?"))
            engine.step(3)
            engine.die()
            engine.come_back()
            engine.step(30)
            await until_over(first, second)
        assert {order.moment_s for order in engine.orders if len(order.messages) == 1} == {
            moment.wall_s
        }
        assert {order.moment_s for order in engine.prepares} == {EVENING.wall_s}
        assert {order.moment_s for order in engine.orders if len(order.messages) == 3} == {
            EVENING.wall_s
        }
        assert len(engine.orders) == 4


async def test_when_conversations_began_is_forgotten_with_all_else(tmp_path: Path) -> None:
    """In memory and on the disk, once a device is shut out or the cache is emptied."""
    path = tmp_path / "prefix" / "dates"
    moments = [EVENING]
    engine = FakeEngine()
    engine.state = replace(engine.state, dated=True)
    async with open_desk(engine, dating=DateStore(path, lambda: moments[-1])) as desk:
        desk.submit("ada", half_typed("Why?"))
        moments.append(NIGHT)
        desk.submit("ada", half_typed("Why?"))
        desk.forget_device("cy")
        desk.submit("ada", half_typed("Why?"))
        times = [order.moment_s for order in engine.orders]
        assert times == [EVENING.wall_s, EVENING.wall_s, NIGHT.wall_s]
        desk.purge()
        engine.step(40)
    assert not await asyncio.to_thread(path.exists)
    assert engine.purges == 2


async def test_the_engine_forgets_everything_when_a_device_is_forgotten() -> None:
    """At once, and again when what it still had for that device has ended and was kept."""
    engine = OrderlyEngine()
    async with open_desk(engine) as desk:
        answered = desk.submit("ada", ask())
        desk.prepare("ada", half_typed(), lambda: None)
        other = desk.submit("ben", ask())
        engine.told.clear()
        desk.forget_device("ada")
        assert engine.told == ["cancel", "cancel", "purge"]
        engine.step()
        await until_over(answered)
        assert engine.told[3:] == ["purge", "purge"]
        engine.step(27)
        await until_over(other)
    assert engine.purges == 3


async def test_the_engine_forgets_when_a_device_was_shut_out_while_the_box_was_off(
    tmp_path: Path,
) -> None:
    """What is on the disk of its conversations is more than the journal."""
    async with open_desk(FakeEngine(), tmp_path) as desk:
        response = desk.submit("ada", ask())
        await until(response, lambda: response.opened)
    engine = FakeEngine()
    recorder = Recorder(Journal(tmp_path / "journal.db"))
    desk = Dispatcher(ServingSettings(), recorder, on_change=lambda: None)
    desk.engines.add(engine, max_active=4)
    await desk.restore(lambda _device_id: False)
    desk.stop()
    await desk.run()
    assert engine.purges == 1


async def test_when_less_may_run_the_newest_stand_aside_and_lose_nothing() -> None:
    """To their readers it is a pause, also while nothing may run at all."""
    engine = FakeEngine()
    async with open_desk(engine) as desk:
        responses = [desk.submit(name, ask()) for name in ("ada", "ben", "cy")]
        engine.step(5)
        desk.limit(ServingLimits(1, WaitReason.THERMAL))
        engine.step()
        assert desk.load == SchedulerLoad(1, 2, 1)
        desk.limit(ServingLimits(0, WaitReason.THERMAL))
        engine.step()
        assert desk.load == SchedulerLoad(0, 3, 0)
        assert not engine.running
        assert not any(response.status.over for response in responses)
        desk.limit(ServingLimits(2))
        engine.step()
        assert [start.messages[-1].content for start in engine.orders[3:]] == ["Why?", "Why?"]
        desk.limit(ServingLimits(4))
        engine.step(27)
        await until_over(*responses)
    assert [answer(response) for response in responses] == [ALPHABET] * 3
    assert {response.status for response in responses} == {Status.COMPLETED}


async def test_who_stood_aside_survives_the_end_of_the_daemon(tmp_path: Path) -> None:
    """Like any other that is not finished."""
    engine = FakeEngine()
    async with open_desk(engine, tmp_path) as desk:
        response = desk.submit("ada", ask(), "key")
        engine.step(5)
        await until_shown(response, "abcde")
        desk.limit(ServingLimits(0))
        engine.step()
    engine = FakeEngine()
    async with open_desk(engine, tmp_path) as desk:
        again = desk.submit("ada", ask(), "key")
        engine.step(22)
        await until_over(again)
    assert answer(again) == ALPHABET


async def test_newcomers_to_a_limited_box_hear_why_they_wait() -> None:
    """The reason is the limit's, and there is a time though nothing runs."""
    engine = FakeEngine()
    async with open_desk(engine) as desk:
        desk.limit(ServingLimits(0, WaitReason.MEMORY))
        response = desk.submit("ada", ask())
        assert response.place is not None
        assert response.place.reason is WaitReason.MEMORY
        assert response.place.eta_s > 0
        desk.limit(ServingLimits(4))
        engine.step(27)
        await until_over(response)


async def test_a_box_that_takes_nothing_more_says_so_but_knows_what_it_took() -> None:
    """A question sent again gets its answer; a new one hears when to come back."""
    engine = FakeEngine()
    async with open_desk(engine) as desk:
        response = desk.submit("ada", ask(), "key")
        desk.limit(ServingLimits(4, WaitReason.THERMAL, refuse=HOT))
        assert desk.submit("ada", ask(), "key") is response
        with pytest.raises(Problem) as problem:
            desk.submit("ada", ask())
        engine.step(27)
        await until_over(response)
    assert problem.value is HOT
    assert answer(response) == ALPHABET


@pytest.fixture
def quick_tidying(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look for old and unread answers all the time."""
    monkeypatch.setattr(lifecycle_module, "_TIDY_S", 0.001)


@pytest.mark.usefixtures("quick_tidying")
async def test_an_answer_that_nobody_reads_is_cancelled_after_its_grace(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """And the log says so once, however long the engine takes; one that is read goes on."""
    caplog.set_level("INFO")
    engine, looks = FakeEngine(), 0

    def count() -> None:
        nonlocal looks
        looks += 1

    async with open_desk(engine, settings=ServingSettings(unread_grace_s=0.05)) as desk:
        read, unread = desk.submit("ada", ask()), desk.submit("ada", ask())
        read.subscribe(lambda: None)
        await eventually(lambda: any(job.cancelled for job in engine.running.values()))
        desk.engines.forget_idle = count  # type: ignore[method-assign]
        await eventually(lambda: looks > 5)
        assert len(engine.cancels) == 1
        engine.step(27)
        await until_over(read, unread)
    assert (read.status, unread.status) == (Status.COMPLETED, Status.CANCELLED)
    assert caplog.text.count(f"answer {unread.response_id} is cancelled: nobody reads it") == 1


@pytest.mark.usefixtures("quick_tidying")
async def test_old_responses_go_and_so_does_their_text(tmp_path: Path) -> None:
    """From memory and from disk."""
    engine = FakeEngine(scripts={"Why?": [b"secret"]})
    async with open_desk(engine, tmp_path, ServingSettings(resume_ttl_s=0.05)) as desk:
        response = desk.submit("ada", ask(), "key")
        engine.step(2)
        await until_over(response)
        await eventually(lambda: desk.find("ada", response.response_id) is None)
        await eventually(lambda: b"secret" not in raw(tmp_path))
        assert desk.submit("ada", ask(), "key") is not response


async def test_a_request_that_a_bug_kept_out_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asked again with the same key it is answered, and a journal that failed comes back."""
    monkeypatch.setattr(access_module, "_RETRY_ASKED_S", 0.0)
    engine = FakeEngine()
    async with open_desk(engine, tmp_path) as desk:
        with monkeypatch.context() as patch:
            [handle] = desk.engines
            patch.setattr(handle.prefill, "asked", fault)
            with pytest.raises(RuntimeError):
                desk.submit("ada", ask(), "key")
        with full_disk():
            unkept = desk.submit("ada", ask())
            engine.step(27)
            await until_over(unkept)
            await eventually(lambda: desk.journal_error)
        response = desk.submit("ada", ask(), "key")
        engine.step(27)
        await until_over(response)
        assert answer(response) == ALPHABET
        assert desk.journal_error is None


def fault(*_args: object) -> None:
    """A bug."""
    raise RuntimeError("nobody foresaw this")


@pytest.mark.parametrize(
    ("request_says", "device", "settings", "thinking"),
    [
        ({}, "auto", "auto", Thinking()),
        ({}, "auto", "off", Thinking("off")),
        ({}, "on", "off", Thinking("on")),
        ({}, "512", "off", Thinking("auto", None, 512)),
        ({"thinking": {"type": "disabled"}}, "on", "on", Thinking("off")),
        ({"enable_thinking": True}, "off", "900", Thinking("on", None, 900)),
        ({"reasoning_effort": "low"}, "off", "auto", Thinking("auto", "low")),
    ],
)
async def test_thinking_is_as_the_request_says_else_its_device_else_the_settings(
    request_says: dict[str, Any], device: str, settings: str, thinking: Thinking
) -> None:
    """In what is asked and in what is read ahead for it: the prompts have to be the same."""
    engine = FakeEngine()
    request = ask(**request_says)
    async with open_desk(engine, settings=ServingSettings(thinking=settings)) as desk:
        desk.prepare("ada", request, lambda: None, thinking=device)
        desk.submit("ada", request, thinking=device)
        [prepared], [started] = engine.prepares, engine.orders

        assert prepared.thinking == started.thinking == thinking
