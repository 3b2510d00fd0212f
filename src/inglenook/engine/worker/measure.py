"""Measures the library's speed with given settings. Kind: hands.

``python -m inglenook.engine.worker.measure MODEL [--no-mmap]`` reads one `Trial` per line from its
standard input, answers each with a line, and exits at end of input.
"""

from __future__ import annotations

import logging
import os
import signal
import statistics
import sys
import time
from collections.abc import Callable, Sequence

from inglenook.engine.cores import allowed_cores, compute_cores, pin_to
from inglenook.engine.trial import (
    NO_MMAP,
    STREAMS,
    Answer,
    Loaded,
    Speed,
    TrialLoading,
    TrialSetting,
    Unusable,
    Workload,
    decode_trial,
    encode,
)
from inglenook.engine.worker.context import Context
from inglenook.engine.worker.llama import BATCH_TOKENS, Model, ModelRefused

_PROGRESS_STEP = 0.02

#: Sequence number, position, and the tokens from there on.
_Run = tuple[int, int, Sequence[int]]


def main() -> int:
    """Serve the parent; the model's path is the first argument."""
    logging.basicConfig(stream=sys.stderr, format="%(message)s")
    # Ctrl-C goes to the whole terminal group; the parent decides when we end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Output of the library must not get between our lines.
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)

    def tell(answer: Answer) -> None:
        answers.write(encode(answer) + b"\n")

    try:
        _serve(sys.argv[1], tell, use_mmap=NO_MMAP not in sys.argv[2:])
    except ModelRefused as exc:
        tell(Unusable(str(exc)))
    except BrokenPipeError:
        pass
    sys.stderr.flush()
    # The library's own tear-down takes time and can assert; the kernel's is enough.
    os._exit(0)


def _serve(path: str, tell: Callable[[Answer], None], *, use_mmap: bool) -> None:
    allowed = allowed_cores()
    cores = compute_cores(allowed=allowed)
    if os.sched_getaffinity(0) == allowed:
        # OpenMP leaves its threads to the kernel: they inherit the mask.
        pin_to(cores)
    sent = 0.0

    def on_progress(fraction: float) -> bool:
        nonlocal sent
        if fraction - sent >= _PROGRESS_STEP:
            sent = fraction
            tell(TrialLoading(min(fraction, 1.0)))
        return True

    model = Model(path, on_progress, use_mmap=use_mmap)
    # Load the weights into memory: mapped files are read page by page at first use.
    measure(model, TrialSetting(len(cores)), Workload(read_tokens=1, reads=1, writes=2))
    tell(Loaded(len(cores)))
    for line in sys.stdin.buffer:
        trial = decode_trial(line)
        try:
            answer: Answer = measure(model, trial.setting, trial.workload)
        except ModelRefused as exc:
            answer = Unusable(str(exc))
        tell(answer)


def measure(model: Model, setting: TrialSetting, workload: Workload) -> Speed:
    """Compute a workload in a context of its own, and return its speed.

    Raises:
        ModelRefused: If the library refuses the setting, or cannot compute with it.
    """
    many_writes = workload.writes // 2
    context = Context(
        model,
        cells=workload.read_tokens + workload.writes + STREAMS * many_writes,
        kv_type=setting.kv_type,
        sequences=STREAMS,
        threads=setting.threads,
        ubatch_tokens=setting.ubatch_tokens,
        flash_attention=setting.flash_attention,
    )
    try:
        _step_s(context, [(0, 0, [1])])  # threads start and buffers are made at first use
        reads_s = [_read_s(context, model, workload.read_tokens) for _ in range(workload.reads)]
        end = workload.read_tokens
        writes_s = [_step_s(context, [(0, end + number, [1])]) for number in range(workload.writes)]
        many_s = [
            _step_s(context, [(0, end + workload.writes + number, [1]), *_others(number)])
            for number in range(many_writes)
        ]
    finally:
        context.close()
    return Speed(
        workload.read_tokens / statistics.median(reads_s),
        1 / statistics.median(writes_s),
        STREAMS / statistics.median(many_s),
    )


def _others(position: int) -> list[_Run]:
    return [(stream, position, [1]) for stream in range(1, STREAMS)]


def _read_s(context: Context, model: Model, count: int) -> float:
    """Prefill a prompt into the empty first sequence; return the time it took, in seconds."""
    context.forget(0)
    # Different tokens, because a mixture of experts would use the same few for equal ones.
    prompt = [number * 7919 % model.vocab_tokens for number in range(count)]
    return sum(
        _step_s(context, [(0, start, prompt[start : start + BATCH_TOKENS])])
        for start in range(0, count, BATCH_TOKENS)
    )


def _step_s(context: Context, runs: Sequence[_Run]) -> float:
    """Compute one batch; return the time it took, in seconds."""
    began_s = time.perf_counter()
    context.clear_batch()
    for sequence, position, tokens in runs:
        context.add(sequence, position, tokens, output="last")
    code = context.decode()
    if code != 0:
        raise ModelRefused(f"llama.cpp could not compute with it (code {code})")
    return time.perf_counter() - began_s


if __name__ == "__main__":
    sys.exit(main())
