"""Answers that have to keep to a schema, until they can begin. Kind: hands."""

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

#: Of so many schemas it is remembered what came of them; each has 64 KiB at most.
_KNOWN_MAX: Final = 32


class Grammars:
    """Tries their schemas and makes their grammars.

    What it takes is imported and read when the first such answer is asked for, part by part: the
    library, and the model's vocabulary in its form. Until then it costs nothing.

    Attributes:
        waiting: Answers whose schema is not known to be good or bad yet.
    """

    def __init__(self, model: Model, thoughts: ThinkFormat, pipe: Pipe) -> None:
        """Take the pipe, which looks after the trying process between two steps."""
        self.waiting: deque[StartJob] = deque()
        self._model = model
        self._thoughts = thoughts
        self._pipe = pipe
        self._vocabulary: TokenTrie | None = None
        self._parts: Iterator[None] = iter(())
        self._ready = False
        self._trial: SchemaTrial | None = None
        #: The schema that it tries.
        self._trial_schema = ""
        #: What came of a schema: nothing if it is good.
        self._faults: dict[str | None, str] = {}
        #: By job, what its guide will be refused for; the schema may be forgotten before.
        self._settled: dict[int, SchemaRefused | SchemaUntried | None] = {}

    @property
    def pressing(self) -> bool:
        """Whether `advance` has something to do now, and not only when a schema has been tried."""
        return bool(self.waiting) and (not self._ready or self._tried)

    def add(self, start: StartJob) -> None:
        """Take an answer that has to keep to a schema."""
        self.waiting.append(start)

    def forget(self, job: int) -> StartJob | None:
        """Give back an answer that is still waiting, if it is; of a settled one nothing is kept."""
        self._settled.pop(job, None)
        for start in self.waiting:
            if start.job == job:
                self.waiting.remove(start)
                return start
        return None

    def purge(self) -> None:
        """Forget what came of schemas: their names are somebody's words."""
        self._faults.clear()
        if self._trial is not None and not self._wanting(self._trial_schema):
            self.close()

    def advance(self) -> list[StartJob]:
        """Do one part of what is to be done.

        Returns:
            Answers that can begin, or are to be refused; `make_grammar` says which.
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
            start: The order; one without a schema needs no guide.
            parser: Of the answer, which has heard nothing yet; it is copied.

        Raises:
            SchemaRefused: If it cannot be had.
            SchemaUntried: If that could not be found out just now.
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
        """End what is being tried."""
        if self._trial is not None:
            self._pipe.unwatch(self._trial)
            self._trial.close()
            self._trial = None
            self._trial_schema = ""

    @property
    def _tried(self) -> bool:
        """Whether it is known of the next one what comes of it."""
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
                # Another time it may be less: a core that is held back takes longer.
                self._settle(schema, SchemaRefused, fault)
            else:
                self._know(schema, fault)

        self._pipe.watch(trial, on_result)

    def _settle(self, schema: str, refusal: type[SchemaRefused | SchemaUntried], why: str) -> None:
        """Refuse those who wait now; who comes later has it tried again."""
        for start in self._wanting(schema):
            self._settled[start.job] = refusal(why)

    def _know(self, schema: str, fault: str) -> None:
        if len(self._faults) == _KNOWN_MAX:
            del self._faults[next(iter(self._faults))]
        self._faults[schema] = fault
