"""Compilation of JSON schemas to grammars, by llguidance. Kind: hands.

Imported with the first answer that has a schema: most engines never need it.
"""

from __future__ import annotations

from typing import Final

from llguidance import LLMatcher, LLParserLimits, LLTokenizer

from inglenook.engine.worker.structured.refusal import SchemaRefused

#: White space between two parts of JSON: none, a space, or a line break with some indentation. If
#: any amount is allowed, small models generate it until they have used up their tokens.
_WHITE_SPACE: Final = r" |\n[ \t]{0,24}"

#: The library's defaults except these. With its 500,000 symbols the first mask takes seconds; with
#: 10,000 up to 0.2 s. States take some 200 bytes each; its default is 250,000. Precomputing large
#: expressions takes longer for larger vocabularies, so that the trial's time would not predict the
#: engine's.
_LIMITS: Final = LLParserLimits(
    max_grammar_size=5_000,
    max_lexer_states=100_000,
    precompute_large_lexemes=False,
    verbose_errors=False,
)

#: Longest part of the library's message that is passed on: it may quote the schema.
_WHY_CHARACTERS_MAX: Final = 200


def compile_schema(tokenizer: LLTokenizer, schema: str) -> LLMatcher:
    """Compile a schema; only after a `SchemaTrial` without a fault, as this may take for ever.

    Raises:
        SchemaRefused: If the library refuses it.
    """
    try:
        grammar = LLMatcher.grammar_from_json_schema(
            schema, overrides={"whitespace_pattern": _WHITE_SPACE}
        )
    except ValueError as exc:
        raise _refused(str(exc)) from exc
    matcher = LLMatcher(tokenizer, grammar, log_level=0, limits=_LIMITS)
    if matcher.is_error():
        raise _refused(matcher.get_error())
    return matcher


def _refused(message: str) -> SchemaRefused:
    """Pick the sentence of the library's message from the expressions and dumps around it."""
    lines = [line.strip() for line in message.splitlines()] or [""]
    why = next((line for line in lines if line.startswith("error: ")), lines[0])
    for label in ("error: ", "Unsatisfiable schema: "):
        why = why.removeprefix(label)
    return SchemaRefused(why[:_WHY_CHARACTERS_MAX].rstrip(".: "))
