"""What keeping to a JSON schema costs a token, and how often a model had to be told.

Run as ``python -m benchmarks.speed.grammar MODEL THREADS TOKENS ROUND`` it is an engine that writes
one answer without a schema and one with, token by token; `grammar` is its parent. Kind: hands.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.speed.question import story
from benchmarks.speed.result import Bench, Ledger, Result
from benchmarks.speed.servers import CELLS
from benchmarks.speed.stream import Unmeasurable
from inglenook.engine.environment import engine_environment
from inglenook.engine.orders import ChatMessage, Sampling, StartJob
from inglenook.models.inspect import inspect_model

if TYPE_CHECKING:
    from inglenook.engine.worker.decode.batcher import Batcher
    from inglenook.engine.worker.decode.think_format import ThinkFormat
    from inglenook.engine.worker.llama import Model
    from inglenook.engine.worker.structured.grammar_state import GrammarState

_CHILD_S = 600.0

_FREE, _KEPT = "free", "with a schema"

#: A list that is never long enough, so that both answers have as many tokens.
_SCHEMA = {
    "type": "array",
    "items": {
        "type": "object",
        "properties": {
            "name": {"type": "string", "maxLength": 20},
            "age": {"type": "integer", "minimum": 0, "maximum": 120},
            "likes": {"type": "array", "items": {"enum": ["tea", "coffee"]}, "maxItems": 2},
        },
        "required": ["name", "age", "likes"],
        "additionalProperties": False,
    },
    "minItems": 1000,
}


def grammar(bench: Bench) -> Result:
    """One answer with a schema and one without, in turns."""
    ledger = Ledger()
    for number in range(bench.rounds):
        bench.say(f"grammar, round {number + 1}")
        setting = bench.setting
        words = (setting.model, setting.threads, bench.lengths.answer, number)
        try:
            child = subprocess.run(
                [sys.executable, "-m", "benchmarks.speed.grammar", *map(str, words)],
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=engine_environment(),
                timeout=_CHILD_S,
                check=True,
            )
        except subprocess.SubprocessError as exc:
            raise Unmeasurable(f"the engine wrote no answers: {exc}") from exc
        measured: dict[str, float] = json.loads(child.stdout)
        ledger.note("a token", _FREE, "ms", measured["free_s"] * 1000)
        ledger.note("a token", _KEPT, "ms", measured["kept_s"] * 1000)
        ledger.note("chosen again", _KEPT, "%", 100 * measured["resampled"])
    ledger.claim("a token: of a free one", ("a token", _KEPT), ("a token", _FREE), at_most=1.1)
    return ledger.result("grammar", bench.setting)


def main() -> int:
    """Be the engine; print the median time of a token of each answer, and the share told."""
    from inglenook.engine.worker.context import Context
    from inglenook.engine.worker.decode.batcher import Batcher
    from inglenook.engine.worker.llama import Model
    from inglenook.engine.worker.prompt.prompt import PromptMaker
    from inglenook.engine.worker.scheduler.step_budget import StepBudget

    path, threads, tokens, number = Path(sys.argv[1]), *map(int, sys.argv[2:])
    model = Model(str(path), lambda _fraction: True)
    context = Context(model, cells=CELLS, kv_type="f16", sequences=4, threads=threads)
    maker = PromptMaker(model, inspect_model(path).chat_template)
    thoughts = maker.template.thoughts
    batcher = Batcher(model, context, thoughts, sequences=2, budget=StepBudget(0.2))
    question = story(number, tokens)
    messages = [ChatMessage(m["role"], m["content"] + " As JSON.") for m in question.messages]
    prompt, _thinking = maker.tokens(messages)
    sampling = Sampling(0.7, 40, 0.95, 0.05, 1.0, 0.0, 0.0, 64, question.seed)
    grammar = _grammar(model, thoughts)
    free_s = kept_s = 0.0
    resampled = 0
    for kept in (True, False) if number % 2 else (False, True):
        start = StartJob(int(kept), (), sampling, tokens, (), not kept)
        batcher.submit(start, list(prompt), thoughts.parser(""), grammar=grammar if kept else None)
        (sequence,) = batcher._scheduler  # noqa: SLF001 its counter is nobody else's business
        assert sequence.answer is not None
        if kept:
            kept_s = _steps_s(batcher)
            resampled = getattr(sequence.answer.sampler, "resampled", 0)
        else:
            free_s = _steps_s(batcher)
    print(json.dumps({"free_s": free_s, "kept_s": kept_s, "resampled": resampled / tokens}))
    return 0


def _grammar(model: Model, thoughts: ThinkFormat) -> GrammarState:
    from inglenook.engine.worker.structured.grammar import compile_schema
    from inglenook.engine.worker.structured.grammar_state import GrammarState
    from inglenook.engine.worker.structured.vocabulary import TokenTrie

    vocabulary = TokenTrie(model)
    for _part in vocabulary.parts():
        pass
    matcher = compile_schema(vocabulary.tokenizer, json.dumps(_SCHEMA))
    return GrammarState(model, vocabulary, matcher, thoughts, thoughts.parser(""))


def _steps_s(batcher: Batcher) -> float:
    """Step to the end; returns how long the middle step took, seconds."""
    found = []
    while batcher.busy:
        began_s = time.perf_counter()
        batcher.step()
        found.append(time.perf_counter() - began_s)
    return median(found)


if __name__ == "__main__":
    sys.exit(main())
