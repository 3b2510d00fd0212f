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
from inglenook.engine.worker.plan import Share, plan_step, prompt_tokens
from inglenook.engine.worker.sampler import Sampler
from inglenook.engine.worker.sequence import Sequence
from inglenook.engine.worker.text import TextAssembler

_DONE = 0
_NO_ROOM = 1
_ABORTED = 2


class Batcher:
    """Writes as many answers at once as the context has sequences; the rest wait their turn."""

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
        sampler.remember(tokens)
        sequence = Sequence(start, tokens, len(prompt), sampler, TextAssembler(start.stop))
        self._waiting.append(sequence)
        started = Started(start.job, len(prompt), thinking)
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
        outputs = self._advance()
        return outputs, ended + self._take_ended()

    def close(self) -> None:
        """Give every sampler back."""
        for sequence in (*self._active.values(), *self._waiting):
            sequence.sampler.close()

    def _admit(self) -> None:
        """Give waiting sequences a number, in order, while all that is active fits the pool."""
        while self._waiting and self._free:
            # Each may grow by a chunk before the next look; a pool packed to the last cell would
            # only park somebody in the very next step.
            held = sum(len(active.tokens) + CHUNK_TOKENS for active in self._active.values())
            if self._active and held + len(self._waiting[0].tokens) > self._context.cells:
                return
            sequence = self._waiting.popleft()
            sequence.number = self._free.pop()
            self._active[sequence.number] = sequence

    def _advance(self) -> list[Output]:
        """Compute the best batch the library will take.

        Every round either ends this or asks for less: fewer prompt tokens, or one sequence fewer.
        """
        decoders = sum(1 for sequence in self._active.values() if sequence.pending == 1)
        prefill_tokens = self._budget.prefill_tokens(
            decoding=decoders > 0, most=self._context.batch_tokens - decoders
        )
        while shares := plan_step(self._pending(), prefill_tokens):
            code, outputs = self._run(shares)
            if code == _DONE:
                return outputs
            if code == _NO_ROOM:
                planned = prompt_tokens(shares)
                if planned > CHUNK_TOKENS:
                    prefill_tokens = max(planned // 2, CHUNK_TOKENS)
                else:
                    self._make_room()
                continue
            self._resynchronise()
            return [] if code == _ABORTED else self._run_singly(shares)
        return []

    def _pending(self) -> dict[int, int]:
        return {
            number: sequence.pending
            for number, sequence in self._active.items()
            if sequence.finish is None
        }

    def _run(self, shares: list[Share]) -> tuple[int, list[Output]]:
        """Compute one batch and choose what follows, while its scores live: until the next batch.

        Returns:
            The library's code; and unless it is `_DONE`, nothing: then all is as it was before.
        """
        started_s = time.perf_counter()
        self._context.clear_batch()
        placed = [(self._active[share.sequence], share, self._place(share)) for share in shares]
        code = self._context.decode()
        if code != _DONE:
            return code, []
        newcomers = [sequence for sequence, _share, _index in placed if not sequence.written]
        outputs = []
        for sequence, share, index in placed:
            sequence.computed += share.tokens
            if not sequence.pending:
                outputs.append(self._sample(sequence, index))
        step_s = time.perf_counter() - started_s
        for sequence, _share, _index in placed:
            if sequence in newcomers:
                sequence.prefill_s += step_s
            else:
                sequence.decode_s += step_s
        self._budget.measured(prompt_tokens(shares), step_s)
        return code, outputs

    def _place(self, share: Share) -> int:
        """Put a share into the batch; return under which index its last token's scores will be."""
        sequence = self._active[share.sequence]
        tokens = sequence.tokens[sequence.computed : sequence.computed + share.tokens]
        last = share.tokens == sequence.pending
        return self._context.add(share.sequence, sequence.computed, tokens, output=last)

    def _run_singly(self, shares: list[Share]) -> list[Output]:
        """After a failed batch: find whom it failed for, so that the others need not suffer."""
        outputs = []
        for share in shares:
            code, made = self._run([share])
            outputs += made
            if code == _ABORTED:
                self._resynchronise()
                break
            # Without room it is left for the next step.
            if code not in (_DONE, _NO_ROOM):
                self._active[share.sequence].finish = Finish.FAILED
        return outputs

    def _make_room(self) -> None:
        """Park the newest sequence: it gives its cells back and is computed again later."""
        sequence = list(self._active.values())[-1]
        if len(self._active) == 1:
            # Alone and still no room: the pool is as long as an answer here can get.
            sequence.finish = Finish.LENGTH
            return
        self._release(sequence)
        self._waiting.appendleft(sequence)

    def _resynchronise(self) -> None:
        """After an aborted or failed batch: believe the pool how far each sequence has come."""
        for number, sequence in self._active.items():
            sequence.computed = min(sequence.computed, self._context.length(number))
            if not self._context.forget(number, sequence.computed):
                self._context.forget(number)
                sequence.computed = 0

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
            ended.append(sequence.ended(sequence.finish))
        return ended

    def _release(self, sequence: Sequence) -> None:
        """Take a sequence's number and cells away."""
        assert sequence.number is not None
        self._context.forget(sequence.number)
        del self._active[sequence.number]
        self._free.append(sequence.number)
        sequence.number = None
        sequence.computed = 0
