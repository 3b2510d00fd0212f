"""One request on its way through the engine: the engine's events become a response. Kind: hands."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TypeVar

from inglenook.chat.profiles import Profile
from inglenook.chat.request import ChatRequest
from inglenook.chat.thinking import Channel, ThinkSplitter
from inglenook.engine.orders import (
    ChatMessage,
    Ended,
    Finish,
    Refusal,
    Refused,
    Sampling,
    Start,
    Started,
)
from inglenook.errors import Code, Problem
from inglenook.serving.response import Outcome, Response, Status

log = logging.getLogger(__name__)

_T = TypeVar("_T")

#: How far back penalties look, tokens; llama.cpp's default.
_PENALTY_LAST_N = 64

_FINISHES = {
    Finish.STOP: (Status.COMPLETED, "stop"),
    Finish.LENGTH: (Status.INCOMPLETE, "length"),
    Finish.CANCELLED: (Status.CANCELLED, None),
    Finish.FAILED: (Status.FAILED, None),
}


class Job:
    """A `Sink` that writes one `Response`.

    Attributes:
        number: The engine's name for it.
        begun_at: When it was given to the engine, monotonic seconds; None while it waits.
    """

    def __init__(
        self,
        number: int,
        start: Start,
        response: Response,
        *,
        now: Callable[[], float],
        on_over: Callable[[Job], None],
    ) -> None:
        """``on_over`` is called once, after the response has ended."""
        self.number = number
        self.start = start
        self.response = response
        self.begun_at: float | None = None
        self._now = now
        self._on_over = on_over
        self._arrived_at = now()
        self._first_text_at: float | None = None
        self._prompt_tokens = 0
        self._cached_tokens = 0
        self._splitter = ThinkSplitter(thinking=False)

    def started(self, event: Started) -> None:
        """See `Sink.started`."""
        self._prompt_tokens = event.prompt_tokens
        self._cached_tokens = event.cached_tokens
        self._splitter = ThinkSplitter(thinking=event.thinking)
        self.response.begin()

    def added(self, text: str, tokens: Sequence[int]) -> None:
        """See `Sink.added`."""
        if text:
            self._append(self._splitter.push(text))

    def ended(self, event: Ended) -> None:
        """See `Sink.ended`."""
        self._append(self._splitter.push(event.text))
        self._append(self._splitter.finish())
        status, finish_reason = _FINISHES[event.finish]
        problem = None
        if status is Status.FAILED:
            problem = Problem(Code.ENGINE_FAILED, "The model could not go on with this answer.")
        computed = self._prompt_tokens - self._cached_tokens
        # The first token comes out of the last prefill step, not of a decode step.
        decoded = event.completion_tokens - 1
        self._end(
            status,
            Outcome(
                finish_reason=finish_reason,
                prompt_tokens=self._prompt_tokens,
                completion_tokens=event.completion_tokens,
                cached_tokens=self._cached_tokens,
                queued_s=self._queued_s(),
                ttft_s=self._since_arrival(self._first_text_at),
                prefill_tok_s=_rate(computed, event.prefill_s),
                decode_tok_s=_rate(decoded, event.decode_s),
                problem=problem,
            ),
        )

    def refused(self, event: Refused) -> None:
        """See `Sink.refused`."""
        match event.why:
            case Refusal.CONTEXT_TOO_LONG:
                problem = Problem(
                    Code.CONTEXT_TOO_LONG,
                    f"The conversation is {event.prompt_tokens} tokens long; this box can hold "
                    f"{event.request_tokens_max}, answer included. Start a new one or shorten it.",
                )
            case Refusal.TEMPLATE:
                problem = Problem(
                    Code.BAD_REQUEST,
                    f"The model's chat template refused the conversation: {event.detail}",
                )
        self.fail(problem)

    def lost(self) -> None:
        """See `Sink.lost`."""
        text = "The model stopped in the middle of this answer. Please ask again."
        self.fail(Problem(Code.ENGINE_FAILED, text, retry_after_s=2.0))

    def fail(self, problem: Problem) -> None:
        """End it with an error; text so far stays."""
        outcome = Outcome(
            prompt_tokens=self._prompt_tokens, queued_s=self._queued_s(), problem=problem
        )
        self._end(Status.FAILED, outcome)

    def cancelled_unbegun(self) -> None:
        """It was cancelled while it waited."""
        self._end(Status.CANCELLED, Outcome())

    def _append(self, parts: list[tuple[Channel, str]]) -> None:
        if parts and self._first_text_at is None:
            self._first_text_at = self._now()
        for channel, text in parts:
            self.response.add(channel, text)

    def _queued_s(self) -> float | None:
        return self._since_arrival(self.begun_at)

    def _since_arrival(self, moment: float | None) -> float | None:
        return None if moment is None else round(moment - self._arrived_at, 3)

    def _end(self, status: Status, outcome: Outcome) -> None:
        self.response.end(status, outcome, self._now())
        log.info(
            "answer %s device=%s tokens=%d first_s=%s rate_tok_s=%s end=%s",
            self.response.response_id,
            self.response.device_id,
            outcome.completion_tokens,
            outcome.ttft_s,
            outcome.decode_tok_s,
            outcome.problem.code if outcome.problem else status,
        )
        self._on_over(self)


def start_order(number: int, request: ChatRequest, profile: Profile, seed: int) -> Start:
    """Turn a request into the engine's order, with the model's profile where it left the choice.

    Args:
        number: The engine's name for the job.
        request: What the client asked.
        profile: How this model likes to be asked.
        seed: Used if the request names none, so that the order alone fixes the answer.
    """
    messages = [ChatMessage(message.role, message.content) for message in request.messages]
    if profile.system is not None and messages[0].role != "system":
        messages.insert(0, ChatMessage("system", profile.system))
    sampling = Sampling(
        temperature=_or(request.temperature, profile.temperature),
        top_k=_or(request.top_k, profile.top_k),
        top_p=_or(request.top_p, profile.top_p),
        min_p=_or(request.min_p, profile.min_p),
        repeat_penalty=_or(request.repeat_penalty, 1.0),
        presence_penalty=_or(request.presence_penalty, 0.0),
        frequency_penalty=_or(request.frequency_penalty, 0.0),
        penalty_last_n=_PENALTY_LAST_N,
        seed=_or(request.seed, seed),
    )
    return Start(
        number,
        tuple(messages),
        sampling,
        request.max_tokens,
        request.stop,
        request.ignore_eos,
    )


def _or(value: _T | None, default: _T) -> _T:
    return default if value is None else value


def _rate(tokens: int, duration_s: float) -> float | None:
    return round(tokens / duration_s, 2) if tokens > 0 and duration_s > 0 else None
