"""One prompt in the engine, and the answer that is generated for it. Kind: words."""

from __future__ import annotations

from collections.abc import Sequence as Tokens
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from inglenook.engine.events import Finish, JobEnded, PrefillDone
from inglenook.engine.orders import StartJob
from inglenook.engine.worker.decode.output_reader import OutputReader, OutputText
from inglenook.engine.worker.decode.repetition import RepetitionDetector

if TYPE_CHECKING:
    from inglenook.engine.worker.decode.think_budget import TokenSampler
    from inglenook.engine.worker.prefix.store import Fetch
    from inglenook.engine.worker.structured.grammar_state import GrammarState


@dataclass(slots=True, eq=False)
class Generation:
    """An answer that is being generated.

    Attributes:
        start: The order it came with.
        sampler: Chooses its tokens.
        reader: Tells thought and answer apart.
        tokens_max: How long prompt and answer may get together.
        guide: The state of its grammar, if it has a schema.
        repetition: Detects endless repetition; None if that is allowed.
        runaway: Endless repetition was detected.
        decoding: It has its first token here.
        prefill_s: Time of its steps before the first token here.
        decode_s: Time of its steps after that, prefill after a preemption included.
    """

    start: StartJob
    sampler: TokenSampler
    reader: OutputReader
    tokens_max: int
    grammar: GrammarState | None = None
    repetition: RepetitionDetector | None = None
    runaway: bool = False
    decoding: bool = False
    prefill_s: float = 0.0
    decode_s: float = 0.0

    def add(self, token: int, piece: bytes) -> OutputText:
        """Take the next token, and the bytes it stands for; return what can be shown now."""
        if self.repetition is not None and self.repetition.add(token):
            self.runaway = True
        return self.reader.push(token, piece)


@dataclass(slots=True, eq=False)
class Sequence:
    """One job in the batcher.

    Prompt and answer are one list of tokens, of which the pool holds the first ``computed``. That
    makes prefill, decoding, and the return after a preemption the same: compute the pending tokens,
    then sample.

    Attributes:
        job: The daemon's number for it.
        tokens: Prompt and answer so far.
        prompt_tokens: How many of them are the prompt.
        answer: None for a speculative prefill.
        namespace: See `StartJob`.
        number: Its sequence id in the pool; None while it waits or is preempted.
        computed: How many of its tokens the pool holds.
        cache_checked: The prefix store has been queried.
        fetch: Blocks that the store is reading; it is not computed before they are in the pool.
        steps_waited: Steps since it was admitted, except those in which all sequences decoded.
        begun: Whether anything of it was computed here.
        cached_tokens: How many tokens were found in a cache at its first admission.
        finish: Set when it has ended and waits to be taken out.
        draft: Speculated tokens, verified in the next step.
        marks: After how many tokens a state is to be saved, in order, as far as that lies ahead.
        goes_on: The next turn's prompt begins with all of this one's, as its answer follows there.
        interrupted: This engine exits before its end; another will continue it.
    """

    job: int
    tokens: list[int]
    prompt_tokens: int
    answer: Generation | None
    namespace: bytes = b""
    number: int | None = None
    computed: int = 0
    cache_checked: bool = False
    fetch: Fetch | None = None
    steps_waited: int = 0
    begun: bool = False
    cached_tokens: int = 0
    finish: Finish | None = None
    draft: Tokens[int] = ()
    marks: list[int] = field(default_factory=list)
    goes_on: bool = True
    interrupted: bool = False

    @property
    def pending(self) -> int:
        """How many tokens must be computed before the next one can be sampled."""
        return len(self.tokens) - self.computed

    @property
    def due(self) -> int:
        """How many of them come before anything else has to be done: a state saved."""
        ahead = (mark for mark in self.marks if mark > self.computed)
        return next(ahead, len(self.tokens)) - self.computed

    @property
    def begins_another(self) -> bool:
        """Whether a prompt may come that begins with all that is computed of this one."""
        if self.answer is None or self.computed < self.prompt_tokens or self.interrupted:
            return True
        # Thoughts are left out of the next turn.
        return self.goes_on and not self.answer.reader.thought_tokens

    @property
    def completion_tokens(self) -> int:
        """How many tokens of answer there are."""
        return len(self.tokens) - self.prompt_tokens

    @property
    def written(self) -> int:
        """How many of them were written here, and not by an engine before."""
        assert self.answer is not None
        return self.completion_tokens - len(self.answer.start.produced)

    def reached_mark(self) -> bool:
        """See whether a state is to be saved just here; those passed are done with."""
        reached = self.computed in self.marks
        self.marks = [mark for mark in self.marks if mark > self.computed]
        return reached

    def add_step_time(self, step_s: float) -> None:
        """It was part of a step that is over."""
        self.begun = True
        answer = self.answer
        if answer is None:
            return
        if answer.decoding:
            answer.decode_s += step_s
        else:
            answer.prefill_s += step_s
            answer.decoding = self.written > 0

    def check_end(self) -> None:
        """See whether the newest token was the last."""
        answer = self.answer
        assert answer is not None
        if answer.reader.stopped or (answer.grammar is not None and answer.grammar.complete):
            self.finish = Finish.STOP
        elif len(self.tokens) >= answer.tokens_max:
            self.finish = Finish.LENGTH
        elif answer.runaway:
            self.finish = Finish.REPETITION

    def end_event(self) -> JobEnded | PrefillDone:
        """The event that tells of its end."""
        if self.answer is None:
            return PrefillDone(self.job, self.prompt_tokens, self.computed)
        assert self.finish is not None
        said = self.answer.reader.finish()
        return JobEnded(
            self.job,
            self.finish,
            said.answer,
            self.completion_tokens,
            self.cached_tokens,
            self.answer.prefill_s,
            self.answer.decode_s,
            said.thinking,
        )
