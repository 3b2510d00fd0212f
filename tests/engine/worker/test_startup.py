"""The engine's side of the pipe: its events after each order, and its exit."""

from __future__ import annotations

import contextlib
import json
import math
import os
import shutil
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

import msgspec
import psutil
import pytest

from inglenook.engine.cores import compute_cores
from inglenook.engine.events import (
    Finish,
    JobEnded,
    JobRefused,
    JobStarted,
    LoadFailed,
    PrefillDone,
    Progress,
    Ready,
    Refusal,
    StepDone,
    WorkerHello,
)
from inglenook.engine.frames import EVENT_BYTES_MAX, ORDER_BYTES_MAX, FrameReader, frame
from inglenook.engine.messages import PIPE_VERSION, Event, Order, decode_event, encode
from inglenook.engine.orders import (
    CancelJob,
    ChatMessage,
    Limits,
    LoadModel,
    Prefill,
    PrefixCache,
    PurgeCache,
    StartJob,
    Thinking,
)
from inglenook.engine.worker.pipe import ParentGone, Pipe
from inglenook.engine.worker.prefix.blocks import BLOCK_TOKENS
from inglenook.engine.worker.prefix.store import Store
from inglenook.engine.worker.startup import _load, serve
from tests.engine.worker.templates import HOPELESS
from tests.engine.worker.toy import ENDLESS_TOKENS, FIRST_BYTE, VOCAB_TOKENS, write_toy_model
from tests.engine.worker.writing import order

DEADLINE_S = 30.0
PLAIN = "{{ messages[0].content }}"

E = TypeVar("E", bound=msgspec.Struct)


class Daemon:
    """The other end of the pipe."""

    def __init__(self, sock: socket.socket, engine: threading.Thread) -> None:
        self.sock = sock
        self.engine = engine
        self._reader = FrameReader(EVENT_BYTES_MAX)
        self._unheard: deque[Event] = deque()

    def send(self, *orders: Order) -> None:
        """Send several orders in one write, as they arrive when the engine is busy."""
        self.sock.sendall(b"".join(frame(encode(order), ORDER_BYTES_MAX) for order in orders))

    def next(self) -> Event:
        """The next event; EOFError when the engine has closed its end."""
        while not self._unheard:
            data = self.sock.recv(65536)
            if not data:
                raise EOFError
            self._unheard.extend(decode_event(payload) for payload in self._reader.feed(data))
        return self._unheard.popleft()

    def hear(self, kind: type[E]) -> E:
        """The next event of a kind; those before it are skipped."""
        while True:
            event = self.next()
            if isinstance(event, kind):
                return event

    def load(self, path: Path, **changes: object) -> Ready:
        """Order a model to be loaded."""
        self.hear(WorkerHello)
        self.send(load_of(path, **changes))
        return self.hear(Ready)

    def begin_endless(self, path: Path, **changes: object) -> None:
        """Start the endless job 1, and wait for its first token."""
        self.load(path, context_tokens=ENDLESS_TOKENS, **changes)
        self.send(asking(1, "endless", None))
        self.hear(StepDone)

    def pause(self) -> None:
        """Pause computing, and receive the outputs of earlier steps."""
        self.send(Limits(duty=0.0))
        while self.hear(StepDone).outputs:
            pass

    def gone(self) -> bool:
        """Whether the engine exits without another event."""
        try:
            event = self.next()
        except EOFError:
            self.engine.join(DEADLINE_S)
            return not self.engine.is_alive()
        pytest.fail(f"it said {event}")


def load_of(path: Path, **changes: object) -> LoadModel:
    load = LoadModel(str(path), PLAIN, 512, "f16", 2, 1, 0.2)
    return msgspec.structs.replace(load, **changes)


def asking(job: int, text: str, max_tokens: int | None = 5) -> StartJob:
    start = order(job, max_tokens)
    return msgspec.structs.replace(start, messages=(ChatMessage("user", text),))


@contextmanager
def engine() -> Iterator[Daemon]:
    """The loop in a thread; it ends with its pipe."""
    ours, theirs = socket.socketpair()
    # A few events fill it, so that the engine never gets far ahead of a test.
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)

    def run() -> None:
        with theirs:
            serve(theirs, os.sched_getaffinity(0))

    thread = threading.Thread(target=run, name="engine")
    thread.start()
    ours.settimeout(DEADLINE_S)
    with ours:
        yield Daemon(ours, thread)
    thread.join(DEADLINE_S)
    assert not thread.is_alive()


