"""One connection reading one response: what it has been told, and what comes next. Kind: rules."""

from __future__ import annotations

import msgspec

from inglenook.protocol.codec import TEXT_BYTES_MAX
from inglenook.protocol.messages import (
    Created,
    Delta,
    Done,
    ErrorBody,
    Queued,
    Timings,
    ToPhone,
    Usage,
)
from inglenook.serving.response import Response
from inglenook.serving.response_parts import Outcome, QueuePosition, Status


class ResponseReader:
    """A cursor into a response.

    Attributes:
        over: The phone has been told the end.
    """

    def __init__(self, response: Response, *, request_id: str | None, after: int) -> None:
        """Begin after frame ``after``; without a ``request_id`` it is a resumed one."""
        self.response = response
        self.request_id = request_id
        # A phone that has seen the end is owed nothing, least of all a second end.
        self.over = response.status.over and after >= response.last_seq
        self._seq = after
        self._place: QueuePosition | None = None
        self._created = request_id is None

    def take(self) -> list[ToPhone]:
        """Everything the phone has not been told, and count it as told."""
        response = self.response
        if self.over or not response.opened:
            return []
        messages: list[ToPhone] = []
        if response.status is Status.QUEUED:
            if response.place is not None and response.place != self._place:
                self._place = response.place
                messages.append(self._queued(response.place))
            return messages
        if not self._created and self.request_id is not None:
            self._created = True
            messages.append(
                Created(
                    self.request_id,
                    response.response_id,
                    response.model,
                    adjustments=response.adjustments,
                )
            )
        for piece in response.after(self._seq, TEXT_BYTES_MAX):
            self._seq = piece.seq
            messages.append(
                Delta(response.response_id, piece.seq, piece.channel, piece.offset, piece.text)
            )
        if response.outcome is not None:
            self.over = True
            messages.append(done(response, response.outcome))
        return messages

    def _queued(self, place: QueuePosition) -> Queued:
        return Queued(
            self.response.response_id,
            place.position,
            place.eta_s,
            place.reason,
            msgspec.UNSET if self.request_id is None else self.request_id,
        )


def done(response: Response, outcome: Outcome) -> Done:
    """Say how a response ended."""
    problem = outcome.problem
    return Done(
        response.response_id,
        response.last_seq,
        response.status,
        outcome.finish_reason,
        Usage(outcome.prompt_tokens, outcome.completion_tokens, outcome.cached_tokens),
        Timings(outcome.queued_s, outcome.ttft_s, outcome.prefill_tok_s, outcome.decode_tok_s),
        None if problem is None else ErrorBody(problem.code, problem.text, problem.retry_after_s),
    )
