"""One request on its way through the engine: the engine's events become a response. Kind: hands."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from inglenook.chat.thinking import Channel
from inglenook.common.errors import Code, Problem
from inglenook.engine.events import Finish, JobEnded, JobRefused, JobStarted
from inglenook.engine.orders import StartJob
from inglenook.serving.engine_request import problem_of
from inglenook.serving.response import Response
from inglenook.serving.response_parts import Change, Ending, Outcome, Status, TextPiece

log = logging.getLogger(__name__)

#: An answer that was running at two deaths in a row, without a new token between, is to blame for
#: the second. A kill from outside says nothing of the sort, but has to end some time too.
_STRIKES_MAX = 2.0
_KILLED_STRIKE = 0.4

#: How each end of an engine's job is told.
FINISHES = {
    Finish.STOP: (Status.COMPLETED, "stop"),
    Finish.LENGTH: (Status.INCOMPLETE, "length"),
    Finish.REPETITION: (Status.INCOMPLETE, "repetition"),
    Finish.CANCELLED: (Status.CANCELLED, None),
    Finish.FAILED: (Status.FAILED, None),
}


class Job:
    """A `Sink` that writes one `Response`, through as many engines as it takes.

    What it has to say is gathered until somebody takes it with `take_change`, so that it can be
    kept on disk before anybody sees it.

    Attributes:
        response: What it writes.
        start: The engine's order; its ``job`` is the number of the latest attempt.
        begun_at: When it was first given to the engine, monotonic seconds; None while it waits.
        over: Nothing more comes; what was gathered may still wait to be taken.
        returning: An engine, or a daemon, died under it.
        unwanted: Somebody cancelled it; should its engine die before it hears of that, it is over.
        makes_way: It was asked to let another device's answer go first.
        advance_tokens: What its device was charged for it when it was taken from the queue.
        model_id: Which model file its tokens are of, see `EngineState.model_id`; empty if unknown.
    """

    def __init__(
        self,
        start: StartJob,
        response: Response,
        now: Callable[[], float],
        desk: JobOwner,
        *,
        returning: bool = False,
        model_id: str = "",
    ) -> None:
        """Take the order; ``desk`` hears how it goes."""
        self.response = response
        self.start = start
        self.begun_at: float | None = None
        self.over = False
        self.returning = returning
        self.unwanted = False
        self.makes_way = False
        self.advance_tokens = 0.0
        self.model_id = self._told_model_id = model_id
        self._now = now
        self._desk = desk
        self._arrived_at = now()
        self._first_text_at: float | None = None
        self._prompt_tokens = 0
        self._cached_tokens: int | None = None
        self._strikes = 0.0
        self._produced = list(start.produced)
        self._begun = response.status is not Status.QUEUED
        self._begins = False
        self._parts: list[tuple[Channel, str]] = []
        self._untold_tokens: list[int] = []
        self._ending: tuple[Status, Outcome] | None = None
        # Code points of each channel that were passed on; how many of them are to come again.
        self._told = {channel: response.length(channel) for channel in Channel}
        self._known = dict(self._told)

    @property
    def gained(self) -> int:
        """Tokens it has got out of the engine since its latest start."""
        return len(self._produced) - len(self.start.produced)

    @property
    def has_tokens(self) -> bool:
        """Whether an engine has to go on after tokens of one before."""
        return bool(self._produced)

    @property
    def proving(self) -> bool:
        """Whether it has come back and got no token yet: it is to blame if its engine dies now."""
        return self.returning and not self.gained

    @property
    def tokens(self) -> int:
        """What it has cost so far, in tokens of prompt and answer; nothing if it was refused."""
        return self._prompt_tokens + len(self._produced) if self._begun else 0

    @property
    def told_tokens(self) -> tuple[int, ...]:
        """Tokens of the changes taken so far; with the response's text, what it takes to go on."""
        return tuple(self._produced[: len(self._produced) - len(self._untold_tokens)])

    @property
    def ending(self) -> tuple[Status, Outcome] | None:
        """How it ended; None before, and once it was taken by `take_change`."""
        return self._ending

    @property
    def pressing(self) -> bool:
        """Whether what is to be taken should not wait: its end, or the first text anybody sees."""
        return self._ending is not None or (bool(self._parts) and self.response.last_seq == 0)

    def can_go_on_with(self, model_id: str) -> bool:
        """Whether a model file has the vocabulary its tokens are of; see `EngineState.model_id`."""
        known = self._produced and self.model_id and model_id
        return not known or self.model_id == model_id

    def attempt(self, number: int, model_id: str = "") -> StartJob:
        """Make the order for the next attempt: as the first, but after what was written already."""
        if self.begun_at is None:
            self.begun_at = self._now()
        self.makes_way = False
        self.model_id = model_id or self.model_id
        self.start = msgspec.structs.replace(self.start, job=number, produced=tuple(self._produced))
        return self.start

    def started(self, event: JobStarted) -> None:
        """See `Sink.started`."""
        if self.over:
            return
        self._prompt_tokens = event.prompt_tokens
        self.response.adjustments = event.adjustments
        if not self._begun:
            self._begun = self._begins = True
            self._desk.news(self)

    def added(self, text: str, tokens: Sequence[int], thinking: str = "") -> None:
        """See `Sink.added`."""
        if self.over:
            return
        first = not self.gained
        self._produced += tokens
        self._untold_tokens += tokens
        self._append(text, thinking)
        if first and tokens:
            self._desk.progressed(self)

    def ended(self, event: JobEnded) -> None:
        """See `Sink.ended`."""
        if self.over:
            return
        if self._cached_tokens is None:
            # What a later attempt finds in the cache was put there by this answer itself.
            self._cached_tokens = min(event.cached_tokens, self._prompt_tokens)
        if event.finish is Finish.CANCELLED and self.makes_way and not self.unwanted:
            self._stand_aside()
            return
        self._append(event.text, event.thinking)
        status, finish_reason = FINISHES[event.finish]
        problem = None
        if status is Status.FAILED:
            problem = Problem(Code.ENGINE_FAILED, "The model could not go on with this answer.")
        computed = self._prompt_tokens + len(self.start.produced) - event.cached_tokens
        self._end(
            status,
            finish_reason=finish_reason,
            prefill_tok_s=_rate(computed, event.prefill_s),
            # The first token comes out of the last prefill step, not of a decode step.
            decode_tok_s=_rate(self.gained - 1, event.decode_s),
            problem=problem,
        )

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
        if self.gained:
            self._strikes = 0.0
        self._strikes += _KILLED_STRIKE if killed else 1.0
        if self._strikes >= _STRIKES_MAX:
            text = "The model stopped twice in a row at this answer. Please ask differently."
            self.fail(Problem(Code.ENGINE_FAILED, text))
            return
        # The next engine tells all text again, from the first character.
        self._known = dict(self._told)
        self.returning = True
        self._desk.lost(self)

    def unloaded(self) -> None:
        """See `Sink.unloaded`. It goes on like those that stood aside, when there is an engine."""
        if self.over:
            return
        if self.unwanted:
            self.cancelled()
            return
        self._stand_aside()

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
        if not (self._begins or self._parts or self._ending):
            return None
        pieces = []
        seq = self.response.next_seq
        lengths = {channel: self.response.length(channel) for channel in Channel}
        for channel, text in self._parts:
            pieces.append(TextPiece(seq, channel, lengths[channel], text))
            lengths[channel] += len(text)
            seq += 1
        # Tokens without text are of no use to a reader, nor to a later engine: they can wait.
        tokens = tuple(self._untold_tokens) if pieces else ()
        ending = None if self._ending is None else Ending(seq, *self._ending)
        model_id = "" if self.model_id == self._told_model_id else self.model_id
        change = Change(
            self.response.response_id, self._begins, tuple(pieces), tokens, ending, model_id
        )
        self._begins = False
        self._told_model_id = self.model_id
        self._parts = []
        if pieces:
            self._untold_tokens = []
        self._ending = None
        return change

    def _stand_aside(self) -> None:
        # The next engine tells all text again, from the first character.
        self._known = dict(self._told)
        self._desk.stood_aside(self)

    def _append(self, answer: str, thinking: str) -> None:
        for channel, text in ((Channel.THINKING, thinking), (Channel.ANSWER, answer)):
            again = min(self._known[channel], len(text))
            self._known[channel] -= again
            new = text[again:]
            if not new:
                continue
            self._told[channel] += len(new)
            if self._first_text_at is None:
                self._first_text_at = self._now()
            if self._parts and self._parts[-1][0] is channel:
                self._parts[-1] = (channel, self._parts[-1][1] + new)
            else:
                self._parts.append((channel, new))
            self._desk.news(self)

    def _since_arrival(self, moment: float | None) -> float | None:
        return None if moment is None else round(moment - self._arrived_at, 3)

    def _end(
        self,
        status: Status,
        *,
        finish_reason: str | None = None,
        prefill_tok_s: float | None = None,
        decode_tok_s: float | None = None,
        problem: Problem | None = None,
    ) -> None:
        outcome = Outcome(
            finish_reason=finish_reason,
            prompt_tokens=self._prompt_tokens,
            completion_tokens=len(self._produced),
            cached_tokens=self._cached_tokens or 0,
            queued_s=self._since_arrival(self.begun_at),
            ttft_s=self._since_arrival(self._first_text_at),
            prefill_tok_s=prefill_tok_s,
            decode_tok_s=decode_tok_s,
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
        self._desk.over(self)


class JobOwner(Protocol):
    """Whom a job tells how it goes; calls are synchronous."""

    def news(self, job: Job) -> None:
        """There is something to take."""

    def progressed(self, job: Job) -> None:
        """It got its first token since its latest start."""

    def lost(self, job: Job) -> None:
        """Its engine died; it wants another."""

    def stood_aside(self, job: Job) -> None:
        """It made way; it wants to go on when it is its device's turn again."""

    def over(self, job: Job) -> None:
        """It has ended; its last change waits to be taken."""


def broken_problem() -> Problem:
    """What a reader is told of an answer that a bug of ours has ended."""
    text = "Something went wrong on the box with this answer; its log says more."
    return Problem(Code.INTERNAL, text)


def _rate(tokens: int, duration_s: float) -> float | None:
    return round(tokens / duration_s, 2) if tokens > 0 and duration_s > 0 else None