@contextmanager
def at_work(load: LoadModel) -> Iterator[tuple[Daemon, Store]]:
    """An engine that has just loaded a model, and its store."""
    ours, theirs = socket.socketpair()
    ours.settimeout(DEADLINE_S)
    work = _load(Pipe(theirs), load, os.sched_getaffinity(0))
    assert work._store is not None

    def run() -> None:
        with theirs:
            with contextlib.suppress(ParentGone):
                work.run()
            work.close(DEADLINE_S)

    thread = threading.Thread(target=run, name="engine")
    thread.start()
    with ours:
        daemon = Daemon(ours, thread)
        daemon.hear(Ready)
        yield daemon, work._store
    thread.join(DEADLINE_S)
    assert not thread.is_alive()


def until(condition: Callable[[], bool]) -> None:
    """Wait for a state that no event reports."""
    ends_at = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < ends_at
        time.sleep(0.001)


def test_it_speaks_first_and_loads_what_it_is_told(toy_path: Path) -> None:
    """Its version; rising progress; and the result."""
    with engine() as daemon:
        assert daemon.next() == WorkerHello(PIPE_VERSION)
        daemon.send(load_of(toy_path))
        fractions = []
        while isinstance(event := daemon.next(), Progress):
            fractions.append(event.fraction)

    assert fractions == sorted(set(fractions))
    assert fractions[-1] == 1.0
    assert isinstance(event, Ready)
    assert (event.context_tokens, event.request_tokens_max, event.threads) == (512, 512, 1)
    assert 0 < event.load_s < DEADLINE_S


