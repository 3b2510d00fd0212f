"""Every message of the WebSocket, one class each, as in docs/protocol.md. Kind: words."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

#: The one subprotocol name a phone asks for, and the version in the first frame.
SUBPROTOCOL = "inglenook.v1"
VERSION = 1

#: What a phone may have echoed. Short, since many pongs may wait for a phone that does not read.
Moment = int | float | Annotated[str, msgspec.Meta(max_length=128)] | None

# ---- from the phone ---------------------------------------------------------------------------


class Client(msgspec.Struct, frozen=True):
    """What the phone's program calls itself; only for the log."""

    name: str = ""
    version: str = ""


class Auth(msgspec.Struct, frozen=True, tag="auth"):
    """Always the first message."""

    token: str
    client: Client = Client()


class Generate(msgspec.Struct, frozen=True, tag="generate"):
    """Ask something. ``request`` is an OpenAI chat body, checked where it is understood."""

    id: str
    request: dict[str, Any]
    idempotency_key: str | None = None


class Prepare(msgspec.Struct, frozen=True, tag="prepare"):
    """A request that is likely to follow: a conversation just opened, a question half typed."""

    id: str
    request: dict[str, Any]


class Cancel(msgspec.Struct, frozen=True, tag="cancel"):
    """End a response; it ends ``cancelled``."""

    response_id: str


class Resume(msgspec.Struct, frozen=True, tag="resume"):
    """Go on reading a response after frame ``after``."""

    response_id: str
    after: int = 0


class Ping(msgspec.Struct, frozen=True, tag="ping"):
    """Are you there? Browsers cannot see control pings."""

    t: Moment = None


FromPhone = Auth | Generate | Prepare | Cancel | Resume | Ping

# ---- from the box -----------------------------------------------------------------------------


class AuthRequired(msgspec.Struct, frozen=True, tag="auth_required"):
    """First frame of all."""

    server_id: str
    name: str
    v: int = VERSION


class AuthOk(msgspec.Struct, frozen=True, tag="auth_ok"):
    """The phone is known; ``limits`` and ``state`` are as in docs/protocol.md."""

    device_id: str
    scopes: tuple[str, ...]
    resume_ttl_s: float
    limits: dict[str, int]
    state: dict[str, Any]


class AuthInvalid(msgspec.Struct, frozen=True, tag="auth_invalid"):
    """The phone is not known; the connection closes with 4401 after this."""

    code: str
    message: str


class Queued(msgspec.Struct, frozen=True, tag="response.queued"):
    """The response waits; ``id`` is left out for a phone that reads by ``resume``."""

    response_id: str
    position: int
    eta_s: float
    reason: str
    id: str | msgspec.UnsetType = msgspec.UNSET


class Created(msgspec.Struct, frozen=True, tag="response.created"):
    """The model has begun; ``adjustments`` say what its chat template made necessary."""

    id: str
    response_id: str
    model: str
    trimmed_messages: int = 0
    adjustments: tuple[str, ...] = ()


class Delta(msgspec.Struct, frozen=True, tag="response.delta"):
    """More text; ``offset`` counts code points of the channel before it."""

    response_id: str
    seq: int
    channel: str
    offset: int
    text: str


class Usage(msgspec.Struct, frozen=True):
    """Tokens of a response."""

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int


class Timings(msgspec.Struct, frozen=True):
    """Speed of a response; None where it never got that far."""

    queued_s: float | None = None
    ttft_s: float | None = None
    prefill_tok_s: float | None = None
    decode_tok_s: float | None = None


class ErrorBody(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why a response failed."""

    code: str
    message: str
    retry_after_s: float | None = None


class Done(msgspec.Struct, frozen=True, tag="response.done"):
    """The response is over; exactly one for each."""

    response_id: str
    seq: int
    status: str
    finish_reason: str | None
    usage: Usage
    timings: Timings
    error: ErrorBody | None = None


class Prepared(msgspec.Struct, frozen=True, tag="prepared"):
    """The prefill is over: ``cached_tokens`` of the prompt are ready now."""

    id: str
    prompt_tokens: int
    cached_tokens: int


class ResumeGone(msgspec.Struct, frozen=True, tag="resume_gone"):
    """The response is no longer kept."""

    response_id: str


class Rewound(msgspec.Struct, frozen=True, tag="response.rewound"):
    """After a power cut: forget everything after ``seq`` and cut each channel to its offset."""

    response_id: str
    seq: int
    offsets: dict[str, int]


class Pong(msgspec.Struct, frozen=True, tag="pong"):
    """Answer to `Ping`, with its ``t``."""

    t: Moment = None


class State(msgspec.Struct, frozen=True, tag="state"):
    """How the box is; on change, at most once a second."""

    state: dict[str, Any]


class Error(msgspec.Struct, frozen=True, tag="error", omit_defaults=True):
    """A message could not be taken; the connection stays open."""

    code: str
    message: str
    id: str | None = None
    retry_after_s: float | None = None


ToPhone = (
    AuthRequired
    | AuthOk
    | AuthInvalid
    | Queued
    | Created
    | Delta
    | Done
    | Prepared
    | ResumeGone
    | Rewound
    | Pong
    | State
    | Error
)
