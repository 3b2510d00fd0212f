"""The raw limit: nothing but llama.cpp's own calls, in a process of its own. Kind: hands.

Run as ``python -m benchmarks.speed.raw MODEL THREADS``, it reads lines of ``STREAMS TOKENS`` and
answers each with how many tokens a second they made together. It batches, decodes and samples; it
has no text, no queue and nobody to send to. `RawLoop` is the other end.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import llama_cpp.llama_cpp as lib

from benchmarks.speed.servers import CELLS, PLACES, UBATCH_TOKENS, Setting
from benchmarks.speed.stream import Unmeasurable
from inglenook.engine.environment import engine_environment

#: As long as what the servers are asked, their templates included.
_PROMPT_TOKENS = 44

#: Of these the prompts are made; which they are costs nothing.
_FIRST_TOKEN = 1000


class RawLoop:
    """The child, seen from its parent."""

    name = "raw limit"

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def decode_tok_s(self, streams: int, tokens: int) -> float:
        """Write so many answers of so many tokens at once; returns the speed of all together."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{streams} {tokens}\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise Unmeasurable("the raw loop died; its words stand above")
        return float(line)


@contextmanager
def raw_loop(setting: Setting) -> Iterator[RawLoop]:
    """Run the child until the end of the block."""
    words = [sys.executable, "-m", "benchmarks.speed.raw", str(setting.model), str(setting.threads)]
    pipe = subprocess.PIPE
    # The limit of what our threads could do where they are, not of where the kernel puts others.
    environment = engine_environment()
    with subprocess.Popen(words, stdin=pipe, stdout=pipe, text=True, env=environment) as process:
        try:
            yield RawLoop(process)
        finally:
            process.kill()


class _Loop:
    def __init__(self, model_path: str, threads: int) -> None:
        quiet = lib.llama_log_callback(lambda _level, _text, _data: None)
        lib.llama_log_set(quiet, None)
        self._quiet = quiet
        self._model = lib.llama_model_load_from_file(
            os.fsencode(model_path), lib.llama_model_default_params()
        )
        params = lib.llama_context_default_params()
        params.n_ctx, params.n_seq_max, params.n_ubatch = CELLS, PLACES, UBATCH_TOKENS
        params.n_threads = params.n_threads_batch = threads
        params.kv_unified = True
        self._context = lib.llama_init_from_model(self._model, params)
        self._batch = lib.llama_batch_init(UBATCH_TOKENS, 0, 1)

    def decode_tok_s(self, streams: int, tokens: int) -> float:
        lib.llama_memory_clear(lib.llama_get_memory(self._context), True)
        chains = [_chain(stream + 1) for stream in range(streams)]
        newest = [self._read_prompt(chain, stream) for stream, chain in enumerate(chains)]
        batch = self._batch
        batch.n_tokens = streams
        for stream in range(streams):
            batch.n_seq_id[stream] = 1
            batch.seq_id[stream][0] = stream
            batch.logits[stream] = 1
        started_s = time.perf_counter()
        for step in range(tokens - 1):
            for stream, token in enumerate(newest):
                batch.token[stream] = token
                batch.pos[stream] = _PROMPT_TOKENS + step
            self._decode()
            newest = [
                lib.llama_sampler_sample(chain, self._context, stream)
                for stream, chain in enumerate(chains)
            ]
        duration_s = time.perf_counter() - started_s
        for chain in chains:
            lib.llama_sampler_free(chain)
        return streams * (tokens - 1) / duration_s

    def _read_prompt(self, chain: Any, stream: int) -> int:
        batch = self._batch
        batch.n_tokens = _PROMPT_TOKENS
        for place in range(_PROMPT_TOKENS):
            batch.token[place] = _FIRST_TOKEN + stream * _PROMPT_TOKENS + place
            batch.pos[place] = place
            batch.n_seq_id[place] = 1
            batch.seq_id[place][0] = stream
            batch.logits[place] = place == _PROMPT_TOKENS - 1
        self._decode()
        token: int = lib.llama_sampler_sample(chain, self._context, _PROMPT_TOKENS - 1)
        return token

    def _decode(self) -> None:
        code = lib.llama_decode(self._context, self._batch)
        if code != 0:
            raise Unmeasurable(f"llama_decode gave up with code {code}")


def _chain(seed: int) -> Any:
    """The samplers that `Question` asks the servers for, in llama.cpp's own order."""
    chain = lib.llama_sampler_chain_init(lib.llama_sampler_chain_default_params())
    for link in (
        lib.llama_sampler_init_top_k(40),
        lib.llama_sampler_init_top_p(0.95, 1),
        lib.llama_sampler_init_min_p(0.05, 1),
        lib.llama_sampler_init_temp(0.7),
        lib.llama_sampler_init_dist(seed),
    ):
        lib.llama_sampler_chain_add(chain, link)
    return chain


def main() -> int:
    """Answer orders until standard input ends."""
    loop = _Loop(sys.argv[1], int(sys.argv[2]))
    for line in sys.stdin:
        streams, tokens = line.split()
        print(loop.decode_tok_s(int(streams), int(tokens)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
