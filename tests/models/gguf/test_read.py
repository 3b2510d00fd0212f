"""Reading headers, sound ones and bytes that anything may have happened to."""

from __future__ import annotations

import contextlib
import io
import struct
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import gguf
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from inglenook.models.describe import describe
from inglenook.models.gguf.header import ArrayInfo, Header, TokenList
from inglenook.models.gguf.read import read_header
from inglenook.models.info import BadModelError
from tests.parts.gguf_files import METADATA, PARAMETERS, TOKENS, model_bytes, small_model


def read(data: bytes) -> Header:
    return read_header(io.BytesIO(data), len(data))


def test_a_header_says_what_was_written() -> None:
    """Scalars and texts come back as they were, long arrays as their length."""
    header = read(small_model())

    assert header.version == 3
    assert header.metadata["general.name"] == "Small Test Model"
    assert header.metadata["llama.block_count"] == 1
    assert header.metadata["tokenizer.ggml.tokens"] == TokenList(len(TOKENS), 0, 256)
    assert header.metadata.keys() == METADATA.keys()
    assert sum(tensor.elements for tensor in header.tensors) == PARAMETERS


def test_tensors_are_where_the_writers_own_reader_finds_them(tmp_path: Path) -> None:
    """Names, shapes and sizes agree with the reference implementation."""
    path = tmp_path / "small.gguf"
    path.write_bytes(small_model())

    ours = [(t.name, t.shape, t.size_bytes, t.type.name) for t in read(small_model()).tensors]

    assert ours == [
        (t.name, tuple(int(n) for n in t.shape), int(t.n_bytes), t.tensor_type.name)
        for t in gguf.GGUFReader(path).tensors
    ]


def test_short_arrays_of_numbers_are_kept() -> None:
    """Numbers of heads are given one by one for each layer in some models."""
    header = read(model_bytes({"llama.attention.head_count_kv": [1, 2, 0]}))

    assert header.metadata["llama.attention.head_count_kv"] == ArrayInfo(5, 3, (1, 2, 0))


def test_version_2_is_read_too() -> None:
    """Version 3 only added big-endian files."""
    data = small_model()

    assert read(data[:4] + struct.pack("<I", 2) + data[8:]).version == 2


def test_a_larger_alignment_moves_the_data() -> None:
    """The tensors are held to the alignment that the file itself declares."""
    assert read(aligned_to_64()).metadata["general.alignment"] == 64
    with pytest.raises(BadModelError, match="bytes are missing at its end"):
        read(aligned_to_64()[:-1])


def aligned_to_64() -> bytes:
    """A pair, one tensor of 16 numbers, padding to 64, data."""
    key, name = b"general.alignment", b"weight"
    header = b"GGUF" + struct.pack("<IQQ", 3, 1, 1)
    header += struct.pack("<Q", len(key)) + key + struct.pack("<II", 4, 64)
    header += struct.pack("<Q", len(name)) + name + struct.pack("<IQIQ", 1, 16, 0, 0)
    return header.ljust(128, b"\0") + bytes(64)


def test_a_header_without_end_is_refused_at_once(tmp_path: Path) -> None:
    """A sparse file of 8 GiB whose metadata claims 5 GiB of it costs neither time nor memory."""
    key = b"tokenizer.ggml.merges"
    header = b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + struct.pack("<Q", len(key)) + key
    path = tmp_path / "sparse.gguf"
    for item_type, length in ((5, 5 * 2**28), (8, 5 * 2**27)):
        with path.open("wb") as file:
            file.write(header + struct.pack("<IIQ", 9, item_type, length))
            file.truncate(8 * 2**30)

        with (
            path.open("rb") as file,
            pytest.raises(BadModelError, match="header of more than 67,108,864 bytes"),
        ):
            read_header(file, 8 * 2**30)


MUTATIONS = st.lists(
    st.tuples(
        st.integers(0, len(small_model()) - 1),
        st.one_of(
            st.binary(min_size=1, max_size=8),
            st.sampled_from([0, 1, 2**31, 2**32 - 1, 2**62, 2**64 - 1]).map(
                lambda number: struct.pack("<Q", number)
            ),
        ),
    ),
    max_size=4,
)


@contextlib.contextmanager
def soon() -> Iterator[None]:
    """Two seconds of the processor are too much, however long others have it meanwhile."""
    began_s = time.process_time()
    yield
    assert time.process_time() - began_s < 2


def peak_bytes_of_reading(data: bytes) -> int:
    """Memory it takes to describe or refuse these bytes; nothing else may happen to them."""
    tracemalloc.start()
    try:
        with contextlib.suppress(BadModelError):
            describe(Path("mutated.gguf"), len(data), read(data))
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@settings(max_examples=200)
@given(mutations=MUTATIONS, keep=st.integers(0, len(small_model())))
@example(mutations=[], keep=len(small_model()))
def test_no_bytes_do_worse_than_be_refused(mutations: list[tuple[int, bytes]], keep: int) -> None:
    """Whatever is overwritten or cut off, there is a description or a reason, in little memory."""
    data = bytearray(small_model())
    for offset, replacement in mutations:
        data[offset : offset + len(replacement)] = replacement

    with soon():
        assert peak_bytes_of_reading(bytes(data[:keep])) < 1_000_000


@settings(max_examples=200)
@given(st.binary(max_size=200))
def test_no_header_is_too_strange(tail: bytes) -> None:
    """Bytes behind the magic that nobody ever wrote are refused."""
    with soon(), pytest.raises(BadModelError):
        read(b"GGUF" + struct.pack("<I", 3) + tail)
