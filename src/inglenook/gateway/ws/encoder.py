"""What a phone is sent of responses and problems. Kind: rules."""

from __future__ import annotations

import msgspec

from inglenook.common.errors import Problem
from inglenook.protocol.codec import TEXT_BYTES_MAX
from inglenook.protocol.messages import (
    Created,
    Delta,
    Done,
    Error,
    ErrorBody,
    Queued,
    Rewound,
    Timings,
    ToPhone,
    Usage,
)
from inglenook.serving.cursor import Begun, ResponseCursor, ResponseEvent
from inglenook.serving.response import Response
from inglenook.serving.response_parts import Cut, Outcome, QueuePosition, TextPiece


class ResponseReader:
    """One connection's cursor into a response, whose events it encodes.

    Attributes:
        request_id: The phone's, if it asked on this connection; None for a resumed response.
    """

    def __init__(self, response: Response, *, request_id: str | None, after: int) -> None:
        """Begin after frame ``after``."""
        self.response = response
        self.request_id = request_id
        self._cursor = ResponseCursor(response, after=after, resumed=request_id is None)

    @property
    def over(self) -> bool:
        """Whether the end has been taken."""
        return self._cursor.over

    def take(self) -> list[ToPhone]:
        """Everything that is new since the last call."""
        return [self._message(event) for event in self._cursor.take(TEXT_BYTES_MAX)]

    def _message(self, event: ResponseEvent) -> ToPhone:
        response_id = self.response.response_id
        match event:
            case QueuePosition():
                request_id = msgspec.UNSET if self.request_id is None else self.request_id
                return Queued(response_id, event.position, event.eta_s, event.reason, request_id)
            case Begun():
                assert self.request_id is not None
                return Created(
                    self.request_id, response_id, event.model, adjustments=event.adjustments
                )
            case TextPiece():
                return Delta(response_id, event.seq, event.channel, event.offset, event.text)
            case _:
                return done(self.response, event)


def done(response: Response, outcome: Outcome) -> Done:
    """The end of a response."""
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


def rewound(response: Response, cut: Cut) -> Rewound:
    """How far the phone's copy is still good."""
    offsets = {str(channel): offset for channel, offset in cut.offsets.items()}
    return Rewound(response.response_id, cut.seq, offsets)


def error(problem: Problem, request_id: str | None) -> Error:
    """The one form of an error on an open connection."""
    return Error(problem.code, problem.text, request_id, problem.retry_after_s)
