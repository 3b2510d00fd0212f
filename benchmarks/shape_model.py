"""Writes a model of Qwen2-1.5B's shape and of no sense, to measure what such a model costs.

Run as ``python -m benchmarks.shape_model PATH``. Speed depends on the dimensions and the format of
the weights alone, so they are random; the vocabulary and the chat template are the starter's, so
that both models read the same prompts as the same tokens. Kind: hands.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path

import gguf
import numpy as np
import numpy.typing as npt

from benchmarks.household import MODELS_DIR
from inglenook.common.units import format_bytes
from inglenook.models.starter import pull_starter

SHAPE_PATH = MODELS_DIR.parent / "benchmarks" / "Qwen2-1.5B-shape.Q4_0.gguf"

#: Of Qwen2-1.5B's config.json; DeepSeek-R1-Distill-Qwen-1.5B has the same.
_LAYERS, _WIDTH, _FEED_FORWARD = 28, 1536, 8960
_HEADS, _HEADS_KV, _HEAD_WIDTH = 12, 2, 128
_CONTEXT_TOKENS = 32768
_ROPE_BASE, _NORM_EPSILON = 1e6, 1e-6

_Q4_0 = gguf.GGMLQuantizationType.Q4_0

#: A block of Q4_0: one f16 scale, then 32 weights of 4 bits, each less 8.
_BLOCK_WEIGHTS, _BLOCK_BYTES = 32, 18

#: Standard deviation of a weight before it is scaled: 16 values evenly from -8 to 7.
_NIBBLE_DEVIATION = 4.6

#: Standard deviation of the scores of tokens; that of real models is about this.
_LOUD = 3.0

#: How many times quieter a token is that is not of `_WORD_LETTERS` letters. An unfinished character
#: would be held back and a control token shows nothing; and where all tokens are equally long,
#: characters tell how many there were.
_QUIET = 100.0
_WORD_LETTERS = 5


def main() -> int:
    """Write the file the command line names."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.shape_model")
    parser.add_argument("path", type=Path, help="the file to write, some 800 MiB")
    path: Path = parser.parse_args().path
    starter = asyncio.run(pull_starter(MODELS_DIR, progress=lambda _text, _fraction: None))
    write_shape_model(path, vocabulary_of=starter)
    print(f"{path}: {format_bytes(path.stat().st_size)}")
    return 0


def shape_model() -> Path:
    """Give the file where benchmarks keep theirs, and write it if it is missing."""
    if not SHAPE_PATH.exists():
        print(f"writing {SHAPE_PATH}", file=sys.stderr, flush=True)
        SHAPE_PATH.parent.mkdir(parents=True, exist_ok=True)
        starter = asyncio.run(pull_starter(MODELS_DIR, progress=lambda _text, _fraction: None))
        write_shape_model(SHAPE_PATH, vocabulary_of=starter)
    return SHAPE_PATH


def write_shape_model(path: Path, *, vocabulary_of: Path) -> None:
    """Write the model, the same bytes every time.

    Args:
        path: Appears when it is whole.
        vocabulary_of: The model whose tokens and chat template it gets.
    """
    part = path.with_suffix(".part")
    writer = gguf.GGUFWriter(part, "qwen2")
    tokens = _add_metadata(writer, gguf.GGUFReader(vocabulary_of))
    rng = np.random.default_rng(1)
    loudness = np.where([_is_word(token) for token in tokens], _LOUD, _LOUD / _QUIET)
    for name, values in _tensors(rng, loudness):
        raw = _Q4_0 if values.dtype == np.uint8 else None
        writer.add_tensor(name, values, raw_dtype=raw)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    part.replace(path)


