"""Computes one batch for the active sequences, and samples their next tokens. Kind: hands."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from typing import NamedTuple

from inglenook.engine.events import Finish, Output
from inglenook.engine.worker.context import Context
from inglenook.engine.worker.decode.output_reader import joined
from inglenook.engine.worker.decode.sequence import Generation, Sequence
from inglenook.engine.worker.kv.pool import Pool
from inglenook.engine.worker.llama import Model
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
from inglenook.engine.worker.structured.grammar_state import GrammarDeadEnd

log = logging.getLogger(__name__)

#: Return values of ``llama_decode``.
_DONE = 0
_NO_ROOM = 1
_ABORTED = 2
_INVALID = -1


class _Placed(NamedTuple):
    """A share in the batch; ``row`` is the row of its last token, and of its scores."""

    sequence: Sequence
    share: ScheduledTokens
    row: int


class ModelRunner:
    """Plans and runs the batches of one context.

    Attributes:
        steady: The next batch is like the last: all sequences decode, and nothing else happens.
    """

    def __init__(
        self,
        model: Model,
        context: Context,
        pool: Pool,
        scheduler: SequenceScheduler,
        budget: StepBudget,
        drafting: Drafting | None,
    ) -> None:
        self._model = model
        self._context = context
        self._pool = pool
        self._scheduler = scheduler
        self._budget = budget
        self._drafting = drafting
        self.steady = False
        self._placed: list[_Placed] = []

    def step(self) -> list[Output]:
        """Compute the largest planned batch for which the pool has room.

        Each round either ends the loop or plans less: fewer prompt tokens, or one sequence fewer.
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
                if self._undraft() or self._pool.make_room():
                    pass
                elif planned > UNIT_TOKENS:
                    room = max(planned // 2, UNIT_TOKENS)
                else:
                    self._scheduler.make_room()
                shares = self._plan(room)
                continue
            self._resynchronise(code)
            return [] if code == _ABORTED else self._run_singly(shares)
        return []

    def _plan(self, room: int | None) -> list[ScheduledTokens]:
        """Plan the next step; ``room`` bounds its prompt tokens instead of the step budget."""
        candidates = [
            Candidate(
                number,
                sequence.due,
                decoding=sequence.answer is not None and sequence.pending == 1,
                idle=sequence.answer is None,
                steps_waited=sequence.steps_waited,
            )
            for number, sequence in self._scheduler.active.items()
            if sequence.finish is None and sequence.fetch is None
        ]
        decoding = decoding_tokens(candidates)
        if room is None:
            most = self._context.batch_tokens - decoding
            idle = all(want.idle for want in candidates)
            room = self._budget.prefill_tokens(decoding=decoding, most=most, idle=idle)
        return plan_step(candidates, room)

    def _draft(self, shares: list[ScheduledTokens], drafting: Drafting) -> None:
        """Add drafts to a step in which all sequences decode."""
        self._undraft()
        if not all(share.decoding for share in shares):
            return
        decoding = {share.sequence: self._scheduler.active[share.sequence] for share in shares}
        for number, tokens in drafting.drafts(decoding).items():
            decoding[number].draft = tokens
            self.steady = False

    def _undraft(self) -> bool:
        """Remove all drafts; return whether there were any."""
        drafted = [sequence for sequence in self._scheduler.active.values() if sequence.draft]
        for sequence in drafted:
            sequence.draft = ()
        return bool(drafted)

    def _run(self, shares: list[ScheduledTokens]) -> tuple[int, list[Output]]:
        """Compute one batch, and sample before the next one overwrites its scores.

        Returns:
            The library's code, and the outputs: none unless the code is `_DONE`.
        """
        started_s = time.perf_counter()
        self._fill_batch(shares)
        code = self._context.decode()
        if code != _DONE:
            self.steady = False
            return code, []
        outputs: list[Output] = []
        all_decode = True
        for sequence, share, row in self._placed:
            sequence.computed += share.tokens
            self._pool.grew(share.sequence, share.tokens + len(sequence.draft))
            if sequence.pending:
                all_decode = False
            else:
                outputs += self._complete(share.sequence, sequence, row)
        step_s = time.perf_counter() - started_s
        for sequence, _share, _row in self._placed:
            sequence.add_step_time(step_s)
        prefill = prefill_tokens(shares)
        # Rejected drafts are already cut from the pool, but their rows took time.
        decoding = self._context.batch_rows - prefill
        self._budget.measured(decoding=decoding, prefill=prefill, step_s=step_s)
        self.steady = all_decode and not prefill and decoding == len(shares) == len(self._scheduler)
        return code, outputs

    def _fill_batch(self, shares: list[ScheduledTokens]) -> None:
        """Put all shares into the batch, and note their rows."""
        if self.steady:
            self._context.go_on([placed.sequence.tokens[-1] for placed in self._placed])
            return
        self._context.clear_batch()
        self._placed = [
            _Placed(self._scheduler.active[share.sequence], share, self._place(share))
            for share in shares
        ]

    def _place(self, share: ScheduledTokens) -> int:
        """Put a share into the batch; return the row of its last token."""
        sequence = self._scheduler.active[share.sequence]
        tokens = sequence.tokens[sequence.computed : sequence.computed + share.tokens]
        if sequence.draft:
            tokens += sequence.draft
            return self._context.add(share.sequence, sequence.computed, tokens, output="all")
        last = share.tokens == sequence.pending and sequence.answer is not None
        return self._context.add(
            share.sequence, sequence.computed, tokens, output="last" if last else "none"
        )

    def _run_singly(self, shares: list[ScheduledTokens]) -> list[Output]:
        """Run each share of a failed batch alone, and fail only sequences that fail alone."""
        outputs: list[Output] = []
        for share in shares:
            code, made = self._run([share])
            outputs += made
            self._resynchronise(code)
            if code == _ABORTED:
                break
            # Without room it waits for the next step.
            if code not in (_DONE, _NO_ROOM):
                self._scheduler.active[share.sequence].finish = Finish.FAILED
        return outputs

    def _resynchronise(self, code: int) -> None:
        """Read the sequences' lengths from the pool, after a batch that may be partly computed."""
        if code in (_DONE, _NO_ROOM, _INVALID):
            return
        self._pool.resynchronise()
        for number, sequence in self._scheduler.active.items():
            sequence.computed = self._pool.length(number)

    def _complete(self, number: int, sequence: Sequence, index: int) -> Iterable[Output]:
        """Sample the next tokens of a sequence without pending ones, and verify its draft."""
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
        if sequence.computed < self._pool.length(number):
            self._pool.cut(number, sequence.computed)
        return (joined(outputs),)

    def _sample(self, sequence: Sequence, answer: Generation, index: int) -> Output:
        try:
            token = answer.sampler.sample(self._context, index)
        except GrammarDeadEnd as exc:
            log.warning("an answer with a schema ended: no token is allowed next: %s", exc)
            sequence.finish = Finish.FAILED
            return Output(sequence.job, "", ())
        if not answer.start.ignore_eos and self._model.ends_generation(token):
            sequence.finish = Finish.STOP
            return Output(sequence.job, "", ())
        sequence.tokens.append(token)
        text = answer.add(token, self._model.piece(token))
        sequence.check_end()
        return Output(sequence.job, text.answer, (token,), text.thinking)
