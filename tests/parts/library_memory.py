"""Asks llama.cpp how much memory a context of a model takes, without weights; run as a program.

Its own log tells; each line is one buffer. Nothing is allocated but running states.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.parts.gguf_pairs import header_bytes, pair
from tests.parts.shapes import Shape

_MIB = 2**20


@dataclass(frozen=True, slots=True)
class Way:
    """How a context is made; the names are those of the library's own parameters."""

    n_ctx: int
    n_seq_max: int
    n_ubatch: int = 512
    kv_type: str = "f16"
    flash_attention: bool = True
    n_outputs_max: int = 0


@dataclass(frozen=True, slots=True)
class Taken:
    """What the library says it takes, bytes."""

    kv_bytes: int
    states_bytes: int
    compute_bytes: int
    output_bytes: int


def write_shape(path: Path, shape: Shape) -> Path:
    """Write the metadata of a model that has a shape and neither weights nor words."""
    values = {
        "general.architecture": shape.architecture,
        "tokenizer.ggml.model": "no_vocab",
        f"{shape.architecture}.vocab_size": shape.vocab_tokens,
    } | {f"{shape.architecture}.{name}": value for name, value in shape.values.items()}
    path.write_bytes(header_bytes([pair(key, value) for key, value in values.items()], []))
    return path


def memory_taken(folder: Path, asked: Sequence[tuple[Shape, Sequence[Way]]]) -> list[list[Taken]]:
    """Tell what a context of each of these models takes, made in each of these ways.

    Args:
        folder: For their metadata.
        asked: What to ask, in one process.
    """
    orders = [
        (str(write_shape(folder / f"{at}.gguf", shape)), [asdict(way) for way in ways])
        for at, (shape, ways) in enumerate(asked)
    ]
    ran = subprocess.run(
        (sys.executable, "-m", "tests.parts.library_memory", json.dumps(orders)),
        check=False,
        capture_output=True,
        text=True,
        timeout=900,
        cwd=Path(__file__).parents[2],
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    return [
        [Taken(**one) for one in answers] for answers in json.loads(ran.stdout.splitlines()[-1])
    ]


def _ask(header: str, ways: Sequence[Way]) -> list[Taken]:
    import llama_cpp.llama_cpp as lib

    from tests.parts.wanted_tensors import read_metadata

    said: list[str] = []
    on_log = lib.llama_log_callback(lambda _level, text, _data: said.append(text.decode()))
    lib.llama_log_set(on_log, None)
    params = lib.llama_model_default_params()
    params.n_gpu_layers = 0
    params.no_alloc = params.load_mtp = True
    never = lib.llama_model_set_tensor_data_t(lambda _tensor, _data: None)
    model = lib.llama_model_init_from_user(read_metadata(header), never, None, params)
    if not model:
        sys.exit("".join(said)[-2000:])
    found = []
    for way in ways:
        said.clear()
        context = lib.llama_init_from_model(model, _params(way))
        if not context:
            sys.exit("".join(said)[-2000:])
        found.append(_read("".join(said)))
        lib.llama_free(context)
    lib.llama_model_free(model)
    return found


def _params(way: Way) -> Any:
    import llama_cpp.llama_cpp as lib

    params = lib.llama_context_default_params()
    params.n_ctx, params.n_seq_max, params.n_ubatch = way.n_ctx, way.n_seq_max, way.n_ubatch
    params.n_outputs_max = max(way.n_outputs_max, way.n_seq_max)
    params.n_batch = max(512, params.n_outputs_max)
    params.n_threads = params.n_threads_batch = 1
    params.kv_unified = True
    params.type_k = params.type_v = {"f16": 1, "q8_0": 8}[way.kv_type]
    params.flash_attn_type = int(way.flash_attention)
    return params


def _read(log: str) -> Taken:
    def mib(pattern: str) -> int:
        return round(sum(float(size) for size in re.findall(pattern, log)) * _MIB)

    return Taken(
        # The buffer's own line says 0 where nothing is allocated.
        kv_bytes=mib(r"llama_kv_cache: size = +([0-9.]+) MiB"),
        states_bytes=mib(r"RS buffer size = +([0-9.]+) MiB"),
        compute_bytes=mib(r"compute buffer size = +([0-9.]+) MiB"),
        output_bytes=mib(r"output buffer size = +([0-9.]+) MiB"),
    )


def _main() -> None:
    answers = [
        [asdict(taken) for taken in _ask(header, [Way(**way) for way in ways])]
        for header, ways in json.loads(sys.argv[1])
    ]
    sys.stdout.write(json.dumps(answers))
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    _main()
