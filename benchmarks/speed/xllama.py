"""Runs llama.cpp's server out of the ``xllamacpp`` wheel until its parent is gone. Kind: hands.

Run as ``python -m benchmarks.speed.xllama MODEL PORT THREADS UNIFIED``.
"""

from __future__ import annotations

import sys

from benchmarks.speed.servers import CELLS, PLACES, UBATCH_TOKENS


def main() -> int:
    """Serve; the port is the second argument."""
    try:
        import xllamacpp
    except ImportError:
        text = "there is no llama.cpp server here: `pip install xllamacpp`, or name --llama-server"
        print(text, file=sys.stderr)
        return 1
    model, port, threads, unified = sys.argv[1:]
    params = xllamacpp.CommonParams()
    params.model.path = model
    params.port = int(port)
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = int(threads)
    params.n_ctx, params.n_parallel, params.n_ubatch = CELLS, PLACES, UBATCH_TOKENS
    params.kv_unified = unified == "1"
    server = xllamacpp.Server(params)
    print(server.listening_address)
    sys.stdin.read()
    return 0


if __name__ == "__main__":
    sys.exit(main())
