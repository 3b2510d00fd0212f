"""One answer being written: its tokens, its place in the pool, its text so far. Kind: words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from inglenook.engine.orders import Ended, Finish, Start
from inglenook.engine.worker.text import TextAssembler

if TYPE_CHECKING:
    from inglenook.engine.worker.sampler import Sampler


@dataclass(slots=True, eq=False)
class Sequence:
    """What the batcher knows of one job.

    Prompt and answer are one list of tokens; ``computed`` says how far the pool has it. That makes
    prefill, decoding, and coming back after having been parked the same thing: compute what is
    pending, then sample.

    Attributes:
        start: The order it came with.
        tokens: Prompt and answer so far.
        prompt_tokens: How many of them are the prompt.
        number: Its sequence id in the pool; None while it waits or is parked.
        computed: How many of its tokens the pool holds.
        cached_tokens: How many of them were not computed but found, when it first came in.
        finish: Set when it has ended and is only waiting to be taken out.
        prefill_s: Time of steps it took part in before its first token here.
        decode_s: Time of steps it took part in after that, coming back from being parked included.
    """

    start: Start
    tokens: list[int]
    prompt_tokens: int
    sampler: Sampler
    text: TextAssembler
    number: int | None = None
    computed: int = 0
    cached_tokens: int = 0
    finish: Finish | None = None
    prefill_s: float = 0.0
    decode_s: float = 0.0

    @property
    def pending(self) -> int:
        """How many tokens must be computed before the next one can be sampled."""
        return len(self.tokens) - self.computed

    @property
    def completion_tokens(self) -> int:
        """How many tokens of answer there are."""
        return len(self.tokens) - self.prompt_tokens

    @property
    def written(self) -> int:
        """How many of them were written here, and not by an engine before."""
        return self.completion_tokens - len(self.start.produced)

    def ended(self, finish: Finish) -> Ended:
        """The event that tells of its end."""
        return Ended(
            self.start.job,
            finish,
            self.text.finish(),
            self.completion_tokens,
            self.cached_tokens,
            self.prefill_s,
            self.decode_s,
        )