@pytest.fixture
def two_cores() -> Iterator[None]:
    """But no more than cores: threads that wait for busy cores take for ever."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(before)[:2])
    yield
    os.sched_setaffinity(0, before)


@pytest.mark.usefixtures("two_cores")
def test_without_a_number_of_threads_it_takes_the_cores_it_finds(toy_path: Path) -> None:
    """One thread per fast core."""
    with engine() as daemon:
        assert daemon.load(toy_path, threads=None).threads == len(compute_cores())


def test_a_job_begins_goes_on_and_ends(toy_path: Path) -> None:
    """Started, steps, ended, in this order; the counts agree."""
    with engine() as daemon:
        daemon.load(toy_path)
        daemon.send(asking(7, "hello"))
        started = daemon.next()
        tokens: list[int] = []
        while isinstance(event := daemon.next(), StepDone):
            tokens += [token for output in event.outputs for token in output.tokens]

    # One token a byte, and the model's own beginning and space.
    assert started == JobStarted(7, 1 + len("\u2581hello".encode()))
    assert isinstance(event, JobEnded)
    assert (event.job, event.finish, event.completion_tokens) == (7, Finish.LENGTH, 5)
    assert len(tokens) == 5


def test_reading_a_long_prompt_is_a_sign_of_life_too(toy_path: Path) -> None:
    """Steps without output are reported too."""
    with engine() as daemon:
        daemon.load(toy_path, context_tokens=1024)
        daemon.send(asking(1, "x" * 700, 1))
        daemon.hear(JobStarted)
        first = daemon.next()

    assert first == StepDone(())


def test_orders_that_come_in_the_middle_are_taken_between_steps(endless_path: Path) -> None:
    """A second job, and the cancellation of the first, while the first is decoded."""
    with engine() as daemon:
        daemon.begin_endless(endless_path)
        daemon.send(asking(2, "short"), CancelJob(99))
        assert daemon.hear(JobStarted).job == 2
        assert daemon.hear(JobEnded).job == 2
        daemon.send(CancelJob(1))
        ended = daemon.hear(JobEnded)

    assert (ended.job, ended.finish) == (1, Finish.CANCELLED)


def test_newcomers_begin_one_a_step(endless_path: Path) -> None:
    """Streams do not stall until all new prompts are tokenized."""
    with engine() as daemon:
        daemon.begin_endless(endless_path, sequences=4)
        daemon.send(*(asking(job, "hello") for job in (2, 3, 4)))
        heard: list[Event] = []
        while sum(isinstance(event, JobStarted) for event in heard) < 3:
            heard.append(daemon.next())

    begun = [at for at, event in enumerate(heard) if isinstance(event, JobStarted)]
    assert all(later - earlier >= 2 for earlier, later in pairwise(begun))


def test_a_newcomer_can_be_cancelled_before_it_begins(toy_path: Path) -> None:
    """It ends without having started; the job before it in the same write does not."""
    with engine() as daemon:
        daemon.load(toy_path)
        daemon.send(asking(1, "hello"), asking(2, "never mind"), CancelJob(2))
        events = [daemon.next()]
        while len(events) < 3 or not isinstance(events[-1], JobEnded):
            events.append(daemon.next())

    assert JobEnded(2, Finish.CANCELLED, "", 0, 0, 0.0, 0.0) in events
    assert [event.job for event in events if isinstance(event, JobStarted)] == [1]
    assert isinstance(events[-1], JobEnded)
    assert (events[-1].job, events[-1].finish) == (1, Finish.LENGTH)


def test_an_order_may_come_in_pieces(endless_path: Path) -> None:
    """Steps continue meanwhile."""
    with engine() as daemon:
        daemon.begin_endless(endless_path)
        data = frame(encode(CancelJob(1)), ORDER_BYTES_MAX)
        for piece in (data[:1], data[1:7], data[7:]):
            daemon.hear(StepDone)
            daemon.sock.sendall(piece)
        assert daemon.hear(JobEnded).finish is Finish.CANCELLED


def test_the_first_order_may_come_in_pieces_too(toy_path: Path) -> None:
    """A model's template can be longer than a socket's buffer."""
    with engine() as daemon:
        daemon.hear(WorkerHello)
        data = frame(encode(load_of(toy_path)), ORDER_BYTES_MAX)
        for piece in (data[:1], data[1:20], data[20:]):
            daemon.sock.sendall(piece)
            # Long enough for it to look, though nothing depends on that.
            daemon.engine.join(0.02)
        assert daemon.hear(Ready).context_tokens == 512


def test_an_idle_engine_costs_nothing(toy_path: Path) -> None:
    """It sleeps until there is an order: a box may be idle for days."""
    with engine() as daemon:
        daemon.load(toy_path)
        assert daemon.engine.ident is not None
        clock = time.pthread_getcpuclockid(daemon.engine.ident)

        def slept() -> bool:
            before_ns = time.clock_gettime_ns(clock)
            daemon.engine.join(0.2)
            return time.clock_gettime_ns(clock) == before_ns

        # It still has to come to rest when it has said that it is ready.
        until(slept)


@pytest.mark.parametrize(
    ("text", "refused"),
    [
        ("x" * 600, JobRefused(1, Refusal.CONTEXT_TOO_LONG, 604, 512)),
        ("", JobRefused(1, Refusal.TEMPLATE, detail="nothing to say")),
    ],
)
def test_what_cannot_be_begun_is_refused_and_the_next_is_not(
    toy_path: Path, text: str, refused: JobRefused
) -> None:
    """With the reason; the engine continues."""
    picky = "{% if not messages[0].content %}{{ raise_exception('nothing to say') }}{% endif %}"
    with engine() as daemon:
        daemon.load(toy_path, chat_template=picky + PLAIN)
        daemon.send(asking(1, text), asking(2, "hello"))
        assert daemon.next() == refused
        assert daemon.hear(JobEnded).job == 2


def constrained(job: int, schema: str, max_tokens: int = 60) -> StartJob:
    start = msgspec.structs.replace(asking(job, "x", max_tokens), schema=schema)
    how = msgspec.structs.replace(start.sampling, temperature=1.0, seed=job)
    return msgspec.structs.replace(start, sampling=how, ignore_eos=False)


def whole_answer(daemon: Daemon, job: int) -> tuple[str, JobEnded]:
    """All text of a job, to its end."""
    text = ""
    while not isinstance(event := daemon.next(), JobEnded) or event.job != job:
        if isinstance(event, StepDone):
            text += "".join(output.text for output in event.outputs if output.job == job)
    return text + event.text, event


PAIR = '{"type": "array", "items": {"enum": ["a", 5]}, "minItems": 2, "maxItems": 2}'
SLOW = '{"type": "integer", "multipleOf": 1000003}'


def test_an_answer_keeps_to_its_schema(toy_path: Path) -> None:
    """Also after a prompt that has opened thinking: the JSON follows it."""
    with engine() as daemon:
        daemon.load(toy_path)
        daemon.send(*(constrained(job, PAIR) for job in range(1, 4)))
        for _ in range(3):
            ended = daemon.hear(JobEnded)
            assert ended.finish is Finish.STOP
    with engine() as daemon:
        daemon.load(toy_path, chat_template=PLAIN + "<think>")
        thought = tuple(FIRST_BYTE + byte for byte in b"hm</think>")
        daemon.send(msgspec.structs.replace(constrained(1, PAIR), produced=thought))
        text, ended = whole_answer(daemon, 1)
        assert ended.finish is Finish.STOP
        assert len(json.loads(text)) == 2


def test_a_schema_that_cannot_be_kept_to_is_refused(toy_path: Path) -> None:
    """With the place of the fault; the next request is answered."""
    with engine() as daemon:
        daemon.load(toy_path)
        nothing = '{"type": "array", "items": {"enum": []}, "minItems": 1}'
        daemon.send(constrained(1, nothing), constrained(2, PAIR))
        refused = daemon.hear(JobRefused)
        assert (refused.job, refused.why) == (1, Refusal.SCHEMA)
        assert refused.detail.startswith("the schema at '#/items' cannot be kept to")
        assert whole_answer(daemon, 2)[1].finish is Finish.STOP


def test_a_schema_that_could_not_be_tried_is_refused_for_the_moment(toy_path: Path) -> None:
    """The kernel may kill the trial's process; the next request is answered."""
    others = {child.pid for child in psutil.Process().children()}

    def trying() -> list[psutil.Process]:
        return [child for child in psutil.Process().children() if child.pid not in others]

    with engine() as daemon:
        daemon.load(toy_path)
        daemon.send(constrained(1, PAIR))
        until(lambda: bool(trying()))
        for child in trying():
            child.kill()
        refused = daemon.hear(JobRefused)
        assert (refused.job, refused.why) == (1, Refusal.SCHEMA_UNTRIED)
        daemon.send(PurgeCache(), constrained(2, PAIR))
        assert whole_answer(daemon, 2)[1].finish is Finish.STOP


