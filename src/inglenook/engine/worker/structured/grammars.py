"""Answers with a schema that wait for its trial and grammar. Kind: hands."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from inglenook.engine.worker.llama import Model
from inglenook.engine.worker.structured.refusal import SchemaRefused, SchemaUntried

if TYPE_CHECKING:
    from inglenook.engine.orders import StartJob
    from inglenook.engine.thinking.parser import Parser
    from inglenook.engine.worker.decode.think_format import ThinkFormat
    from inglenook.engine.worker.pipe import Pipe
    from inglenook.engine.worker.structured.grammar_state import GrammarState
    from inglenook.engine.worker.structured.schema_trial import SchemaTrial
    from inglenook.engine.worker.structured.vocabulary import TokenTrie

#: Number of schemas whose results are remembered; each has at most 64 KiB.
_KNOWN_MAX: Final = 32


class Grammars:
    """Trials of schemas, and the compiled grammars of answers.

    The library and the model's vocabulary in its form are loaded part by part when the first
    request with a schema arrives; before, they cost nothing.

    Attributes:
        waiting: Answers whose schema has not been tried yet.
    """

    def __init__(self, model: Model, thoughts: ThinkFormat, pipe: Pipe) -> None:
        """Take the pipe, which watches the trial's process between two steps."""
        self.waiting: deque[StartJob] = deque()
        self._model = model
        self._thoughts = thoughts
        self._pipe = pipe
        self._vocabulary: TokenTrie | None = None
        self._parts: Iterator[None] = iter(())
        self._ready = False
        self._trial: SchemaTrial | None = None
        #: The schema on trial.
        self._trial_schema = ""
        #: Result of the trial by schema: an empty string if it compiled.
        self._faults: dict[str | None, str] = {}
        #: Result by job; kept separately, as the schema's result may be evicted before.
        self._settled: dict[int, SchemaRefused | SchemaUntried | None] = {}

    @property
    def pressing(self) -> bool:
        """Whether `advance` has work now, without waiting for a trial's result."""
        return bool(self.waiting) and (not self._ready or self._tried)

    def add(self, start: StartJob) -> None:
        """Add an answer with a schema."""
        self.waiting.append(start)

    def forget(self, job: int) -> StartJob | None:
        """Remove a job; return its order if it was still waiting for its trial."""
        self._settled.pop(job, None)
        for start in self.waiting:
            if start.job == job:
                self.waiting.remove(start)
                return start
        return None

    def purge(self) -> None:
        """Forget all results: schemas contain a user's names."""
        self._faults.clear()
        if self._trial is not None and not self._wanting(self._trial_schema):
            self.close()

    def advance(self) -> list[StartJob]:
        """Load one part, settle the answers whose schema was tried, and start the next trial.

        Returns:
            Answers that can begin, or will be refused by `make_grammar`.
        """
        if not self.waiting:
            return []
        if not self._ready:
            self._prepare()
        settled = []
        while self.waiting and self._ready and self._tried:
            start = self.waiting.popleft()
            if start.job not in self._settled:
                fault = self._faults[start.schema]
                self._settled[start.job] = SchemaRefused(fault) if fault else None
            settled.append(start)
        if self.waiting and self._trial is None and not self._tried:
            self._try(self.waiting[0].schema or "")
        return settled

    def make_grammar(self, start: StartJob, parser: Parser) -> GrammarState | None:
        """Make the grammar for an answer that `advance` gave back.

        Args:
            start: The order; None is returned if it has no schema.
            parser: A fresh parser for the answer; it is copied.

        Raises:
            SchemaRefused: If the schema is invalid or too expensive.
            SchemaUntried: If the trial itself failed; another one may succeed.
        """
        if start.schema is None:
            return None
        from inglenook.engine.worker.structured.grammar import compile_schema
        from inglenook.engine.worker.structured.grammar_state import GrammarState

        refusal = self._settled.pop(start.job)
        if refusal is not None:
            raise refusal
        assert self._vocabulary is not None
        matcher = compile_schema(self._vocabulary.tokenizer, start.schema)
        return GrammarState(self._model, self._vocabulary, matcher, self._thoughts, parser.copy())

    def close(self) -> None:
        """End the trial in progress, if any."""
        if self._trial is not None:
            self._pipe.unwatch(self._trial)
            self._trial.close()
            self._trial = None
            self._trial_schema = ""

    @property
    def _tried(self) -> bool:
        """Whether the first waiting answer has a result."""
        start = self.waiting[0]
        return start.job in self._settled or start.schema in self._faults

    def _wanting(self, schema: str) -> list[StartJob]:
        return [start for start in self.waiting if start.schema == schema]

    def _prepare(self) -> None:
        if self._vocabulary is None:
            from inglenook.engine.worker.structured.vocabulary import TokenTrie

            self._vocabulary = TokenTrie(self._model)
            self._parts = self._vocabulary.parts()
        else:
            self._ready = bool(next(self._parts, "over"))

    def _try(self, schema: str) -> None:
        from inglenook.engine.worker.structured.schema_trial import TOO_MUCH, SchemaTrial

        try:
            self._trial = trial = SchemaTrial(schema)
        except OSError as exc:
            self._settle(schema, SchemaUntried, exc.strerror or "it failed")
            return
        self._trial_schema = schema

        def on_result() -> None:
            try:
                fault = trial.read()
            except SchemaUntried as exc:
                self.close()
                self._settle(schema, SchemaUntried, exc.why)
                return
            if fault is None:
                return
            self.close()
            if fault == TOO_MUCH:
                # Not remembered: a later trial may be quicker, as on a core that is not throttled.
                self._settle(schema, SchemaRefused, fault)
            else:
                self._know(schema, fault)

        self._pipe.watch(trial, on_result)

    def _settle(self, schema: str, refusal: type[SchemaRefused | SchemaUntried], why: str) -> None:
        """Refuse the answers that wait now; later ones have the schema tried again."""
        for start in self._wanting(schema):
            self._settled[start.job] = refusal(why)

    def _know(self, schema: str, fault: str) -> None:
        if len(self._faults) == _KNOWN_MAX:
            del self._faults[next(iter(self._faults))]
        self._faults[schema] = fault
