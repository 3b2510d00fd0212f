"""What a model takes in memory, held against what llama.cpp itself says."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from inglenook.models.footprint import Running, compute_bytes, footprint
from inglenook.models.inspect import inspect_model
from tests.models.facts import INFO

MIB = 2**20

#: Loads a model and prints what the library's log says of its buffers, in MiB, one list a context.
_ASK_LIBRARY = """
import json, re, sys
import llama_cpp.llama_cpp as lib

said = []
on_log = lib.llama_log_callback(lambda _level, text, _data: said.append(text.decode()))
lib.llama_log_set(on_log, None)
params = lib.llama_model_default_params()
params.n_gpu_layers = 0
model = lib.llama_model_load_from_file(sys.argv[1].encode(), params)
for cells, sequences, kv_type, ubatch_tokens, flash_attention in json.loads(sys.argv[2]):
    said.clear()
    params = lib.llama_context_default_params()
    params.n_ctx, params.n_seq_max, params.n_outputs_max = cells, sequences, sequences
    params.n_batch, params.n_ubatch = 512, ubatch_tokens
    params.n_threads = params.n_threads_batch = 1
    params.kv_unified = True
    params.type_k = params.type_v = {"f16": 1, "q8_0": 8}[kv_type]
    params.flash_attn_type = int(flash_attention)
    context = lib.llama_init_from_model(model, params)
    text = "".join(said)
    print([float(re.search(rf"CPU +{what} buffer size = +([0-9.]+) MiB", text)[1])
           for what in ("KV", "compute", "output")])
    lib.llama_free(context)
"""


def test_the_estimate_is_what_the_library_takes(starter_model: Path) -> None:
    """From 3 % below to 8 % above, margin aside; a new version of the library may change it."""
    ways = [
        (2048, Running(8)),
        (8192, Running(8, ubatch_tokens=64)),
        (2048, Running(64, ubatch_tokens=128)),  # the scores of 64 answers outweigh any layer
        (2048, Running(8, flash_attention=False)),
        (512, Running(1, ubatch_tokens=256, flash_attention=False)),
        (2048, Running(8, kv_type="q8_0")),
    ]
    asked = [
        [cells, way.sequences, way.kv_type, way.ubatch_tokens, way.flash_attention]
        for cells, way in ways
    ]
    ran = subprocess.run(
        [sys.executable, "-c", _ASK_LIBRARY, starter_model, json.dumps(asked)],
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert ran.returncode == 0, ran.stderr.decode()
    said = [json.loads(line) for line in ran.stdout.splitlines()]
    info = inspect_model(starter_model)

    assert len(said) == len(ways)
    for (cells, way), (kv_mib, compute_mib, output_mib) in zip(ways, said, strict=True):
        assert footprint(info, way, cells).kv_bytes / MIB == pytest.approx(kv_mib, abs=0.01)
        estimate = compute_bytes(info, way, cells) / MIB
        assert 0.97 < estimate / (compute_mib + output_mib) < 1.08, (cells, way)


def test_everything_is_in_the_total() -> None:
    """Weights, pool, compute buffers with their margin, and the program."""
    need = footprint(INFO, Running(8), 1024)

    assert need.weights_bytes == 100 * MIB
    assert need.kv_bytes == 32 * MIB
    assert need.work_bytes > 64 * MIB + compute_bytes(INFO, Running(8), 1024)
    assert need.total_bytes == need.weights_bytes + need.kv_bytes + need.work_bytes


@pytest.mark.parametrize("flash_attention", [True, False])
def test_a_larger_pool_never_takes_less(*, flash_attention: bool) -> None:
    """The search for the largest that fits depends on it."""
    running = Running(8, flash_attention=flash_attention)
    totals = [footprint(INFO, running, cells).total_bytes for cells in range(0, 33_024, 256)]

    assert totals == sorted(totals)
    assert len(set(totals)) == len(totals)


def test_experts_make_the_compute_buffer_wider() -> None:
    """What passes between the halves of a layer, for all experts of a token."""
    wide = replace(INFO, feed_forward_length=8 * INFO.feed_forward_length)

    assert compute_bytes(wide, Running(8), 1024) > 3 * compute_bytes(INFO, Running(8), 1024)