def test_nobody_waits_while_a_schema_is_tried(endless_path: Path) -> None:
    """A trial takes a core for a while; steps continue, and orders are taken."""
    with engine() as daemon:
        daemon.begin_endless(endless_path)
        daemon.send(constrained(2, SLOW))
        steps = 0
        while not isinstance(event := daemon.next(), JobRefused):
            assert isinstance(event, StepDone)
            steps += 1
        assert "takes too much time" in event.detail
        # It has 0.2 s, and steps are told of every 0.07 s at least.
        assert steps >= 2
        daemon.send(CancelJob(1))
        assert daemon.hear(JobEnded).job == 1


def test_an_answer_can_be_cancelled_while_its_schema_is_tried(toy_path: Path) -> None:
    """Its end reports that it never began."""
    with engine() as daemon:
        daemon.load(toy_path)
        daemon.send(constrained(1, SLOW), CancelJob(1), constrained(2, PAIR))
        ended = daemon.hear(JobEnded)
        assert (ended.job, ended.finish) == (1, Finish.CANCELLED)
        assert whole_answer(daemon, 2)[1].finish is Finish.STOP


def test_it_goes_when_the_daemon_hangs_up_while_a_schema_is_tried(toy_path: Path) -> None:
    """The trial's process ends too."""
    others = len(psutil.Process().children())
    with engine() as daemon:
        daemon.load(toy_path)
        # One after the other, so that there is always one to be seen.
        slow = [SLOW.replace("1000003", str(1_000_003 + number)) for number in range(40)]
        daemon.send(*(constrained(job, schema) for job, schema in enumerate(slow)))
        until(lambda: len(psutil.Process().children()) > others)
        daemon.sock.shutdown(socket.SHUT_RDWR)
        daemon.engine.join(DEADLINE_S)
        assert not daemon.engine.is_alive()
        assert len(psutil.Process().children()) == others


