"""How the library can be set on a board, and how fast it is then. Kind: words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import msgspec

from inglenook.engine.settings import KvType

#: Argument of a measuring process: read the model, as its file system cannot map it.
NO_MMAP = "--no-mmap"

#: Streams written at once, beside the single one; a household's busy evening.
STREAMS = 4


class TrialSetting(msgspec.Struct, frozen=True, array_like=True):
    """What `Load` may say about how to compute.

    Attributes:
        threads: Compute threads.
        ubatch_tokens: How many tokens the library computes in one pass through the weights.
        flash_attention: ``auto`` lets the library choose by the model. A quantised `kv_type` needs
            it, whatever this says.
        kv_type: Type of the pool's cells.
    """

    threads: int
    ubatch_tokens: int = 512
    flash_attention: Literal["auto", "on", "off"] = "auto"
    kv_type: KvType = "f16"


class Workload(msgspec.Struct, frozen=True, array_like=True):
    """How much a setting has to compute; enough to measure, not more than a slow board bears.

    Attributes:
        read_tokens: Length of the prompt, and so of the conversation that is then gone on with.
        reads: How often it is read.
        writes: Tokens a single stream writes, and the streams at once write together.
    """

    read_tokens: int
    reads: int
    writes: int


class Trial(msgspec.Struct, frozen=True, array_like=True):
    """Order: compute this, so."""

    setting: TrialSetting
    workload: Workload


class TrialLoading(msgspec.Struct, frozen=True, tag=True):
    """Reading the model has come this far, 0 to 1."""

    fraction: float


class Loaded(msgspec.Struct, frozen=True, tag=True):
    """The model is there; trials may come. ``cores`` are those worth computing on."""

    cores: int


class Speed(msgspec.Struct, frozen=True, tag=True):
    """What a trial showed.

    Attributes:
        read_tok_s: Prompt tokens a second.
        write_tok_s: Tokens a second of a single stream at the end of that prompt.
        write_many_tok_s: Tokens a second of `STREAMS` streams together.
    """

    read_tok_s: float
    write_tok_s: float
    write_many_tok_s: float


class Unusable(msgspec.Struct, frozen=True, tag=True):
    """The model, or a setting, will not do; ``why`` is for the operator."""

    why: str


Answer = TrialLoading | Loaded | Speed | Unusable

encode = msgspec.json.Encoder().encode
decode_trial: Callable[[bytes], Trial] = msgspec.json.Decoder(Trial).decode
decode_answer: Callable[[bytes], Answer] = msgspec.json.Decoder(Answer).decode

#: What both decoders raise.
NOT_A_LINE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
