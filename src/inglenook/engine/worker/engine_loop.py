"""The engine's main loop: take orders, compute a step, send its outputs. Kind: hands."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING

import msgspec

from inglenook.engine.events import (
    Adjustment,
    Finish,
    JobEnded,
    JobRefused,
    JobStarted,
    Output,
    PrefillDone,
    Refusal,
    StepDone,
)
from inglenook.engine.messages import Order
from inglenook.engine.orders import CancelJob, Limits, LoadModel, Prefill, PurgeCache, StartJob
from inglenook.engine.worker.context import Context
from inglenook.engine.worker.decode.batcher import Batcher
from inglenook.engine.worker.decode.output_reader import joined_by_job
from inglenook.engine.worker.pipe import ParentGone, Pipe
from inglenook.engine.worker.prompt.jinja import TemplateRefused
from inglenook.engine.worker.prompt.prompt import PromptTooLong
from inglenook.engine.worker.prompt.prompt_queue import PromptQueue, RequestPrompt
from inglenook.engine.worker.scheduler.step_budget import StepBudget
from inglenook.engine.worker.structured.grammars import Grammars
from inglenook.engine.worker.structured.refusal import SchemaRefused, SchemaUntried

if TYPE_CHECKING:
    from inglenook.engine.worker.prefix.store import Store

#: Seconds between two messages to the daemon. Each wakes it, which takes processor time from the
#: compute threads: a twentieth at 120 steps a second.
_SEND_EVERY_S = 0.1

#: Longest sleep between two steps, and between two signs of life without steps.
_SLEEP_S = 1.0


class EngineLoop:
    """The main loop of one engine with a loaded model."""

    def __init__(
        self,
        pipe: Pipe,
        batcher: Batcher,
        prompting: PromptQueue,
        *,
        context: Context,
        budget: StepBudget,
        store: Store | None,
        grammars: Grammars,
        load: LoadModel,
        threads: int,
    ) -> None:
        """Take over all parts; ``load`` and ``threads`` are those the model was loaded with."""
        self._pipe = pipe
        self._batcher = batcher
        self._prompting = prompting
        self._context = context
        self._budget = budget
        self._store = store
        self._grammars = grammars
        self._load = load
        self._threads = threads
        self._duty = 1.0
        self._orders: deque[Order] = deque()
        self._step_s = 0.0
        self._held: list[Output] = []
        self._sent_at = 0.0
        self._computing = False
        pipe.watch(prompting, prompting.poll)
        if store is not None:
            pipe.watch(store, store.poll)

    def run(self) -> None:
        """Run until the daemon closes the pipe.

        Raises:
            ParentGone: When the pipe is closed.
        """
        while True:
            self._orders.extend(self._pipe.orders(self._wait_s()))
            while self._orders:
                self._handle(self._orders.popleft())
            for start in self._grammars.advance():
                self._prompting.add(start)
            if (made := self._prompting.take()) is not None:  # one a step, to stall no stream
                self._pipe.send(*self._begin(made))
            self._advance()

    def close(self, deadline_s: float) -> None:
        """End all jobs, and save the pool's tokens as far as time allows.

        The next engine then need not prefill them again: neither unfinished answers, which it
        resumes, nor ones that have just ended.
        """
        until_s = time.perf_counter() + deadline_s
        self._note_computing(False)
        self._grammars.close()
        self._prompting.close(deadline_s / 2)
        self._batcher.close()
        if any(
            isinstance(order, PurgeCache) for order in (*self._orders, *self._pipe.last_orders())
        ):
            # The daemon exited before this purge: revoked conversations may be among the tokens.
            self._batcher.pool.purge()
        if self._store is not None:
            while self._batcher.pool.transfer.unsaved and time.perf_counter() < until_s:
                self._batcher.pool.transfer.save_block()
            self._store.close(max(until_s - time.perf_counter(), 0.0))

    def _advance(self) -> None:
        """Compute a step, or save a block if no step is due."""
        if self._batcher.busy and self._duty and not self._batcher.blocked:
            self._step()
            return
        if self._computing:
            self._note_computing(False)
        if self._batcher.busy:
            # A sign of life while nothing is computed; cancelled jobs end.
            self._send_step(*self._batcher.take_ended())
        if self._batcher.pool.transfer.unsaved:
            self._batcher.pool.transfer.save_block()

    def _wait_s(self) -> float | None:
        """Seconds to wait for orders before the next step; None waits without end."""
        if self._prompting.pressing or self._grammars.pressing:
            return 0.0
        if self._batcher.busy:
            if self._duty and not self._batcher.blocked:
                return min(self._step_s * (1 / self._duty - 1), _SLEEP_S)
            return 0.0 if self._batcher.pool.transfer.unsaved else _SLEEP_S
        return 0.0 if self._batcher.pool.transfer.unsaved else None

    def _handle(self, order: Order) -> None:
        match order:
            case StartJob(schema=str()):
                self._grammars.add(order)
            case StartJob() | Prefill():
                self._prompting.add(order)
            case CancelJob():
                self._cancel(order.job)
            case Limits():
                self._limit(order)
            case PurgeCache():
                # Cancelled jobs must end first, or the pool would retain their tokens after the
                # purge. If the daemon exits now, it will not repeat the order.
                ended = self._batcher.take_ended()
                self._batcher.pool.purge()
                self._grammars.purge()
                self._prompting.forget()
                if ended:
                    self._send_step(*ended)
            case LoadModel():
                raise ParentGone

    def _limit(self, limits: Limits) -> None:
        self._budget.step_budget_s = limits.step_budget_s or self._load.step_budget_s
        self._context.set_threads(limits.threads or self._threads)
        self._duty = limits.duty
        if self._store is not None and self._load.prefix is not None:
            bound = self._load.prefix.ram_bytes
            self._store.set_ram_bytes(
                bound if limits.ram_bytes is None else min(limits.ram_bytes, bound)
            )

    def _cancel(self, job: int) -> None:
        untried = self._grammars.forget(job)
        unmade = self._prompting.cancel(job) or untried
        if unmade is not None:
            self._pipe.send(_never_begun(unmade))
        else:
            self._batcher.cancel(job)

    def _begin(self, made: RequestPrompt) -> list[JobStarted | JobRefused | StepDone]:
        request, job = made.request, made.request.job
        try:
            prompt = made.prompt.result()
            if isinstance(request, StartJob):
                assert prompt.parser is not None
                grammar = self._grammars.make_grammar(request, prompt.parser)
                begun = self._batcher.submit(
                    request, prompt.tokens, prompt.parser, grammar=grammar, marks=prompt.marks
                )
                return [_adjusted(event, prompt.adjustments) for event in begun]
        except TemplateRefused as exc:
            self._grammars.forget(job)
            return [JobRefused(job, Refusal.TEMPLATE, detail=exc.why)]
        except PromptTooLong as exc:
            self._grammars.forget(job)
            most, why = self._batcher.request_tokens_max, Refusal.CONTEXT_TOO_LONG
            return [JobRefused(job, why, exc.tokens, most, at_least=True)]
        except SchemaRefused as exc:
            return [JobRefused(job, Refusal.SCHEMA, detail=exc.why)]
        except SchemaUntried as exc:
            return [JobRefused(job, Refusal.SCHEMA_UNTRIED, detail=exc.why)]
        refused = self._batcher.prefill(request, prompt.tokens, prompt.total, marks=prompt.marks)
        return [refused] if refused else []

    def _step(self) -> None:
        if not self._computing:
            self._note_computing(True)
        started_at = time.perf_counter()
        outputs, ended = self._batcher.step()
        now = time.perf_counter()
        self._step_s = now - started_at
        self._held += outputs
        # Whether the time to send is nearer now than after another step like this one.
        due = now - self._sent_at + self._step_s / 2 > _SEND_EVERY_S
        if ended or due or not self._batcher.steady or self._prompting.pressing:
            # Sent even if empty: during a long prefill the daemon needs a sign of life.
            self._send_step(*ended)
        if ended and not self._batcher.busy:
            self._note_computing(False)

    def _note_computing(self, computing: bool) -> None:  # noqa: FBT001 one reads it as a sentence
        self._computing = computing
        if self._store is not None:
            self._store.computing(computing)

    def _send_step(self, *ended: JobEnded | PrefillDone) -> None:
        self._pipe.send(StepDone(joined_by_job(self._held)), *ended)
        self._held.clear()
        self._sent_at = time.perf_counter()


def _adjusted(
    event: JobStarted | JobRefused | StepDone, adjustments: tuple[Adjustment, ...]
) -> JobStarted | JobRefused | StepDone:
    if isinstance(event, JobStarted) and adjustments:
        return msgspec.structs.replace(event, adjustments=adjustments)
    return event


def _never_begun(request: StartJob | Prefill) -> JobEnded | PrefillDone:
    if isinstance(request, Prefill):
        return PrefillDone(request.job, 0, 0)
    produced = len(request.produced)
    return JobEnded(request.job, Finish.CANCELLED, "", produced, 0, 0.0, 0.0)
