"""JSON schemas as grammars, by llguidance. Kind: hands.

Imported when the first answer has to keep to a schema: most engines never need it.
"""

from __future__ import annotations

from typing import Final

from llguidance import LLMatcher, LLParserLimits, LLTokenizer

from inglenook.engine.worker.structured.refusal import SchemaRefused

#: Between two parts of JSON: nothing, a space, or a line break with some indentation. Where any
#: white space may follow any other, small models write it until they have used up their tokens.
_WHITE_SPACE: Final = r" |\n[ \t]{0,24}"

#: The library's own numbers but for these. With 500,000 symbols, as it would allow, the first mask
#: takes seconds; with 10,000 up to 0.2 s. States take some 200 bytes each; it would allow for
#: 250,000. Looking ahead for large expressions takes longer the more words a vocabulary has, which
#: makes what a schema costs hard to foresee.
_LIMITS: Final = LLParserLimits(
    max_grammar_size=5_000,
    max_lexer_states=100_000,
    precompute_large_lexemes=False,
    verbose_errors=False,
)

#: Of what the library says, so much is passed on: it may quote the schema.
_WHY_CHARACTERS_MAX: Final = 200


def compile_schema(tokenizer: LLTokenizer, schema: str) -> LLMatcher:
    """Make a grammar of a schema; `SchemaTrial` has to have gone well, or this may take for ever.

    Raises:
        SchemaRefused: If the library will not.
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


def _refused(said: str) -> SchemaRefused:
    """Pick the sentence: the library may show a regular expression before it, and itself after."""
    lines = [line.strip() for line in said.splitlines()] or [""]
    why = next((line for line in lines if line.startswith("error: ")), lines[0])
    for label in ("error: ", "Unsatisfiable schema: "):
        why = why.removeprefix(label)
    return SchemaRefused(why[:_WHY_CHARACTERS_MAX].rstrip(".: "))
