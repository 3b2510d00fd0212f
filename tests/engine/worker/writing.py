"""Drives a batcher as the engine's loop does, and collects its answers."""

from __future__ import annotations

import codecs
import ctypes
import select
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import llama_cpp.llama_cpp as lib
import numpy as np

from inglenook.engine.events import JobEnded, JobRefused, JobStarted, Output, PrefillDone, StepDone
from inglenook.engine.orders import Sampling, StartJob
from inglenook.engine.settings import KvType
from inglenook.engine.thinking.parser import Parser
from inglenook.engine.worker.context import Context
from inglenook.engine.worker.decode.batcher import Batcher
from inglenook.engine.worker.decode.think_format import ThinkFormat
from inglenook.engine.worker.llama import Model
from inglenook.engine.worker.prefix.store import Store
from inglenook.engine.worker.prompt.state_positions import NO_MARKS, StatePositions
from inglenook.engine.worker.scheduler.step_budget import StepBudget

#: More than any test needs; a batcher that does not come to an end must not hang the test.
_STEPS_MAX = 5000

_DEADLINE_S = 20.0

#: The toy model's scores lie some three apart; in an f16 pool, rounding moves them by 0.01.
_TIE = 0.1


def sampling(
    *,
    temperature: float = 0.0,
    top_k: int = 0,
    top_p: float = 1.0,
    min_p: float = 0.0,
    repeat_penalty: float = 1.0,
    presence_penalty: float = 0.0,
    frequency_penalty: float = 0.0,
    penalty_last_n: int = 64,
    seed: int = 0,
) -> Sampling:
    """Sampling parameters, greedy by default."""
    return Sampling(
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        min_p=min_p,
        repeat_penalty=repeat_penalty,
        presence_penalty=presence_penalty,
        frequency_penalty=frequency_penalty,
        penalty_last_n=penalty_last_n,
        seed=seed,
    )


def order(
    job: int,
    max_tokens: int | None,
    *,
    how: Sampling | None = None,
    stop: tuple[str, ...] = (),
    ignore_eos: bool = True,
    produced: Sequence[int] = (),
    repetition_detection: bool = False,
) -> StartJob:
    """An order whose prompt is in tokens already; the toy model would end it at a random place."""
    how = sampling() if how is None else how
    return StartJob(
        job,
        (),
        how,
        max_tokens,
        stop,
        ignore_eos,
        tuple(produced),
        repetition_detection=repetition_detection,
    )


def parser_of(thoughts: ThinkFormat, *, thinking: bool = False) -> Parser:
    """A parser for an answer whose prompt has opened thinking, or has not."""
    return thoughts.parser("<think>\n" if thinking else "")


class FixedBudget(StepBudget):
    """Grants the same every step, one after the other of what it was given, whatever it costs.

    Attributes:
        heard: How many prompt tokens each measured step had.
        took_s: How long each took.
    """

    def __init__(self, *prefill_tokens: int) -> None:
        super().__init__(0.2)
        self.heard: list[int] = []
        self.took_s: list[float] = []
        self._grants = prefill_tokens
        self._granted = 0

    def measured(self, *, decoding: int, prefill: int, step_s: float) -> None:
        assert step_s > 0
        self.heard.append(prefill)
        self.took_s.append(step_s)

    def predict_s(self, *, decoding: int, prefill: int) -> float:
        """All steps take the same time here, so every draft pays."""
        return 1.0

    def prefill_tokens(self, *, decoding: int, most: int, idle: bool = False) -> int:
        grant = self._grants[self._granted % len(self._grants)]
        self._granted += 1
        return min(grant, most)


@dataclass
class Answer:
    """Outputs and end of one job.

    Attributes:
        text: Of the answer; ``thinking`` of the thought.
        at: The number of the step that made each token.
    """

    text: str = ""
    thinking: str = ""
    tokens: list[int] = field(default_factory=list)
    at: list[int] = field(default_factory=list)
    ended: JobEnded | None = None

    @property
    def whole(self) -> str:
        """All its text, including the part held back to the end."""
        assert self.ended is not None
        return self.text + self.ended.text

    def take(self, output: Output) -> None:
        """Add the output of a step."""
        self.text += output.text
        self.thinking += output.thinking
        self.tokens += output.tokens


class Writer:
    """A batcher and its answers so far."""

    def __init__(
        self, batcher: Batcher, context: Context, budget: FixedBudget, store: Store | None
    ) -> None:
        self.batcher = batcher
        self.store = store
        self.budget = budget
        self.context = context
        self.cells = CellCounter(context)
        self.read: dict[int, PrefillDone] = {}
        self.answers: dict[int, Answer] = {}
        self.steps = 0

    def submit(
        self, start: StartJob, prompt: Sequence[int], marks: StatePositions = NO_MARKS
    ) -> JobStarted | JobRefused:
        """Submit a job, and check its events."""
        parser = parser_of(self.batcher._thoughts)
        first, *more = self.batcher.submit(start, list(prompt), parser, marks=marks)
        assert not isinstance(first, StepDone)
        if isinstance(first, JobStarted):
            self.answers[start.job] = Answer()
        for event in more:
            assert isinstance(event, StepDone)
            (output,) = event.outputs
            assert (output.job, output.tokens) == (start.job, ())
            self.answers[start.job].take(output)
        return first

    def hear_store(self, *, wait: bool = True) -> None:
        """Wait for the store's thread, and process its results."""
        assert self.store is not None
        assert not wait or select.select([self.store], [], [], _DEADLINE_S)[0]
        self.store.poll()

    def step(self) -> None:
        """One step; each event must be of an unfinished job, with at most one output per job."""
        if self.store is not None:
            self.hear_store(wait=self.batcher.blocked)
        outputs, ended = self.batcher.step()
        assert len({output.job for output in outputs}) == len(outputs)
        for output in outputs:
            answer = self.answers[output.job]
            assert answer.ended is None
            answer.take(output)
            answer.at += [self.steps] * len(output.tokens)
        for event in ended:
            if isinstance(event, PrefillDone):
                assert event.job not in self.read
                self.read[event.job] = event
                continue
            assert self.answers[event.job].ended is None
            self.answers[event.job].ended = event
        self.steps += 1

    def finish(self) -> dict[int, Answer]:
        """Step until nothing is left to do; then the pool has only retained sequences."""
        limit = self.steps + _STEPS_MAX
        while self.batcher.busy:
            assert self.steps < limit, "the batcher does not come to an end"
            self.step()
        assert all(answer.ended is not None for answer in self.answers.values())
        self.check_cells()
        return self.answers

    def check_cells(self) -> None:
        """The pool holds as many cells as its own account says, by the library's count.

        Of a window the library does not count what nobody sees any longer.
        """
        if self.context.trimmable and not self.context._window_tokens:
            assert self.cells.count() == self.batcher.pool.used_cells


