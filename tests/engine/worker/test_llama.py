"""The library as we use it: its refusals become sentences, and its numbers can be relied upon."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import llama_cpp.llama_cpp as lib
import numpy as np
import pytest

from inglenook.common.errors import EngineError
from inglenook.engine.orders import ChatMessage
from inglenook.engine.settings import KvType
from inglenook.engine.worker.context import Context
from inglenook.engine.worker.llama import BATCH_TOKENS, Model, ModelRefused
from inglenook.engine.worker.prompt.prompt import PromptMaker
from tests.engine.worker.toy import FIRST_BYTE, TRAINED_TOKENS, VOCAB_TOKENS, write_toy_vocabulary

Scores = np.ndarray[tuple[int, ...], np.dtype[np.float32]]


def go_on(_fraction: float) -> bool:
    return True


@pytest.fixture
def context(toy: Model) -> Iterator[Context]:
    """A small pool of the toy model's."""
    context = Context(toy, cells=256, kv_type="f16", sequences=4, threads=1)
    yield context
    context.close()


def test_what_is_known_of_a_model_is_what_its_file_says(toy: Model) -> None:
    """Vocabulary, training, special tokens."""
    assert (toy.vocab_tokens, toy.trained_tokens) == (VOCAB_TOKENS, TRAINED_TOKENS)
    assert (toy.special_text("bos"), toy.special_text("eos")) == ("<s>", "</s>")
    assert toy.adds_bos
    assert [token for token in range(VOCAB_TOKENS) if toy.ends_generation(token)] == [2]


def test_the_starter_model_takes_chatml(starter: Model) -> None:
    """Its markers are one token each, and the end of a turn ends generation."""
    begin, *_name, end = starter.tokenize("<|im_start|>user<|im_end|>")
    assert starter.ends_generation(end)
    assert not starter.ends_generation(begin)
    assert (starter.piece(begin), starter.piece(end)) == (b"", b"")
    assert not starter.adds_bos


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "hello world",
        "  two  spaces\n\n",
        "né\u0301e 日本語 \U0001f525",
        "x" * 3000,
        "\x00",
    ],
)
def test_a_text_comes_back_out_of_its_tokens(starter: Model, text: str) -> None:
    """Nothing is added and nothing is lost."""
    tokens = starter.tokenize(text)
    assert b"".join(starter.piece(token) for token in tokens).decode() == text


def test_a_vocabulary_that_puts_a_space_first_finds_room_for_it(toy: Model) -> None:
    """More tokens than bytes, then; the toy model's has no token of its own for a space."""
    assert bytes(token - FIRST_BYTE for token in toy.tokenize("a")) == "\u2581a".encode()


def test_half_a_surrogate_pair_is_no_text(starter: Model) -> None:
    """A template can make one; it must not take the engine down."""
    assert starter.tokenize("a\ud800") == starter.tokenize("a?")


@pytest.mark.parametrize("token", [-1, VOCAB_TOKENS, 2**31 - 1])
def test_what_is_no_token_stands_for_nothing(toy: Model, token: int) -> None:
    """The library would end the process."""
    assert toy.piece(token) == b""


def test_loading_tells_how_far_it_has_come(toy_path: Path) -> None:
    """From nothing to everything, never backwards."""
    heard: list[float] = []

    def hear(fraction: float) -> bool:
        heard.append(fraction)
        return True

    Model(str(toy_path), hear).close()

    assert heard == sorted(heard)
    assert heard[-1] == 1.0


def test_loading_can_be_given_up(toy_path: Path) -> None:
    """As when the daemon exits while a large model is being loaded."""
    with pytest.raises(ModelRefused):
        Model(str(toy_path), lambda fraction: fraction < 0.5)


def _nothing(_data: bytes) -> bytes:
    return b""


def _no_gguf(_data: bytes) -> bytes:
    return b"hello" * 100


