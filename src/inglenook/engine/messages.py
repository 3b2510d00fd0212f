"""The engine's pipe as MessagePack: orders go down, events come up. Kind: words."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from inglenook.engine.events import (
    JobEnded,
    JobRefused,
    JobStarted,
    LoadFailed,
    PrefillDone,
    Progress,
    Ready,
    StepDone,
    WorkerHello,
)
from inglenook.engine.orders import CancelJob, Limits, LoadModel, Prefill, PurgeCache, StartJob

#: Raised with every change to an order or event; both sides must agree on it first.
PIPE_VERSION = 7

Order = LoadModel | StartJob | Prefill | CancelJob | Limits | PurgeCache
Event = (
    WorkerHello
    | Progress
    | Ready
    | LoadFailed
    | JobStarted
    | PrefillDone
    | JobRefused
    | StepDone
    | JobEnded
)

encode = msgspec.msgpack.Encoder().encode
decode_order: Callable[[bytes], Order] = msgspec.msgpack.Decoder(Order).decode
decode_event: Callable[[bytes], Event] = msgspec.msgpack.Decoder(Event).decode

#: What both decoders raise: beside msgspec's own, for text that is not UTF-8 and endless nesting.
NOT_A_MESSAGE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