def test_an_answer_goes_on_after_another_engines_death(toy_path: Path) -> None:
    """Its text so far comes first, without tokens."""
    with engine() as daemon:
        daemon.load(toy_path)
        daemon.send(msgspec.structs.replace(asking(1, "hello"), produced=(3 + 97, 3 + 98)))
        daemon.hear(JobStarted)
        step = daemon.next()
        assert isinstance(step, StepDone)
        assert (step.outputs[0].text, step.outputs[0].tokens) == ("ab", ())
        assert daemon.hear(JobEnded).completion_tokens == 5


def _no_gguf(path: Path) -> LoadModel:
    path.write_bytes(b"hello" * 100)
    return load_of(path)


def _missing(path: Path) -> LoadModel:
    return load_of(path)


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (_no_gguf, "could not load it (invalid magic characters: 'hell', expected 'GGUF')"),
        (_missing, "No such file or directory"),
    ],
)
def test_a_model_that_cannot_be_loaded_is_told_and_is_the_end(
    tmp_path: Path, spoil: Callable[[Path], LoadModel], why: str
) -> None:
    """With the library's message; the process then exits."""
    with engine() as daemon:
        daemon.hear(WorkerHello)
        daemon.send(spoil(tmp_path / "model.gguf"))
        assert why in daemon.hear(LoadFailed).why
        assert daemon.gone()


@pytest.mark.parametrize("template", ["{% for %}", *HOPELESS.values()])
def test_a_template_that_is_none_or_takes_no_question_fails_the_load(
    toy_path: Path, template: str
) -> None:
    """Before the first request."""
    with engine() as daemon:
        daemon.hear(WorkerHello)
        daemon.send(load_of(toy_path, chat_template=template))
        assert "chat template does not work" in daemon.hear(LoadFailed).why
        assert daemon.gone()


def test_it_goes_when_the_daemon_hangs_up_while_it_idles(toy_path: Path) -> None:
    """Without the daemon there is no more work."""
    with engine() as daemon:
        daemon.load(toy_path)
        daemon.sock.shutdown(socket.SHUT_WR)
        assert daemon.gone()


def test_it_goes_when_the_daemon_hangs_up_while_it_writes(endless_path: Path) -> None:
    """Within a step; `engine` waits for its exit."""
    with engine() as daemon:
        daemon.begin_endless(endless_path)


def test_it_goes_when_the_daemon_hangs_up_while_it_loads(starter_model: Path) -> None:
    """At the next progress, without an error; `engine` waits for its exit."""
    with engine() as daemon:
        daemon.hear(WorkerHello)
        daemon.send(load_of(starter_model))
        daemon.hear(Progress)


def test_it_goes_before_it_was_told_anything() -> None:
    """As when the daemon is stopped right after its start."""
    with engine() as daemon:
        daemon.hear(WorkerHello)


@pytest.mark.parametrize(
    "garbage",
    [
        b"\xff" * 8,
        frame(b"\x00", 1),
        frame(encode(WorkerHello(1)), 100),
        frame(encode(CancelJob(1)), 100),
    ],
    ids=["no frame", "no message", "an event", "not the first order"],
)
def test_it_goes_when_the_first_order_is_none(garbage: bytes) -> None:
    """The other end is not a daemon of this release."""
    with engine() as daemon:
        daemon.hear(WorkerHello)
        daemon.sock.sendall(garbage)
        assert daemon.gone()


def test_it_goes_when_a_later_order_is_none(toy_path: Path) -> None:
    """The same with a loaded model."""
    with engine() as daemon:
        daemon.load(toy_path)
        daemon.sock.sendall(frame(encode(asking(1, "abc")).replace(b"abc", b"\xff\xff\xff"), 1000))
        assert daemon.gone()


@pytest.mark.slow
def test_a_pause_stops_all_computing_and_cancelling_still_works(toy_path: Path) -> None:
    """With signs of life meanwhile; the answer is the same as without a pause."""
    with engine() as daemon:
        daemon.load(toy_path)
        daemon.send(Limits(duty=0.0), asking(1, "hello", 40), asking(2, "never mind", None))
        daemon.hear(JobStarted)
        daemon.hear(JobStarted)
        daemon.send(CancelJob(2))
        assert daemon.hear(JobEnded).job == 2
        assert [daemon.hear(StepDone) for _ in range(2)] == [StepDone(()), StepDone(())]
        daemon.send(Limits())
        assert daemon.hear(JobEnded).job == 1