def _half(data: bytes) -> bytes:
    return data[: len(data) // 2]


def _unknown(data: bytes) -> bytes:
    return data.replace(b"\x05" + bytes(7) + b"llama", b"\x05" + bytes(7) + b"lluma", 1)


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (_nothing, "failed to read magic"),
        (_no_gguf, "invalid magic characters: 'hell', expected 'GGUF'"),
        (_half, "data is not within the file bounds, model is corrupted or incomplete"),
        (_unknown, "unknown model architecture: 'lluma'"),
    ],
)
def test_a_file_that_is_no_model_is_refused_with_the_librarys_reason(
    toy_path: Path, tmp_path: Path, spoil: Callable[[bytes], bytes], why: str
) -> None:
    """The operator reads what is wrong with it."""
    path = tmp_path / "model.gguf"
    path.write_bytes(spoil(toy_path.read_bytes()))

    with pytest.raises(ModelRefused) as refused:
        Model(str(path), go_on)

    assert why in str(refused.value)


def test_a_missing_file_is_refused_with_its_path(tmp_path: Path) -> None:
    """It may have gone since the daemon looked."""
    with pytest.raises(ModelRefused, match=r"nowhere\.gguf.*No such file"):
        Model(str(tmp_path / "nowhere.gguf"), go_on)


def test_a_pool_the_library_will_not_make_is_refused_with_its_reason(toy: Model) -> None:
    """Mostly for want of memory; here for more sequences than it can count."""
    with pytest.raises(ModelRefused, match=r"a context of 256 tokens .*must be <= 256"):
        Context(toy, cells=256, kv_type="f16", sequences=257, threads=1)


def test_the_pool_says_how_large_it_became(toy: Model) -> None:
    """The library rounds up to 256 cells; a batch is never larger than what was asked for."""
    for cells, made, batch in [(300, 512, 300), (5000, 5120, BATCH_TOKENS)]:
        context = Context(toy, cells=cells, kv_type="q8_0", sequences=3, threads=1)
        assert (context.cells, context.batch_tokens) == (made, batch)
        context.close()


def test_a_sequence_grows_and_is_forgotten_in_part_and_as_a_whole(context: Context) -> None:
    """Its length is the pool's own account of it."""
    context.clear_batch()
    context.add(1, 0, [5, 6, 7, 8], output="last")
    assert context.length(1) == 0
    assert context.decode() == 0
    assert (context.length(1), context.length(0)) == (4, 0)
    assert context.forget(1, 3)
    assert context.length(1) == 3
    assert context.forget(1)
    assert context.length(1) == 0


def test_the_place_of_the_scores_is_that_of_the_last_token(context: Context) -> None:
    """Counted over the whole batch."""
    context.clear_batch()
    assert context.add(0, 0, [5, 6, 7], output="none") == 2
    assert context.add(1, 0, [5], output="last") == 3


@pytest.mark.parametrize(
    ("sequence", "tokens"), [(4, 1), (-1, 1), (0, 257)], ids=["too high", "negative", "too long"]
)
def test_what_has_no_place_in_the_batch_is_refused(
    context: Context, sequence: int, tokens: int
) -> None:
    """The library would write past the end of its arrays."""
    context.clear_batch()
    with pytest.raises(EngineError, match="no place in the batch"):
        context.add(sequence, 0, [5] * tokens, output="last")


def test_a_batch_goes_on_with_the_next_token_of_each(context: Context) -> None:
    """The same as to fill it anew: same sequences, next places, scores wanted as before."""
    found = []
    for anew in (True, False):
        context.clear_batch()
        context.add(0, 0, [5, 6, 7], output="none")
        context.add(1, 0, [5], output="none")
        assert context.decode() == 0
        for tokens in ([8, 9], [10, 11]):
            if anew or tokens == [8, 9]:
                context.clear_batch()
                for sequence, token in enumerate(tokens):
                    context.add(sequence, context.length(sequence), [token], output="last")
            else:
                context.go_on(tokens)
            assert context.batch_rows == 2
            assert context.decode() == 0
        assert [context.length(sequence) for sequence in range(2)] == [5, 3]
        rows = [lib.llama_get_logits_ith(context.handle, row) for row in range(2)]
        found.append([np.ctypeslib.as_array(row, shape=(VOCAB_TOKENS,)).copy() for row in rows])
        context.forget(0)
        context.forget(1)

    assert np.array_equal(found[0], found[1])


