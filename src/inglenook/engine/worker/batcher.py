"""Continuous batching: many answers, one ``llama_decode`` a step. Kind: hands."""

from __future__ import annotations

import time
from collections import deque

from inglenook.engine.orders import (
    Ended,
    Finish,
    Output,
    Refusal,
    Refused,
    Start,
    Started,
    Step,
)
from inglenook.engine.worker.budget import CHUNK_TOKENS, StepBudget
from inglenook.engine.worker.llama import Context, Model
from inglenook.engine.worker.plan import Share, plan_step
from inglenook.engine.worker.sampler import Sampler
from inglenook.engine.worker.sequence import Sequence
from inglenook.engine.worker.text import TextAssembler

_DONE = 0
_NO_ROOM = 1
_ABORTED = 2


class Batcher:
    """Writes up to as many answers at once as the context has sequences; the rest wait their turn."""

    def __init__(
        self, model: Model, context: Context, *, sequences: int, budget: StepBudget
    ) -> None:
        """Take over a fresh context; nothing else may use it."""
        self._model = model
        self._context = context
        self._budget = budget
        self._free = list(range(sequences - 1, -1, -1))
        self._active: dict[int, Sequence] = {}
        self._waiting: deque[Sequence] = deque()
        #: Longest prompt plus answer of one request.
        self.request_tokens_max = min(model.trained_tokens, context.cells)

    @property
    def busy(self) -> bool:
        """Whether there is anything to do."""
        return bool(self._active or self._waiting)

    def submit(
        self, start: Start, prompt: list[int], *, thinking: bool
    ) -> list[Started | Refused | Step]:
        """Take a job whose prompt is in tokens already; it is computed from the next step on.

        Returns:
            What to tell the daemon. An answer that goes on after another engine's death begins with
            all its text so far: held-back characters and stop strings are then where they were.
        """
        if not 0 < len(prompt) < self.request_tokens_max:
            refused = Refused(
                start.job,
                Refusal.CONTEXT_TOO_LONG,
                prompt_tokens=len(prompt),
                request_tokens_max=self.request_tokens_max,
            )
            return [refused]
        tokens = [*prompt, *start.produced]
        sampler = Sampler(self._model, start.sampling)
        sampler.remember(tokens[-start.sampling.penalty_last_n :])
        sequence = Sequence(start, tokens, len(prompt), sampler, TextAssembler(start.stop))
        self._waiting.append(sequence)
        started = Started(start.job, len(prompt), 0, thinking)
        if not start.produced:
            return [started]
        pieces = [sequence.text.push(self._model.piece(token)) for token in start.produced]
        self._note_end(sequence)
        return [started, Step((Output(start.job, "".join(pieces), ()),))]

    def cancel(self, job: int) -> None:
        """End a job; the next step reports it."""
        for sequence in (*self._active.values(), *self._waiting):
            if sequence.start.job == job:
                sequence.finish = Finish.CANCELLED

    def step(self) -> tuple[list[Output], list[Ended]]:
        """Compute one token of every answer under way and some of the newcomers' prompts."""
        ended = self._take_ended()
        self._admit()
        started_s = time.perf_counter()
        computed = self._compute()
        step_s = time.perf_counter() - started_s
        outputs = []
        decoded = prefilled = 0
        for sequence, share, index in computed:
            if share.tokens > 1 or sequence.completion_tokens == 0:
                sequence.prefill_s += step_s
                prefilled += share.tokens
            else:
                sequence.decode_s += step_s
                decoded += 1
            if index is not None:
                outputs.append(self._sample(sequence, index))
        if computed:
            self._budget.measured(prefilled, decoded, step_s)
        return outputs, ended + self._take_ended()

    def close(self) -> None:
        """Give every sampler back."""
        for sequence in (*self._active.values(), *self._waiting):
            sequence.sampler.close()

    def _admit(self) -> None:
        """Give waiting sequences a number, in order, while all that is active still fits the pool."""
        while self._waiting and self._free:
            # Each may grow by a chunk before the next look; a pool packed to the last cell would
            # only park somebody in the very next step.
            held = sum(len(active.tokens) + CHUNK_TOKENS for active in self._active.values())
            if self._active and held + len(self._waiting[0].tokens) > self._context.cells:
                return
            sequence = self._waiting.popleft()
            sequence.number = self._free.pop()
            self._active[sequence.number] = sequence

    def _compute(self) -> list[tuple[Sequence, Share, int | None]]:
        """Run the library on the best batch it will take; return who got what, and where scores are."""
        decoders = sum(1 for sequence in self._active.values() if sequence.pending == 1)
        prefill_tokens = self._budget.prefill_tokens(
            decoding=decoders > 0, most=self._context.batch_tokens - decoders
        )
        while self._active:
            pending = {number: sequence.pending for number, sequence in self._active.items()}
            shares = plan_step(pending, prefill_tokens)
            placed = self._fill(shares)
            code = self._context.decode()
            if code == _DONE:
                for sequence, share, _index in placed:
                    sequence.computed += share.tokens
                return placed
            if code == _NO_ROOM:
                planned = sum(share.tokens for share in shares if share.tokens > 1)
                if planned > CHUNK_TOKENS:
                    prefill_tokens = max(planned // 2 // CHUNK_TOKENS, 1) * CHUNK_TOKENS
                else:
                    self._make_room()
                continue
            self._resynchronise()
            return [] if code == _ABORTED else self._compute_singly(shares)
        return []

    def _fill(self, shares: list[Share]) -> list[tuple[Sequence, Share, int | None]]:
        self._context.clear_batch()
        placed = []
        for share in shares:
            sequence = self._active[share.sequence]
            first = sequence.computed
            last = share.tokens == sequence.pending
            index = self._context.add(
                share.sequence,
                first,
                sequence.tokens[first : first + share.tokens],
                output=last,
            )
            placed.append((sequence, share, index if last else None))
        return placed

    def _make_room(self) -> None:
        """Park the newest sequence: it gives its cells back and is computed again when there is room."""
        number = next(reversed(self._active))
        sequence = self._active[number]
        if len(self._active) == 1:
            # Alone and still no room: the pool is as long as an answer here can get.
            sequence.finish = Finish.LENGTH
        else:
            self._waiting.appendleft(sequence)
        self._release(sequence)

    def _resynchronise(self) -> None:
        """After an aborted or failed decode: believe the pool about how far each sequence has come."""
        for number, sequence in self._active.items():
            sequence.computed = min(sequence.computed, self._context.length(number))
            self._context.forget(number, sequence.computed)

    def _compute_singly(self, shares: list[Share]) -> list[tuple[Sequence, Share, int | None]]:
        """After a failed batch: find the sequence it failed for, so that the others need not suffer.

        Scores live until the next decode only, so those that work are sampled one a step from here:
        the first that works is this step's whole result.
        """
        for share in shares:
            placed = self._fill([share])
            if self._context.decode() == _DONE:
                placed[0][0].computed += share.tokens
                return placed
            placed[0][0].finish = Finish.FAILED
            self._resynchronise()
        return []

    def _sample(self, sequence: Sequence, index: int) -> Output:
        token = sequence.sampler.sample(self._context, index)
        start = sequence.start
        if self._model.ends_generation(token) and not start.ignore_eos:
            sequence.finish = Finish.STOP
            return Output(start.job, "", ())
        sequence.tokens.append(token)
        text = sequence.text.push(self._model.piece(token))
        self._note_end(sequence)
        return Output(start.job, text, (token,))

    def _note_end(self, sequence: Sequence) -> None:
        """See whether the newest token was the last."""
        if sequence.text.stopped:
            sequence.finish = Finish.STOP
        elif (
            sequence.completion_tokens == sequence.start.max_tokens
            or len(sequence.tokens) >= self.request_tokens_max
        ):
            sequence.finish = Finish.LENGTH

    def _take_ended(self) -> list[Ended]:
        ended = []
        for sequence in [*self._active.values(), *self._waiting]:
            if sequence.finish is None:
                continue
            if sequence.number is None:
                self._waiting.remove(sequence)
            else:
                self._release(sequence)
            sequence.sampler.close()
            ended.append(
                Ended(
                    sequence.start.job,
                    sequence.finish,
                    sequence.text.finish(),
                    sequence.completion_tokens,
                    sequence.prefill_s,
                    sequence.decode_s,
                )
            )
        return ended

    def _release(self, sequence: Sequence) -> None:
        """Take a sequence's number and cells away."""
        assert sequence.number is not None
        self._context.forget(sequence.number)
        del self._active[sequence.number]
        self._free.append(sequence.number)
        sequence.number = None
        sequence.computed = 0