def test_limits_change_how_hard_it_works(toy_path: Path) -> None:
    """Half the time, another budget, no memory for the cache: the answer is complete anyway."""
    with engine() as daemon:
        daemon.load(toy_path)
        daemon.send(Limits(step_budget_s=0.05, threads=1, duty=0.5, ram_bytes=0), PurgeCache())
        daemon.send(asking(1, "hello", 20))
        ended = daemon.hear(JobEnded)

    assert (ended.finish, ended.completion_tokens) == (Finish.LENGTH, 20)


def test_what_is_typed_is_read_before_it_is_sent(toy_path: Path) -> None:
    """Only the tokens that more typing would not change; the question then finds them cached."""
    with engine() as daemon:
        daemon.load(toy_path)
        asked = asking(2, "hello there, how are you today?", 5)
        daemon.send(Prefill(1, asked.messages))
        prepared = daemon.hear(PrefillDone)
        daemon.send(asked)
        started, ended = daemon.hear(JobStarted), daemon.hear(JobEnded)

    assert 16 <= prepared.cached_tokens <= prepared.prompt_tokens == started.prompt_tokens
    # One token is left to compute, for its scores.
    assert ended.cached_tokens == min(prepared.cached_tokens, started.prompt_tokens - 1)


#: Of one token a byte; with the model's own beginning and space it is three blocks.
LONG_TALKS = [name * 60 for name in ("alice", "berta", "clara")]


def load_with_cache(toy_path: Path, folder: Path) -> LoadModel:
    cache = PrefixCache(str(folder), ram_bytes=2**30, disk_bytes=2**30)
    return load_of(toy_path, context_tokens=1024, prefix=cache)


def leave_conversations(load: LoadModel) -> None:
    """Let an engine answer, and store that on the disk."""
    assert load.prefix is not None
    folder = Path(load.prefix.folder)
    with at_work(load) as (daemon, _store):
        for job, text in enumerate(LONG_TALKS):
            daemon.send(asking(job, text))
            daemon.hear(JobEnded)
        until(lambda: len(list(folder.rglob("*.kv"))) == 3 * len(LONG_TALKS))


def test_after_a_restart_the_last_conversations_need_no_disk(
    toy_path: Path, tmp_path: Path
) -> None:
    """They are in memory before the first request, which finds all except the last token."""
    load = load_with_cache(toy_path, tmp_path / "cache")
    leave_conversations(load)
    with at_work(load) as (daemon, store):
        until(lambda: store.ram_used_bytes > 0 and store._prefetcher.block is None)
        shutil.rmtree(tmp_path / "cache")
        for job, text in enumerate(LONG_TALKS):
            daemon.send(asking(job, text))
            prompt_tokens = daemon.hear(JobStarted).prompt_tokens
            assert daemon.hear(JobEnded).cached_tokens == prompt_tokens - 1


def test_who_asks_while_conversations_come_back_is_answered_in_the_next_step(
    toy_path: Path, tmp_path: Path
) -> None:
    """It does not wait for the prefetch: the first step has its first token."""
    load = load_with_cache(toy_path, tmp_path / "cache")
    leave_conversations(load)
    with at_work(load) as (daemon, _store):
        daemon.send(asking(9, "hello"))
        daemon.hear(JobStarted)
        step = daemon.next()

    assert isinstance(step, StepDone)
    assert [output.job for output in step.outputs] == [9]


