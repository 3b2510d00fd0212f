"""Continuous batching: one ``llama_decode`` a step for many answers. Kind: hands."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

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
from inglenook.engine.orders import Prefill, StartJob
from inglenook.engine.thinking.parser import Parser
from inglenook.engine.worker.context import Context
from inglenook.engine.worker.decode.model_runner import ModelRunner
from inglenook.engine.worker.decode.output_reader import OutputReader, joined
from inglenook.engine.worker.decode.repetition import RepetitionDetector
from inglenook.engine.worker.decode.sampler import Sampler
from inglenook.engine.worker.decode.sequence import Generation, Sequence
from inglenook.engine.worker.decode.think_budget import TokenSampler, with_think_budget
from inglenook.engine.worker.decode.think_format import ThinkFormat
from inglenook.engine.worker.kv.pool import Pool
from inglenook.engine.worker.llama import Model
from inglenook.engine.worker.prompt.state_positions import NO_MARKS, StatePositions
from inglenook.engine.worker.scheduler.scheduler import SequenceScheduler
from inglenook.engine.worker.scheduler.step_budget import StepBudget
from inglenook.engine.worker.speculation.drafting import Drafting
from inglenook.engine.worker.structured.constrained import ConstrainedSampler
from inglenook.engine.worker.structured.grammar_state import GrammarState

if TYPE_CHECKING:
    from inglenook.engine.worker.prefix.store import Store

log = logging.getLogger(__name__)


class Batcher:
    """Jobs of one engine: submitted, computed step by step, and ended."""

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
            model: The model of the context.
            context: One of its sequences is for moving blocks; those beyond ``sequences`` and that
                one hold retained tokens.
            thoughts: The model's format of thinking.
            sequences: Most answers generated at once.
            budget: Bounds the prefill of a step.
            store: The prefix store, for blocks that are evicted from the pool.
            durable: Save blocks to the store soon, because it has a disk.
            speculate: Verify drafts where that pays; the context must have room for the scores of
                `DRAFT_TOKENS_MAX` more tokens per sequence.
        """
        self._model = model
        self._context = context
        self._thoughts = thoughts
        self._budget = budget
        self.pool = Pool(context, store, durable=durable)
        self._scheduler = SequenceScheduler(self.pool, store, sequences=sequences)
        self._stores = store is not None
        drafting = None
        if speculate and context.trimmable:
            drafting = Drafting(lambda rows: budget.predict_s(decoding=rows, prefill=0))
        self._runner = ModelRunner(model, context, self.pool, self._scheduler, budget, drafting)
        #: Longest prompt plus answer of one request.
        self.request_tokens_max = min(model.trained_tokens, context.cells)

    @property
    def busy(self) -> bool:
        """Whether a job is unfinished, or its end not yet reported."""
        return self._scheduler.busy

    @property
    def steady(self) -> bool:
        """Whether the next step is like the last: all sequences decode, nothing else happens."""
        return self._runner.steady

    @property
    def blocked(self) -> bool:
        """Whether all jobs wait for the prefix store."""
        return not self.steady and self._scheduler.blocked

    def submit(
        self,
        start: StartJob,
        prompt: list[int],
        parser: Parser,
        grammar: GrammarState | None = None,
        marks: StatePositions = NO_MARKS,
    ) -> list[JobStarted | JobRefused | StepDone]:
        """Add a job with a tokenized prompt; it is computed from the next step on.

        Args:
            start: The order.
            prompt: Token ids of its conversation.
            parser: A fresh parser for its answer.
            grammar: The state of its grammar, if it has a schema.
            marks: Positions where the state is saved, for models whose state cannot be cut.

        Returns:
            Events for the daemon. An answer that is resumed after another engine's death begins
            with all its text so far: this restores held-back characters and stop strings.
        """
        if not 0 < len(prompt) < self.request_tokens_max:
            return [self._too_long(start.job, len(prompt))]
        tokens = [*prompt, *start.produced]
        sampler = Sampler(self._model, start.sampling)
        # Without the prompt, which has the question's words and the end of each turn: an answer
        # penalised for those is wrong, and no shorter.
        sampler.remember(start.produced)
        tokens_max = self.request_tokens_max
        if start.max_tokens is not None:
            tokens_max = min(len(prompt) + start.max_tokens, tokens_max)
        reader = OutputReader(parser, self._thoughts.signs, start.stop)
        chooser: TokenSampler = sampler if grammar is None else ConstrainedSampler(sampler, grammar)
        chooser = with_think_budget(chooser, reader, self._thoughts, start.thinking)
        repetition = RepetitionDetector() if start.repetition_detection else None
        answer = Generation(start, chooser, reader, tokens_max, grammar, repetition)
        sequence = Sequence(
            start.job, tokens, len(prompt), answer, start.namespace, goes_on=marks.goes_on
        )
        self._join(sequence, marks)
        started = JobStarted(start.job, len(prompt))
        if not start.produced:
            return [started]
        texts = [answer.add(token, self._model.piece(token)) for token in start.produced]
        valid = grammar is None or grammar.follow(start.produced)
        sequence.check_end()
        if not valid:
            # An engine of another release generated it, with another grammar for the schema.
            sequence.finish = Finish.FAILED
        outputs = [Output(start.job, answered, (), thought) for answered, thought in texts]
        return [started, StepDone((joined(outputs),))]

    def prefill(
        self,
        prefill: Prefill,
        tokens: list[int],
        prompt_tokens: int,
        *,
        marks: StatePositions = NO_MARKS,
    ) -> JobRefused | None:
        """Add a speculative prefill; it is computed while no answer waits.

        Args:
            prefill: The order; `step` reports its end.
            tokens: The part of the prompt that later typing will not change.
            prompt_tokens: Length of the whole prompt now.
            marks: As for `submit`.

        Returns:
            None, or the refusal if the prompt is too long to be answered.
        """
        if not 0 < prompt_tokens < self.request_tokens_max:
            return self._too_long(prefill.job, prompt_tokens)
        self._join(Sequence(prefill.job, tokens, prompt_tokens, None, prefill.namespace), marks)
        return None

    def cancel(self, job: int) -> None:
        """End a job; the next step reports it."""
        for sequence in self._scheduler:
            if sequence.job == job:
                sequence.finish = Finish.CANCELLED
                self._runner.steady = False

    def step(self) -> tuple[list[Output], list[JobEnded | PrefillDone]]:
        """Compute one token of each decoding answer and some prefill; return texts and ends."""
        ended: list[JobEnded | PrefillDone] = []
        if not self.steady:
            ended = self.take_ended()
            self._scheduler.admit()
            for number, sequence in self._scheduler.active.items():
                sequence.steps_waited += 1
                if sequence.marks and sequence.reached_mark():
                    self.pool.transfer.save_state(number)
        outputs = self._runner.step()
        return outputs, ended + self.take_ended()

    def take_ended(self) -> list[JobEnded | PrefillDone]:
        """Remove finished jobs and return their ends; `step` does it too."""
        ended = []
        for sequence in self._scheduler.take_finished():
            if sequence.answer is not None:
                sequence.answer.sampler.close()
            ended.append(sequence.end_event())
            self._runner.steady = False
        return ended

    def close(self) -> None:
        """End every job; the pool retains their tokens, which can still be saved."""
        for sequence in self._scheduler:
            sequence.interrupted = sequence.finish is None
            sequence.finish = sequence.finish or Finish.CANCELLED
        self.take_ended()

    def _join(self, sequence: Sequence, marks: StatePositions) -> None:
        if not self.pool.trimmable and self._stores:
            sequence.marks = list(marks.places)
        self._scheduler.join(sequence)
        self._runner.steady = False

    def _too_long(self, job: int, prompt_tokens: int) -> JobRefused:
        why = Refusal.CONTEXT_TOO_LONG
        return JobRefused(job, why, prompt_tokens, self.request_tokens_max)
