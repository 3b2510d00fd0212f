"""Asks llama.cpp which tensors a model would have, given its metadata alone; run as a program.

It runs in a process of its own, as the library ends it where it meets a number it did not expect.
It lists optional tensors as if they were required.
"""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

#: Where ``struct ggml_tensor`` has the numbers of its elements.
_SHAPE_OFFSET_BYTES = 16


@dataclass(frozen=True, slots=True)
class Wanted:
    """A tensor as the library asks for it; rows first in its shape, as ggml has it."""

    name: str
    shape: tuple[int, ...]


def wanted_tensors(header: Path) -> list[Wanted]:
    """Tell the tensors of the model whose metadata is in a GGUF file without tensors.

    Raises:
        AssertionError: If the library would not have it, with its own words.
    """
    asked = subprocess.run(
        (sys.executable, __file__, str(header)),
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert asked.returncode == 0, asked.stderr[-2000:]
    listed = json.loads(asked.stdout.splitlines()[-1])
    # One that serves twice is listed twice.
    return list(dict.fromkeys(Wanted(name, tuple(shape)) for name, shape in listed))


def read_metadata(header: str) -> int | None:
    """Let the library read a file without tensors; its own pointer to what it found."""
    base = _base()
    base.gguf_init_from_file.restype = ctypes.c_void_p
    base.gguf_init_from_file.argtypes = [ctypes.c_char_p, _InitParams]
    found: int | None = base.gguf_init_from_file(os.fsencode(header), _InitParams(no_alloc=True))
    return found


def _base() -> ctypes.CDLL:
    import llama_cpp

    return ctypes.CDLL(str(Path(llama_cpp.__file__).parent / "lib" / "libggml-base.so"))


def _ask(header: str) -> list[tuple[str, list[int]]]:
    import llama_cpp.llama_cpp as lib

    base = _base()
    base.ggml_get_name.restype = ctypes.c_char_p
    base.ggml_get_name.argtypes = [ctypes.c_void_p]
    base.ggml_n_dims.argtypes = [ctypes.c_void_p]
    found: list[tuple[str, list[int]]] = []

    def wanted(tensor: int, _data: object) -> None:
        numbers = (ctypes.c_int64 * 4).from_address(tensor + _SHAPE_OFFSET_BYTES)
        shape = [int(number) for number in numbers[: base.ggml_n_dims(tensor)]]
        found.append((base.ggml_get_name(tensor).decode(), shape))

    callback = lib.llama_model_set_tensor_data_t(wanted)
    params = lib.llama_model_default_params()
    params.n_gpu_layers = 0
    # Layers that guess several tokens ahead; it would end the process over those it leaves out.
    params.load_mtp = True
    if not lib.llama_model_init_from_user(read_metadata(header), callback, None, params):
        sys.exit("llama.cpp would not have this model")
    return found


class _InitParams(ctypes.Structure):
    """``struct gguf_init_params``."""

    _fields_ = (("no_alloc", ctypes.c_bool), ("ctx", ctypes.c_void_p))


if __name__ == "__main__":
    sys.stdout.write(json.dumps(_ask(sys.argv[1])))
    sys.stdout.flush()
    os._exit(0)