def _add_metadata(writer: gguf.GGUFWriter, source: gguf.GGUFReader) -> list[str]:
    """Write everything but the weights; returns the vocabulary."""
    writer.add_name("Shape of Qwen2 1.5B")
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q4_0)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    writer.add_block_count(_LAYERS)
    writer.add_context_length(_CONTEXT_TOKENS)
    writer.add_embedding_length(_WIDTH)
    writer.add_feed_forward_length(_FEED_FORWARD)
    writer.add_head_count(_HEADS)
    writer.add_head_count_kv(_HEADS_KV)
    writer.add_rope_freq_base(_ROPE_BASE)
    writer.add_layer_norm_rms_eps(_NORM_EPSILON)
    for field in source.fields.values():
        if field.name.startswith("tokenizer."):
            item_type = field.types[1] if len(field.types) > 1 else None
            writer.add_key_value(field.name, field.contents(), field.types[0], item_type)
    tokens: list[str] = source.fields["tokenizer.ggml.tokens"].contents()
    return tokens


def _tensors(
    rng: np.random.Generator, loudness: npt.NDArray[np.float64]
) -> Iterator[tuple[str, npt.NDArray[np.uint8 | np.float32]]]:
    """Name and values of each; without ``output``, which is the embedding here as in Qwen2-1.5B."""
    kv_width = _HEADS_KV * _HEAD_WIDTH
    yield "token_embd.weight", _random_q4_0(rng, len(loudness), _WIDTH, loudness)
    yield "output_norm.weight", np.ones(_WIDTH, np.float32)
    for layer in range(_LAYERS):
        block = f"blk.{layer}"
        yield f"{block}.attn_norm.weight", np.ones(_WIDTH, np.float32)
        for name, width in (("q", _WIDTH), ("k", kv_width), ("v", kv_width)):
            yield f"{block}.attn_{name}.weight", _random_q4_0(rng, width, _WIDTH)
            yield f"{block}.attn_{name}.bias", rng.normal(0, 0.1, width).astype(np.float32)
        yield f"{block}.attn_output.weight", _random_q4_0(rng, _WIDTH, _WIDTH)
        yield f"{block}.ffn_norm.weight", np.ones(_WIDTH, np.float32)
        yield f"{block}.ffn_gate.weight", _random_q4_0(rng, _FEED_FORWARD, _WIDTH)
        yield f"{block}.ffn_up.weight", _random_q4_0(rng, _FEED_FORWARD, _WIDTH)
        yield f"{block}.ffn_down.weight", _random_q4_0(rng, _WIDTH, _FEED_FORWARD)


def _random_q4_0(
    rng: np.random.Generator,
    rows: int,
    columns: int,
    loudness: npt.NDArray[np.float64] | None = None,
) -> npt.NDArray[np.uint8]:
    """Random weights that keep what goes through them about as large as it was.

    The sum of ``columns`` products has their deviation times the square root of ``columns``.

    Args:
        rng: Source of the weights.
        rows, columns: Of the matrix; the columns are summed over.
        loudness: Factor of each row.
    """
    blocks = columns // _BLOCK_WEIGHTS
    values = np.empty((rows, blocks, _BLOCK_BYTES), np.uint8)
    scale = np.full(rows, 1.0) if loudness is None else loudness
    # Weights are -0.5 on average; signs take that out, or every answer would be the same word.
    signs = rng.choice([-1.0, 1.0], (rows, blocks))
    halves = (signs * scale[:, None] / (_NIBBLE_DEVIATION * columns**0.5)).astype("<f2")
    values[:, :, :2] = halves[:, :, None].view(np.uint8)
    values[:, :, 2:] = rng.integers(0, 256, (rows, blocks, _BLOCK_BYTES - 2), np.uint8)
    return values.reshape(rows, blocks * _BLOCK_BYTES)


def _is_word(token: str) -> bool:
    """Whether a token is a space, as byte-level BPE writes it, and a word of small letters."""
    space, letters = token[:1], token[1:]
    return (
        space == "\N{LATIN CAPITAL LETTER G WITH DOT ABOVE}"
        and len(letters) == _WORD_LETTERS
        and letters.isascii()
        and letters.isalpha()
        and letters.islower()
    )


if __name__ == "__main__":
    sys.exit(main())
