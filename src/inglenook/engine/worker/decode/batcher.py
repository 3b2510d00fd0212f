"""Continuous batching: many answers, one ``llama_decode`` a step. Kind: hands."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from inglenook.engine.events import (
    Finish,
    JobEnded,
    JobRefused,
    JobStarted,
    Output,
    PrefillDone,
    Refusal,
    StepDone,
)
from inglenook.engine.orders import StartJob
from inglenook.engine.thinking.parser import Parser
from inglenook.engine.worker.context import Context
from inglenook.engine.worker.decode.output_reader import OutputReader, joined
from inglenook.engine.worker.decode.repetition import RepetitionDetector
from inglenook.engine.worker.decode.sampler import Sampler
from inglenook.engine.worker.decode.sequence import Generation, Sequence
from inglenook.engine.worker.decode.think_budget import TokenSampler, closing_in_time
from inglenook.engine.worker.decode.think_format import ThinkFormat
from inglenook.engine.worker.kv.pool import Pool
from inglenook.engine.worker.llama import Model
from inglenook.engine.worker.prompt.state_positions import NO_MARKS, StatePositions
from inglenook.engine.worker.scheduler.scheduler import SequenceScheduler
from inglenook.engine.worker.scheduler.step_budget import UNIT_TOKENS, StepBudget
from inglenook.engine.worker.scheduler.step_plan import (
    Candidate,
    ScheduledTokens,
    decoding_tokens,
    plan_step,
    prefill_tokens,
)
from inglenook.engine.worker.speculation.drafting import Drafting
from inglenook.engine.worker.structured.constrained import ConstrainedSampler
from inglenook.engine.worker.structured.grammar_state import GrammarDeadEnd, GrammarState

if TYPE_CHECKING:
    from inglenook.engine.worker.prefix.store import Store

log = logging.getLogger(__name__)

_DONE = 0
_NO_ROOM = 1
_ABORTED = 2
_INVALID = -1


class _Placed(NamedTuple):
    """A share in the batch; ``row`` is where its last token's scores will be."""

    sequence: Sequence
    share: ScheduledTokens
    row: int