def test_what_was_under_way_when_the_daemon_hung_up_is_not_read_again(
    endless_path: Path, tmp_path: Path
) -> None:
    """Nor a job that had just ended beside it: the next engine finds both, answers included."""
    load = load_with_cache(endless_path, tmp_path / "cache")
    load = msgspec.structs.replace(load, context_tokens=ENDLESS_TOKENS)
    produced: list[int] = []
    with at_work(load) as (daemon, _store):
        daemon.send(asking(1, LONG_TALKS[0], None), asking(2, LONG_TALKS[1]))
        prompt_tokens = daemon.hear(JobStarted).prompt_tokens
        while len(produced) < 2 * BLOCK_TOKENS:
            event = daemon.next()
            if isinstance(event, StepDone):
                produced += [t for out in event.outputs if out.job == 1 for t in out.tokens]
    written_tokens = prompt_tokens + len(produced) - 1
    ended_blocks = 3
    blocks = len(list((tmp_path / "cache").rglob("*.kv")))
    assert blocks >= ended_blocks + math.ceil(written_tokens / BLOCK_TOKENS)
    with at_work(load) as (daemon, _store):
        goes_on = asking(1, LONG_TALKS[0], len(produced) + 5)
        daemon.send(msgspec.structs.replace(goes_on, produced=tuple(produced)))
        assert daemon.hear(JobEnded).cached_tokens == prompt_tokens
        daemon.send(asking(2, LONG_TALKS[1]))
        assert daemon.hear(JobEnded).cached_tokens == prompt_tokens - 1


def test_what_was_cancelled_before_a_purge_is_forgotten_by_it(
    endless_path: Path, tmp_path: Path
) -> None:
    """A device is revoked during its answer, and the daemon exits: nothing is on the disk."""
    load = load_with_cache(endless_path, tmp_path / "cache")
    load = msgspec.structs.replace(load, context_tokens=ENDLESS_TOKENS)
    with at_work(load) as (daemon, _store):
        daemon.send(asking(1, LONG_TALKS[0], None))
        while not daemon.hear(StepDone).outputs:
            pass
        # The daemon is stopped the moment it has said so.
        daemon.send(CancelJob(1), PurgeCache())

    assert not list((tmp_path / "cache").rglob("*.kv"))


def test_what_a_purge_has_forgotten_is_not_found(endless_path: Path, tmp_path: Path) -> None:
    """Nor is a job cancelled for the purge: a request with the same prefix is prefilled."""
    load = load_with_cache(endless_path, tmp_path / "cache")
    with at_work(msgspec.structs.replace(load, context_tokens=ENDLESS_TOKENS)) as (daemon, _store):
        daemon.send(asking(1, LONG_TALKS[0], None))
        while not daemon.hear(StepDone).outputs:
            pass
        daemon.send(CancelJob(1), PurgeCache(), asking(2, LONG_TALKS[0]))
        assert daemon.hear(JobEnded).job == 1
        assert daemon.hear(JobEnded).cached_tokens == 0


def test_what_is_kept_reaches_the_disk_while_answers_pause(
    endless_path: Path, tmp_path: Path
) -> None:
    """All answers pause before a suspend; ended sequences are saved in that time."""
    load = load_with_cache(endless_path, tmp_path / "cache")
    load = msgspec.structs.replace(load, context_tokens=ENDLESS_TOKENS)
    with at_work(load) as (daemon, _store):
        daemon.send(asking(1, "goes on", None), asking(2, LONG_TALKS[0]))
        assert daemon.hear(JobEnded).job == 2
        daemon.pause()
        until(lambda: len(list((tmp_path / "cache").rglob("*.kv"))) == 3)
        daemon.send(Limits())
        while not daemon.hear(StepDone).outputs:
            pass
        daemon.send(CancelJob(1))
        assert daemon.hear(JobEnded).job == 1


#: Takes long over what is long: some hundred milliseconds.
SLOW_FOR_LONG = (
    "{% if messages[0].content | length > 9000 %}{% for _turn in range(30) %}"
    "{% for _turn in range(99999) %}{% endfor %}{% endfor %}{% endif %}" + PLAIN
)


