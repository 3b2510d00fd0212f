"""Our table of number formats against the library that computes with them."""

from __future__ import annotations

import ctypes
import importlib.util
from pathlib import Path

import gguf
import pytest

from inglenook.models.gguf.ggml_types import FILE_TYPES, TENSOR_TYPES


@pytest.fixture(scope="module")
def ggml() -> ctypes.CDLL:
    """The ggml that the engine uses, without the rest of llama.cpp."""
    spec = importlib.util.find_spec("llama_cpp")
    assert spec is not None
    assert spec.origin is not None
    library = ctypes.CDLL(str(Path(spec.origin).parent / "lib" / "libggml-base.so"))
    library.ggml_blck_size.restype = ctypes.c_int64
    library.ggml_type_size.restype = ctypes.c_size_t
    library.ggml_type_name.restype = ctypes.c_char_p
    return library


def test_every_size_is_the_librarys(ggml: ctypes.CDLL) -> None:
    """A wrong size would call sound files damaged, or damaged ones sound."""
    for type_id, ours in TENSOR_TYPES.items():
        assert ggml.ggml_type_name(type_id).decode().upper() == ours.name.upper()
        assert ggml.ggml_blck_size(type_id) == ours.block_elements
        assert ggml.ggml_type_size(type_id) == ours.block_bytes


def test_no_format_is_missing() -> None:
    """Whatever the writer of GGUF files can write, we can name."""
    assert {int(kind) for kind in gguf.GGMLQuantizationType} <= TENSOR_TYPES.keys()
    guessed = gguf.LlamaFileType.GUESSED
    assert {int(kind) for kind in gguf.LlamaFileType if kind != guessed} <= FILE_TYPES.keys()


def test_file_types_have_their_short_names() -> None:
    """The name people look for on a download page: Q4_K_M, not MOSTLY_Q4_K_M."""
    for kind in gguf.LlamaFileType:
        if kind.value in FILE_TYPES:
            assert (
                kind.name.removeprefix("MOSTLY_")
                .removeprefix("ALL_")
                .startswith(FILE_TYPES[kind.value])
            )