def test_a_batch_goes_on_with_as_many_tokens_as_it_has(context: Context) -> None:
    """Else a sequence would be computed twice, or with the token of another."""
    context.clear_batch()
    context.add(0, 0, [5], output="last")
    with pytest.raises(EngineError, match="cannot follow a batch of 1"):
        context.go_on([6, 7])


def test_a_token_that_is_none_changes_nothing(context: Context) -> None:
    """The whole batch is refused, and the pool is as it was."""
    context.clear_batch()
    context.add(0, 0, [5, 6], output="last")
    context.add(1, 0, [VOCAB_TOKENS], output="last")
    assert context.decode() == -1
    assert (context.length(0), context.length(1)) == (0, 0)


def test_a_full_pool_changes_nothing(context: Context) -> None:
    """What is in it stays, what came is not."""
    context.clear_batch()
    context.add(0, 0, [5] * 250, output="last")
    assert context.decode() == 0
    context.clear_batch()
    context.add(1, 0, [5] * 10, output="last")
    assert context.decode() == 1
    assert (context.length(0), context.length(1)) == (250, 0)


def scores(
    model: Model, tokens: Sequence[int], cuts: Sequence[int], company: int, kv_type: KvType
) -> Scores:
    """What follows a prompt that is computed in parts of these sizes, with others in each batch."""
    context = Context(model, cells=1024, kv_type=kv_type, sequences=9, threads=1)
    try:
        done, index, part = 0, 0, 0
        while done < len(tokens):
            chunk = tokens[done : done + cuts[part % len(cuts)]]
            context.clear_batch()
            for other in range(1, company + 1):
                context.add(other, context.length(other), [FIRST_BYTE + other], output="last")
            index = context.add(0, done, chunk, output="last")
            assert context.decode() == 0
            done += len(chunk)
            part += 1
        found = lib.llama_get_logits_ith(context.handle, index)
        return np.ctypeslib.as_array(found, shape=(model.vocab_tokens,)).copy()
    finally:
        context.close()


@pytest.mark.parametrize("kv_type", ["f16", "q8_0"])
@pytest.mark.parametrize(
    ("cuts", "company"),
    [((32,), 0), ((1,), 0), ((32, 17, 60, 2), 0), ((65,), 0), ((32,), 8), ((100,), 8)],
)
def test_cuts_and_company_change_nothing_but_rounding(
    toy: Model, kv_type: KvType, cuts: tuple[int, ...], company: int
) -> None:
    """However a prompt is cut, whatever shares its batches, the next token is the same.

    To the last bit it need not be: kernels are chosen by how many rows there are.
    """
    tokens = [FIRST_BYTE + 7 * place % 256 for place in range(130)]
    whole = scores(toy, tokens, (130,), 0, kv_type)

    assert np.allclose(scores(toy, tokens, cuts, company, kv_type), whole, atol=0.02)
    assert whole.std() > 1


def test_a_comma_is_no_beginning(tmp_path: Path) -> None:
    """Of a file that names no begin token the library takes token 11, whatever that is."""
    path = tmp_path / "vocabulary.gguf"
    write_toy_vocabulary(path, ["<|a|>"], [], names_ends=False)
    model = Model(str(path), lambda _fraction: True, vocab_only=True)

    assert model.piece(int(lib.llama_vocab_bos(model._vocab))) == b","
    assert (model.special_text("bos"), model.special_text("eos")) == ("", "")
    template = "{{ bos_token }}{% for message in messages %}{{ message.content }}{% endfor %}"
    tokens, _thinking = PromptMaker(model, template).tokens([ChatMessage("user", "hi")])
    assert b"".join(map(model.piece, tokens)) == b"hi"
    model.close()


@pytest.mark.parametrize("names_ends", [True, False])
def test_a_begin_token_of_the_file_or_of_its_kind_is_one(
    tmp_path: Path, toy: Model, names_ends: bool
) -> None:
    """Named, it may be anything; and where SentencePiece has it, it is a control token."""
    path = tmp_path / "vocabulary.gguf"
    write_toy_vocabulary(path, [], [], names_ends=names_ends)
    model = Model(str(path), lambda _fraction: True, vocab_only=True)

    assert model.special_text("bos") == ("<end>" if names_ends else "")
    assert (toy.special_text("bos"), toy.special_text("eos")) == ("<s>", "</s>")
    model.close()
