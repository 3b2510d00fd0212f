"""Text becomes tokens as the library would have it, also from the middle of a text on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import llama_cpp.llama_cpp as lib
import pytest

from inglenook.engine.worker.llama import Model


@pytest.fixture(scope="module", params=["phi-3", "llama-spm", "qwen2", "gemma-4", "gpt-2"])
def model(request: pytest.FixtureRequest, vocabularies: Path) -> Iterator[Model]:
    """SentencePiece, which puts a space before what it is given, and others."""
    path = vocabularies / f"{request.param}.gguf"
    model = Model(str(path), lambda _fraction: True, vocab_only=True)
    yield model
    model.close()


def said(model: Model, tokens: list[int]) -> str:
    return b"".join(model._read_piece(token, special=True) for token in tokens).decode()


@pytest.mark.parametrize(
    "text", ["hello", " hello", "<", "|im_end|>", "\u6211\u4eec", "\n\nx", "é"]
)
def test_what_is_continued_has_no_space_of_its_own(model: Model, text: str) -> None:
    """So pieces tokenised one by one have the tokens of the whole."""
    assert said(model, model.tokenize(text, continued=True)) == text
    assert said(model, model.tokenize(text)) in (text, f" {text}")


def test_special_tokens_are_all_the_library_looks_for(model: Model) -> None:
    """Each is found by its text alone, whatever stands around it."""
    special = model.tokenizer.special_tokens
    assert special
    for token in special[:50]:
        tokens = model.tokenize(f"x{token.text}x")
        [found] = [token_id for token_id in tokens if said(model, [token_id]) == token.text]
        control = lib.LLAMA_TOKEN_ATTR_CONTROL | lib.LLAMA_TOKEN_ATTR_UNKNOWN
        attribute = lib.llama_vocab_get_attr(model._vocab, found)
        assert token.control is bool(attribute & control)


def test_no_token_says_more_than_the_longest(model: Model) -> None:
    """Bytes divided by it are tokens at least."""
    longest = max(map(len, model.pieces(range(model.vocab_tokens))))
    assert longest <= model.tokenizer.longest_bytes <= 2 * longest + 64


def test_only_the_vocabulary_is_enough(model: Model) -> None:
    """Nothing else of the file is there."""
    assert model.vocab_tokens > 10_000