class CellCounter:
    """Counts a pool's cells by the size the library gives for all it holds.

    Every cell in use adds its keys and values, a few numbers, and 4 bytes for each sequence that
    has it. The sizes of the parts are measured, in a context that was not used yet.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        sizes = [context.used_bytes()]
        for position in range(2):
            context.clear_batch()
            context.add(0, position, [0], output="none")
            assert context.decode() == 0
            sizes.append(context.used_bytes())
        context.forget(0)
        self._cell_bytes = sizes[2] - sizes[1]
        self._empty_bytes = sizes[0]
        self._other_bytes = sizes[1] - self._cell_bytes

    def count(self) -> int:
        """Number of used cells."""
        used_bytes = self._context.used_bytes()
        if used_bytes == self._empty_bytes:
            return 0
        lengths = sum(self._context.length(n) for n in range(self._context.sequences))
        cells, rest = divmod(used_bytes - self._other_bytes - 4 * lengths, self._cell_bytes - 4)
        assert rest == 0
        return cells


@contextmanager
def writing(
    model: Model,
    *,
    cells: int = 1024,
    sequences: int = 4,
    kv_type: KvType = "f16",
    budget: FixedBudget | None = None,
    kept: int = 4,
    store: Store | None = None,
    durable: bool = False,
    speculate: bool = False,
    thoughts: ThinkFormat | None = None,
) -> Iterator[Writer]:
    """A batcher of one thread: on a busy machine two would mostly wait for each other."""
    # The last is for moving blocks; of what has running states, one more than answers is enough.
    numbers = sequences + (1 if model.running_states else kept + 1)
    budget = budget or FixedBudget(64)
    context = Context(
        model, cells=cells, kv_type=kv_type, sequences=numbers, threads=1, outputs=8 * sequences
    )
    writer = Writer(
        Batcher(
            model,
            context,
            thoughts or ThinkFormat(model, ""),
            sequences=sequences,
            budget=budget,
            store=store,
            durable=durable,
            speculate=speculate,
        ),
        context,
        budget,
        store,
    )
    batcher = writer.batcher
    try:
        yield writer
    finally:
        batcher.close()
        context.close()


def alone(model: Model, start: StartJob, prompt: Sequence[int]) -> Answer:
    """The answer of a job that has the whole pool."""
    with writing(model, sequences=1, budget=FixedBudget(512)) as writer:
        assert isinstance(writer.submit(start, prompt), JobStarted)
        return writer.finish()[start.job]


def text_of(model: Model, tokens: Sequence[int]) -> str:
    """Text of tokens, without an incomplete character at the end."""
    data = b"".join(model.piece(token) for token in tokens)
    return codecs.getincrementaldecoder("utf-8")("replace").decode(data)


def follow(model: Model, prompt: Sequence[int], tokens: Sequence[int]) -> bool:
    """Whether each token is the most probable one after those before it.

    Found by computing the lot in one go. Sums are rounded otherwise then, so a tie may be decided
    otherwise; what follows a wrong or a missing token is far from a tie.
    """
    text = [*prompt, *tokens]
    context = Context(model, cells=len(text), kv_type="f16", sequences=256, threads=1)
    try:
        for first in range(0, len(text), 256):
            chunk = text[first : first + 256]
            context.clear_batch()
            for place, token in enumerate(chunk, start=first):
                context.add(0, place, [token], output="last")
            assert context.decode() == 0
            for index, _token in enumerate(chunk):
                place = first + index + 1
                if len(prompt) <= place < len(text):
                    found = lib.llama_get_logits_ith(context.handle, index)
                    scores = np.ctypeslib.as_array(found, shape=(model.vocab_tokens,))
                    if scores[text[place]] < scores.max() - _TIE:
                        return False
        return True
    finally:
        context.close()


class AbortSwitch:
    """Makes the library abort computing, by the callback it asks between two operations.

    The callback is the C library's ``strlen``: it takes a pointer and says 0 (go on) for an empty
    string, without Python being asked.
    """

    def __init__(self, context: Context) -> None:
        self._flag = ctypes.create_string_buffer(2)
        callback_type = lib.llama_set_abort_callback.argtypes[1]
        self._callback = ctypes.cast(ctypes.CDLL(None).strlen, callback_type)
        pointer = ctypes.cast(self._flag, ctypes.c_void_p)
        lib.llama_set_abort_callback(context.handle, self._callback, pointer)

    def set(self, *, abort: bool) -> None:
        """Abort every computation from now on, or none."""
        self._flag.value = b"x" if abort else b""