@pytest.mark.parametrize("how", ["asked", "typed"])
def test_nobody_waits_while_a_long_question_is_made_into_tokens(
    endless_path: Path, how: str
) -> None:
    """Streams continue, and a short question that arrives later begins first."""
    long = asking(2, "long " * (ENDLESS_TOKENS // 5 + 1000))
    with engine() as daemon:
        daemon.begin_endless(endless_path, chat_template=SLOW_FOR_LONG)
        daemon.send(long if how == "asked" else Prefill(2, long.messages), asking(3, "short", 1))
        heard: list[Event] = []
        while not heard or not isinstance(heard[-1], JobRefused):
            heard.append(daemon.next())
        daemon.send(CancelJob(1))

    refused = heard[-1]
    assert isinstance(refused, JobRefused)
    assert (refused.job, refused.why) == (2, Refusal.CONTEXT_TOO_LONG)
    assert [event.job for event in heard if isinstance(event, JobStarted)] == [3]
    steps = [event for event in heard if isinstance(event, StepDone)]
    assert sum(len(out.tokens) for step in steps for out in step.outputs if out.job == 1) > 10


def test_a_long_question_can_be_cancelled_before_it_is_made_into_tokens(toy_path: Path) -> None:
    """It ends at once, and does not begin later."""
    with engine() as daemon:
        daemon.load(toy_path, chat_template=SLOW_FOR_LONG)
        daemon.send(
            asking(1, "long " * 2000), CancelJob(1), asking(2, "long " * 1900), asking(3, "x")
        )
        ended = daemon.hear(JobEnded)
        heard = [daemon.next()]
        while not isinstance(heard[-1], JobRefused):
            heard.append(daemon.next())

    assert (ended.job, ended.finish) == (1, Finish.CANCELLED)
    assert heard[-1].job == 2
    assert [event.job for event in heard if isinstance(event, JobStarted)] == [3]


def test_a_long_question_that_does_not_fit_is_told_how_much_there_is_at_least(
    toy_path: Path,
) -> None:
    """It is not tokenized to its end."""
    with engine() as daemon:
        daemon.load(toy_path)
        daemon.send(asking(1, "word " * 40_000))
        refused = daemon.hear(JobRefused)

    assert (refused.why, refused.request_tokens_max) == (Refusal.CONTEXT_TOO_LONG, 512)
    assert refused.at_least
    assert 512 < refused.prompt_tokens < 200_000


THINKS = PLAIN + "{# [THINK] [/THINK] #}"
OPEN, CLOSE = VOCAB_TOKENS, VOCAB_TOKENS + 1


def told(daemon: Daemon, job: int) -> tuple[str, str]:
    """All thinking and all answer text, to the end of a job."""
    thinking = text = ""
    while not isinstance(event := daemon.next(), JobEnded) or event.job != job:
        if isinstance(event, StepDone):
            outputs = [output for output in event.outputs if output.job == job]
            thinking += "".join(output.thinking for output in outputs)
            text += "".join(output.text for output in outputs)
    return thinking + event.thinking, text + event.text


@pytest.mark.parametrize("control", [True, False])
def test_thoughts_are_told_apart_after_an_engines_death_too(tmp_path: Path, control: bool) -> None:
    """Wherever it died: the text is sent again from the start, and both parts continue."""
    path = tmp_path / "thinker.gguf"
    write_toy_model(path, more_tokens=("[THINK]", "[/THINK]"), more_control=control)
    spoken = [OPEN, *(FIRST_BYTE + byte for byte in b" Hm? "), CLOSE]
    spoken += [FIRST_BYTE + byte for byte in b"\n\nYes."]
    with engine() as daemon:
        daemon.load(path, chat_template=THINKS)
        thinking = text = ""
        for length in range(1, len(spoken) + 1):
            start = asking(length, "x", max_tokens=length)
            daemon.send(msgspec.structs.replace(start, produced=tuple(spoken[:length])))
            thinking, text = told(daemon, length)
            assert "Hm?".startswith(thinking)
            assert "Yes.".startswith(text)
        assert (thinking, text) == ("Hm?", "Yes.")


def test_off_is_kept_to_and_counts_for_what_is_read_ahead(tmp_path: Path) -> None:
    """The template gets the same option, so the question finds the prefilled tokens."""
    path = tmp_path / "thinker.gguf"
    write_toy_model(path, more_tokens=("[THINK]", "[/THINK]"), more_control=True)
    template = "{% if enable_thinking %}Think. {% else %}Be quick. {% endif %}" + THINKS
    with engine() as daemon:
        daemon.load(path, chat_template=template)
        off = Thinking("off")
        ahead = Prefill(1, asking(1, "Why is it?").messages, thinking=off)
        daemon.send(ahead)
        read = daemon.hear(PrefillDone)
        for job, thinking in ((2, off), (3, Thinking())):
            start = msgspec.structs.replace(asking(job, "Why is it?"), thinking=thinking)
            daemon.send(start)
            ended = daemon.hear(JobEnded)
            # The last token is computed in any case.
            assert (ended.cached_tokens == read.cached_tokens - 1) == (thinking is off)