class Batcher:
    """Writes as many answers at once as it may; the rest wait their turn."""

    def __init__(
        self,
        model: Model,
        context: Context,
        thoughts: ThinkFormat,
        *,
        sequences: int,
        budget: StepBudget,
        store: Store | None = None,
        durable: bool = False,
        speculate: bool = False,
    ) -> None:
        """Take over a fresh context; nothing else may use it.

        Args:
            model: What the context computes.
            context: One of its sequences moves blocks; what it has beyond ``sequences`` and that
                one keeps prompts for later.
            thoughts: How the model writes them down.
            sequences: How many answers may be written at once.
            budget: Says how much of a prompt fits into a step.
            store: Keeps what leaves the pool.
            durable: Give the store everything soon, as it has a disk.
            speculate: Compute guesses along, where that pays; the context must have room for
                the scores of `DRAFT_TOKENS_MAX` more tokens a sequence.
        """
        self._model = model
        self._context = context
        self._thoughts = thoughts
        self._budget = budget
        self.pool = Pool(context, store, durable=durable)
        self._line = SequenceScheduler(self.pool, store, sequences=sequences)
        self._stores = store is not None
        self._drafting: Drafting | None = None
        if speculate and context.trimmable:
            self._drafting = Drafting(lambda rows: budget.predict_s(decoding=rows, prefill=0))
        #: Longest prompt plus answer of one request.
        self.request_tokens_max = min(model.trained_tokens, context.cells)
        #: Whether the next step is like the last: nobody has anything to do but to go on writing.
        self.steady = False
        self._placed: list[_Placed] = []

    @property
    def busy(self) -> bool:
        """Whether any job is unfinished."""
        return self._line.busy

    @property
    def blocked(self) -> bool:
        """Whether no job can get on before the store has brought something."""
        return not self.steady and self._line.blocked

    def submit(
        self,
        start: StartJob,
        prompt: list[int],
        parser: Parser,
        guide: GrammarState | None = None,
        marks: StatePositions = NO_MARKS,
    ) -> list[JobStarted | JobRefused | StepDone]:
        """Take a job whose prompt is in tokens already; it is computed from the next step on.

        Args:
            start: The order.
            prompt: Its conversation.
            parser: Of its answer, which has heard nothing yet.
            guide: Keeps the answer to its schema, if it has one.
            marks: Where in the prompt states are to be saved, if they cannot be cut.

        Returns:
            What to tell the daemon. An answer that goes on after another engine's death begins with
            all its text so far: held-back characters and stop strings are then where they were.
        """
        if not 0 < len(prompt) < self.request_tokens_max:
            return [self._too_long(start.job, len(prompt))]
        tokens = [*prompt, *start.produced]
        sampler = Sampler(self._model, start.sampling)
        # Not the prompt, which has the question's words and the end of every turn: an answer that
        # may not say those is no shorter, and wrong.
        sampler.remember(start.produced)
        tokens_max = self.request_tokens_max
        if start.max_tokens is not None:
            tokens_max = min(len(prompt) + start.max_tokens, tokens_max)
        reader = OutputReader(parser, self._thoughts.signs, start.stop)
        chooser: TokenSampler = sampler if guide is None else ConstrainedSampler(sampler, guide)
        chooser = closing_in_time(chooser, reader, self._thoughts, start.thinking)
        repetition = RepetitionDetector() if start.repetition_detection else None
        answer = Generation(start, chooser, reader, tokens_max, guide, repetition)
        sequence = Sequence(start.job, tokens, len(prompt), answer, goes_on=marks.goes_on)
        self._join(sequence, marks)
        started = JobStarted(start.job, len(prompt))
        if not start.produced:
            return [started]
        said = [answer.add(token, self._model.piece(token)) for token in start.produced]
        may_be = guide is None or guide.follow(start.produced)
        sequence.note_end()
        if not may_be:
            # An engine of another release wrote it, which kept to schemas otherwise.
            sequence.finish = Finish.FAILED
        outputs = [Output(start.job, answered, (), thought) for answered, thought in said]
        return [started, StepDone((joined(outputs),))]

    def read_ahead(
        self, job: int, tokens: list[int], prompt_tokens: int, *, marks: StatePositions = NO_MARKS
    ) -> JobRefused | None:
        """Compute the beginning of a prompt that may come, whenever nobody waits for an answer.

        Args:
            job: The daemon's number for it; `step` reports its end.
            tokens: What can be relied on of it.
            prompt_tokens: How long the whole prompt would be now.
            marks: As `submit`.

        Returns:
            None, or that it could never be answered.
        """
        if not 0 < prompt_tokens < self.request_tokens_max:
            return self._too_long(job, prompt_tokens)
        self._join(Sequence(job, tokens, prompt_tokens, None), marks)
        return None

    def cancel(self, job: int) -> None:
        """End a job; the next step reports it."""
        for sequence in self._line:
            if sequence.job == job:
                sequence.finish = Finish.CANCELLED
                self.steady = False

    def step(self) -> tuple[list[Output], list[JobEnded | PrefillDone]]:
        """Compute one token of every answer under way and some of the newcomers' prompts."""
        ended: list[JobEnded | PrefillDone] = []
        if not self.steady:
            ended = self.take_ended()
            self._line.admit()
            for number, sequence in self._line.active.items():
                sequence.waited += 1
                if sequence.marks and sequence.reached_mark():
                    self.pool.save_state(number)
        outputs = self._advance()
        return outputs, ended + self.take_ended()

    def take_ended(self) -> list[JobEnded | PrefillDone]:
        """Take out what is over, and tell of it; `step` does it too."""
        ended = []
        for sequence in self._line.take_finished():
            if sequence.answer is not None:
                sequence.answer.sampler.close()
            ended.append(sequence.over())
            self.steady = False
        return ended

    def close(self) -> None:
        """End every job; what the pool has of answers stays there, to be saved."""
        for sequence in self._line:
            sequence.interrupted = sequence.finish is None
            sequence.finish = sequence.finish or Finish.CANCELLED
        self.take_ended()

    def _join(self, sequence: Sequence, marks: StatePositions) -> None:
        if not self.pool.trimmable and self._stores:
            sequence.marks = list(marks.places)
        self._line.join(sequence)
        self.steady = False

    def _too_long(self, job: int, prompt_tokens: int) -> JobRefused:
        why = Refusal.CONTEXT_TOO_LONG
        return JobRefused(job, why, prompt_tokens, self.request_tokens_max)

    def _advance(self) -> list[Output]:
        """Compute the best batch the library will take.

        Every round either ends this or asks for less: fewer prompt tokens, or one sequence fewer.
        """
        room: int | None = None
        shares = [placed.share for placed in self._placed] if self.steady else self._plan(room)
        if self._drafting is not None:
            self._draft(shares, self._drafting)
        while shares:
            code, outputs = self._run(shares)
            if code == _DONE:
                return outputs
            if code == _NO_ROOM:
                planned = prefill_tokens(shares)
                if self._undraft() or self.pool.make_room():
                    pass
                elif planned > UNIT_TOKENS:
                    room = max(planned // 2, UNIT_TOKENS)
                else:
                    self._line.make_room()
                shares = self._plan(room)
                continue
            self._resynchronise(code)
            return [] if code == _ABORTED else self._run_singly(shares)
        return []

    def _plan(self, room: int | None) -> list[ScheduledTokens]:
        """What to compute in the next step; ``room`` bounds its prompt tokens below the budget."""
        wanting = [
            Candidate(
                number,
                sequence.due,
                decoding=sequence.answer is not None and sequence.pending == 1,
                idle=sequence.answer is None,
                waited=sequence.waited,
            )
            for number, sequence in self._line.active.items()
            if sequence.finish is None and sequence.fetch is None
        ]
        decoding = decoding_tokens(wanting)
        if room is None:
            most = self._context.batch_tokens - decoding
            idle = all(want.idle for want in wanting)
            room = self._budget.prefill_tokens(decoding=decoding, most=most, idle=idle)
        return plan_step(wanting, room)

    def _draft(self, shares: list[ScheduledTokens], drafting: Drafting) -> None:
        """Add guesses to a step in which everybody writes."""
        self._undraft()
        if not all(share.decoding for share in shares):
            return
        writing = {share.sequence: self._line.active[share.sequence] for share in shares}
        for number, tokens in drafting.drafts(writing).items():
            writing[number].draft = tokens
            self.steady = False

    def _undraft(self) -> bool:
        """Take all guesses back; say whether there were any."""
        drafted = [sequence for sequence in self._line.active.values() if sequence.draft]
        for sequence in drafted:
            sequence.draft = ()
        return bool(drafted)

    def _run(self, shares: list[ScheduledTokens]) -> tuple[int, list[Output]]:
        """Compute one batch and choose what follows, while its scores live: until the next batch.

        Returns:
            The library's code; and unless it is `_DONE`, nothing: then all is as it was before.
        """
        started_s = time.perf_counter()
        self._fill_batch(shares)
        code = self._context.decode()
        if code != _DONE:
            self.steady = False
            return code, []
        outputs: list[Output] = []
        writing = True
        for sequence, share, row in self._placed:
            sequence.computed += share.tokens
            self.pool.grew(share.sequence, share.tokens + len(sequence.draft))
            if sequence.pending:
                writing = False
            else:
                outputs += self._complete(share.sequence, sequence, row)
        step_s = time.perf_counter() - started_s
        for sequence, _share, _row in self._placed:
            sequence.took(step_s)
        prefill = prefill_tokens(shares)
        # Drafts have been cut off again by now, but their rows took their time.
        decoding = self._context.batch_rows - prefill
        self._budget.measured(decoding=decoding, prefill=prefill, step_s=step_s)
        self.steady = writing and not prefill and decoding == len(shares) == len(self._line)
        return code, outputs

    def _fill_batch(self, shares: list[ScheduledTokens]) -> None:
        """Put all shares into the batch, and note who has which."""
        if self.steady:
            self._context.go_on([placed.sequence.tokens[-1] for placed in self._placed])
            return
        self._context.clear_batch()
        self._placed = [
            _Placed(self._line.active[share.sequence], share, self._place(share))
            for share in shares
        ]

    def _place(self, share: ScheduledTokens) -> int:
        """Put a share into the batch; return under which index its last token's scores will be."""
        sequence = self._line.active[share.sequence]
        tokens = sequence.tokens[sequence.computed : sequence.computed + share.tokens]
        if sequence.draft:
            tokens += sequence.draft
            return self._context.add(share.sequence, sequence.computed, tokens, output="all")
        last = share.tokens == sequence.pending and sequence.answer is not None
        return self._context.add(
            share.sequence, sequence.computed, tokens, output="last" if last else "none"
        )

    def _run_singly(self, shares: list[ScheduledTokens]) -> list[Output]:
        """After a failed batch: find whom it failed for, so that the others need not suffer."""
        outputs: list[Output] = []
        for share in shares:
            code, made = self._run([share])
            outputs += made
            self._resynchronise(code)
            if code == _ABORTED:
                break
            # Without room it is left for the next step.
            if code not in (_DONE, _NO_ROOM):
                self._line.active[share.sequence].finish = Finish.FAILED
        return outputs

    def _resynchronise(self, code: int) -> None:
        """After a batch that may have been computed in part: see how far each sequence has come."""
        if code in (_DONE, _NO_ROOM, _INVALID):
            return
        self.pool.resynchronise()
        for number, sequence in self._line.active.items():
            sequence.computed = self.pool.length(number)

    def _complete(self, number: int, sequence: Sequence, index: int) -> Iterable[Output]:
        """A sequence is computed to its end: choose what follows."""
        answer = sequence.answer
        if answer is None:
            sequence.finish = Finish.STOP
            return ()
        if not sequence.draft:
            return (self._sample(sequence, answer, index),)
        outputs = [self._sample(sequence, answer, index - len(sequence.draft))]
        for place, guess in enumerate(sequence.draft, start=1):
            if sequence.finish is not None or sequence.tokens[-1] != guess:
                break
            sequence.computed += 1
            outputs.append(self._sample(sequence, answer, index - len(sequence.draft) + place))
        if sequence.computed < self.pool.length(number):
            self.pool.cut(number, sequence.computed)
        return (joined(outputs),)

    def _sample(self, sequence: Sequence, answer: Generation, index: int) -> Output:
        try:
            token = answer.sampler.sample(self._context, index)
        except GrammarDeadEnd as exc:
            log.warning("an answer with a schema cannot go on: %s", exc)
            sequence.finish = Finish.FAILED
            return Output(sequence.job, "", ())
        if not answer.start.ignore_eos and self._model.ends_generation(token):
            sequence.finish = Finish.STOP
            return Output(sequence.job, "", ())
        sequence.tokens.append(token)
        said = answer.add(token, self._model.piece(token))
        sequence.note_end()
        return Output(sequence.job, said.answer, (token,), said.thinking)
