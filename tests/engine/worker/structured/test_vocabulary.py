"""Each token of a model has the same bytes in the trie as in the answer."""

from __future__ import annotations

import pytest

from inglenook.engine.worker.llama import Model
from inglenook.engine.worker.structured.grammar import compile_schema
from inglenook.engine.worker.structured.vocabulary import TokenTrie
from tests.engine.worker.constraining import vocabulary_of
from tests.engine.worker.toy import FIRST_BYTE, VOCAB_TOKENS


@pytest.fixture(params=["toy", "starter"])
def model(request: pytest.FixtureRequest) -> Model:
    """A model whose tokens are bytes, and one whose tokens are words."""
    found: Model = request.getfixturevalue(request.param)
    return found


def test_a_token_says_what_it_says_in_the_answer(model: Model) -> None:
    """Else an answer could be valid by its tokens and invalid by its text."""
    tokenizer = vocabulary_of(model).tokenizer
    assert tokenizer.vocab_size == model.vocab_tokens
    for token in range(model.vocab_tokens):
        piece = model.piece(token)
        # No text has the byte that the library marks them with.
        silent = not piece or piece[0] == 0xFF or model.ends_generation(token)
        assert tokenizer.is_special_token(token) == silent
        if not silent:
            assert tokenizer.decode_bytes([token]) == piece


def test_every_end_of_the_model_is_known(model: Model) -> None:
    """Some models have several."""
    ends = [token for token in range(model.vocab_tokens) if model.ends_generation(token)]
    assert ends
    assert vocabulary_of(model).tokenizer.eos_tokens == ends


def test_it_is_read_in_parts(starter: Model) -> None:
    """49,152 tokens over many steps; else every stream would stall."""
    vocabulary = TokenTrie(starter)
    assert sum(1 for _part in vocabulary.parts()) >= 12
    assert vocabulary.tokenizer.vocab_size == 49152


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        " a",
        '{"name": "Ada"}',
        "</think>",
        "\u00e9\U0001f525",
        "<|im_end|>",  # the name of a token of the starter's that says nothing
        "\n\n",
    ],
)
def test_text_is_written_in_tokens_that_say_it(model: Model, text: str) -> None:
    """No space before the first word, no special token for its name."""
    tokens = vocabulary_of(model).tokens_of(text.encode())
    assert b"".join(model.piece(token) for token in tokens) == text.encode()


@pytest.mark.parametrize("data", [b'"\xc3', b"a\xf0\x9f", b"\x80", b"\xc3\xa9\xc3"])
def test_half_a_character_is_written_too(model: Model, data: bytes) -> None:
    """A token may end within a character."""
    tokens = vocabulary_of(model).tokens_of(data)
    assert b"".join(model.piece(token) for token in tokens) == data


def test_tokens_are_the_models_own_where_they_can_be(starter: Model) -> None:
    """The model was trained on these."""
    text = '{"colour": "green"}'
    assert vocabulary_of(starter).tokens_of(text.encode()) == starter.tokenize(text)


def test_what_must_follow_follows_in_the_models_own_tokens(starter: Model) -> None:
    """The model was not trained on words spelled letter by letter."""
    vocabulary = vocabulary_of(starter)
    matcher = compile_schema(vocabulary.tokenizer, '{"const": "green garden"}')
    first = vocabulary.tokens_of(b'"')
    assert matcher.consume_tokens(first)
    forced = matcher.compute_ff_tokens()
    assert starter.tokenize('"green garden"')[1:][: len(forced)] == forced


def test_pieces_are_those_of_one_token_at_a_time(toy: Model, starter: Model) -> None:
    """With and without the cache, and for pieces longer than the first buffer."""
    assert toy.pieces(range(VOCAB_TOKENS)) == [toy.piece(token) for token in range(VOCAB_TOKENS)]
    assert toy.pieces([FIRST_BYTE]) == [b"\x00"]
    longest = max(range(starter.vocab_tokens), key=lambda token: len(starter.piece(token)))
    assert len(starter.piece(longest)) > 16
    assert starter.pieces([longest, 1]) == [starter.piece(longest), starter.piece(1)]
