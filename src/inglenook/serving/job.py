"""One request on its way through the engine: the engine's events become a response. Kind: hands."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from inglenook.common.errors import Code, Problem
from inglenook.engine.events import Finish, JobEnded, JobRefused, JobStarted
from inglenook.engine.orders import StartJob
from inglenook.serving.attempts import Attempts
from inglenook.serving.engine_request import problem_of
from inglenook.serving.job_outcome import FINISHES, JobOwner, JobPublisher, elapsed_s, rates_of
from inglenook.serving.response import Response
from inglenook.serving.response_parts import Change, Ending, Outcome, Status
from inglenook.serving.transcript import Transcript

log = logging.getLogger(__name__)


class Job:
    """A `Sink` that writes one `Response`, through as many engines as it takes.

    What it has to say is gathered until somebody takes it with `take_change`, so that it can be
    kept on disk before anybody sees it.

    Attributes:
        response: What it writes.
        owner: Is told how it goes.
        attempts: Its tokens, and the engine's order for the latest attempt.
        begun_at: When it was first given to the engine, monotonic seconds; None while it waits.
        over: Nothing more comes; what was gathered may still wait to be taken.
        requeued: It is one whose engine, or daemon, has died.
        unwanted: It was cancelled; should its engine die before that is done, it is over.
        preempting: The engine was told to end it; it goes on later.
        advance_tokens: What its device was charged for it when it was taken from the queue.
    """

    def __init__(
        self,
        start: StartJob,
        response: Response,
        now: Callable[[], float],
        owner: JobOwner,
        publisher: JobPublisher,
        *,
        requeued: bool = False,
        model_id: str = "",
    ) -> None:
        """Take the order; ``owner`` is called with its progress, ``publisher`` with new text."""
        self.response = response
        self.attempts = Attempts(start, model_id)
        self.begun_at: float | None = None
        self.over = False
        self.requeued = requeued
        self.unwanted = False
        self.preempting = False
        self.advance_tokens = 0.0
        self._now = now
        self.owner = owner
        self.publisher = publisher
        self._arrived_at = now()
        self._first_text_at: float | None = None
        self._prompt_tokens = 0
        self._cached_tokens: int | None = None
        self._begun = response.status is not Status.QUEUED
        self._begins = False
        self._transcript = Transcript(response)
        self._ending: tuple[Status, Outcome] | None = None

    @property
    def start(self) -> StartJob:
        """The engine's order; its ``job`` is the number of the latest attempt."""
        return self.attempts.start

    @property
    def gained(self) -> int:
        """Tokens it has got out of the engine since its latest start."""
        return self.attempts.gained

    @property
    def proving(self) -> bool:
        """Whether it has come back and got no token yet: it is to blame if its engine dies now."""
        return self.requeued and not self.gained

    @property
    def tokens(self) -> int:
        """What it has cost so far, in tokens of prompt and answer; nothing if it was refused."""
        return self._prompt_tokens + len(self.attempts) if self._begun else 0

    @property
    def ending(self) -> tuple[Status, Outcome] | None:
        """How it ended; None before, and once it was taken by `take_change`."""
        return self._ending

    @property
    def pressing(self) -> bool:
        """Whether what is to be taken should not wait: its end, or the first text anybody sees."""
        return self._ending is not None or (bool(self._transcript) and self.response.last_seq == 0)

    def attempt(self, number: int, model_id: str = "") -> StartJob:
        """Make the order for the next attempt: as the first, but after what was written already."""
        if self.begun_at is None:
            self.begun_at = self._now()
        self.preempting = False
        return self.attempts.begin(number, model_id)

    def started(self, event: JobStarted) -> None:
        """See `Sink.started`."""
        if self.over:
            return
        self._prompt_tokens = event.prompt_tokens
        self.response.adjustments = event.adjustments
        if not self._begun:
            self._begun = self._begins = True
            self.publisher.news(self)

    def added(self, text: str, tokens: Sequence[int], thinking: str = "") -> None:
        """See `Sink.added`."""
        if self.over:
            return
        first = not self.gained
        self.attempts.add(tokens)
        self._append(text, thinking)
        if first and tokens:
            self.owner.progressed(self)

    def ended(self, event: JobEnded) -> None:
        """See `Sink.ended`."""
        if self.over:
            return
        if self._cached_tokens is None:
            # What a later attempt finds in the cache was put there by this answer itself.
            self._cached_tokens = min(event.cached_tokens, self._prompt_tokens)
        if event.finish is Finish.CANCELLED and self.preempting and not self.unwanted:
            self._preempted()
            return
        self._append(event.text, event.thinking)
        status, finish_reason = FINISHES[event.finish]
        problem = None
        if status is Status.FAILED:
            problem = Problem(Code.ENGINE_FAILED, "The model could not go on with this answer.")
        rates = rates_of(event, self._prompt_tokens, len(self.start.produced), self.gained)
        self._end(status, finish_reason=finish_reason, rates=rates, problem=problem)

    def refused(self, event: JobRefused) -> None:
        """See `Sink.refused`."""
        if self.over:
            return
        self._prompt_tokens = event.prompt_tokens
        self.fail(problem_of(event))

    def lost(self, *, killed: bool) -> None:
        """See `Sink.lost`. It goes on with the next engine, unless it seems to kill them."""
        if self.over:
            return
        if self.unwanted:
            self.cancelled()
            return
        if self.attempts.died(killed=killed):
            text = "The model stopped twice in a row at this answer. Please ask differently."
            self.fail(Problem(Code.ENGINE_FAILED, text))
            return
        self._transcript.begin_again()
        self.requeued = True
        self.owner.engine_lost(self)

    def unloaded(self) -> None:
        """See `Sink.unloaded`. It goes on like those that stood aside, when there is an engine."""
        if self.over:
            return
        if self.unwanted:
            self.cancelled()
            return
        self._preempted()

    def broken(self) -> None:
        """See `Sink.broken`: a bug of ours must cost one answer only."""
        if not self.over:
            self.fail(broken_problem())

    def fail(self, problem: Problem) -> None:
        """End it with an error; text so far stays."""
        self._end(Status.FAILED, problem=problem)

    def cancelled(self) -> None:
        """It was cancelled while no engine had it."""
        self._end(Status.CANCELLED)

    def take_change(self) -> Change | None:
        """Take what was gathered; None if there is nothing a reader could see."""
        if not (self._begins or self._transcript or self._ending):
            return None
        pieces = tuple(self._transcript.take())
        # Tokens without text are of no use to a reader, nor to a later engine: they can wait.
        tokens = self.attempts.take_tokens() if pieces else ()
        seq = self.response.next_seq + len(pieces)
        ending = None if self._ending is None else Ending(seq, *self._ending)
        model_id = self.attempts.take_model_id()
        begins, self._begins, self._ending = self._begins, False, None
        return Change(self.response.response_id, begins, pieces, tokens, ending, model_id)

    def _preempted(self) -> None:
        self._transcript.begin_again()
        self.owner.preempted(self)

    def _append(self, answer: str, thinking: str) -> None:
        if self._transcript.append(answer, thinking):
            if self._first_text_at is None:
                self._first_text_at = self._now()
            self.publisher.news(self)

    def _end(
        self,
        status: Status,
        *,
        finish_reason: str | None = None,
        rates: tuple[float | None, float | None] = (None, None),
        problem: Problem | None = None,
    ) -> None:
        outcome = Outcome(
            finish_reason=finish_reason,
            prompt_tokens=self._prompt_tokens,
            completion_tokens=len(self.attempts),
            cached_tokens=self._cached_tokens or 0,
            queued_s=elapsed_s(self._arrived_at, self.begun_at),
            ttft_s=elapsed_s(self._arrived_at, self._first_text_at),
            prefill_tok_s=rates[0],
            decode_tok_s=rates[1],
            problem=problem,
        )
        self._ending = (status, outcome)
        self.over = True
        log.info(
            "answer %s device=%s tokens=%d first_s=%s rate_tok_s=%s finish=%s end=%s",
            self.response.response_id,
            self.response.device_id,
            outcome.completion_tokens,
            outcome.ttft_s,
            outcome.decode_tok_s,
            finish_reason,
            problem.code if problem else status,
        )
        self.owner.over(self)


def broken_problem() -> Problem:
    """What a reader is told of an answer that a bug of ours has ended."""
    text = "Something went wrong on the box with this answer; its log says more."
    return Problem(Code.INTERNAL, text)
