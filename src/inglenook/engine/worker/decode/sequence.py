"""One prompt in the engine, and the answer generated for it. Kind: words."""

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
        start: Its order from the daemon.
        sampler: Samples its tokens.
        reader: Detokenizes it, and splits thinking from answer.
        tokens_max: Bound of prompt and answer together.
        grammar: The state of its grammar, if it has a schema.
        repetition: Detects endless repetition; None if that is allowed.
        runaway: Endless repetition was detected.
        decoding: Its first token here has been sampled.
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
        """Add the next token and its bytes; return the text that can be shown now."""
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
        fetch: Blocks that the store reads; nothing is computed before they are in the pool.
        steps_waited: Steps since it was admitted, except those in which all sequences decoded.
        begun: A step has computed part of it.
        cached_tokens: Number of prompt tokens found in a cache at its first admission.
        finish: Set when it has ended and waits for removal.
        draft: Speculated tokens, verified in the next step.
        marks: Token counts at which a state is to be saved, ascending; passed ones are removed.
        goes_on: The next turn's prompt begins with this whole prompt, followed by its answer.
        interrupted: This engine exits before its end; another one resumes it.
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
        """Number of tokens to compute before the next one can be sampled."""
        return len(self.tokens) - self.computed

    @property
    def due(self) -> int:
        """Number of pending tokens up to the next mark, or all if there is none."""
        ahead = (mark for mark in self.marks if mark > self.computed)
        return next(ahead, len(self.tokens)) - self.computed

    @property
    def begins_another(self) -> bool:
        """Whether a later prompt may begin with all computed tokens of this sequence."""
        if self.answer is None or self.computed < self.prompt_tokens or self.interrupted:
            return True
        # The next turn's prompt leaves thinking out.
        return self.goes_on and not self.answer.reader.thought_tokens

    @property
    def completion_tokens(self) -> int:
        """Number of answer tokens."""
        return len(self.tokens) - self.prompt_tokens

    @property
    def written(self) -> int:
        """Number of answer tokens generated by this engine, not by one before it."""
        assert self.answer is not None
        return self.completion_tokens - len(self.answer.start.produced)

    def reached_mark(self) -> bool:
        """Return whether a state is to be saved here; remove the passed marks."""
        reached = self.computed in self.marks
        self.marks = [mark for mark in self.marks if mark > self.computed]
        return reached

    def add_step_time(self, step_s: float) -> None:
        """Add the duration of a step that it was part of."""
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
        """Set `finish` if the newest token is the last."""
        answer = self.answer
        assert answer is not None
        if answer.reader.stopped or (answer.grammar is not None and answer.grammar.complete):
            self.finish = Finish.STOP
        elif len(self.tokens) >= answer.tokens_max:
            self.finish = Finish.LENGTH
        elif answer.runaway:
            self.finish = Finish.REPETITION

    def end_event(self) -> JobEnded | PrefillDone:
        """Make the event of its end."""
        if self.answer is None:
            return PrefillDone(self.job, self.prompt_tokens, self.computed)
        assert self.finish is not None
        text = self.answer.reader.finish()
        return JobEnded(
            self.job,
            self.finish,
            text.answer,
            self.completion_tokens,
            self.cached_tokens,
            self.answer.prefill_s,
            self.answer.decode_s,
            text.thinking,
        )
