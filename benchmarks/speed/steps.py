"""What Python takes of a step: the engine's own loop with a stopwatch at the library's door.

Run as ``python -m benchmarks.speed.steps FD`` it is the engine, in a process of its own, with every
call of ``llama_decode`` and ``llama_sampler_sample`` timed; `steps` is its daemon. Kind: hands.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from statistics import median
from typing import Any

from benchmarks.speed.question import story
from benchmarks.speed.result import Bench, Ledger, Result
from benchmarks.speed.servers import CELLS, PLACES, Setting
from benchmarks.speed.stream import Unmeasurable
from inglenook.engine.environment import engine_environment
from inglenook.engine.events import JobEnded, LoadFailed, Ready, WorkerHello
from inglenook.engine.frames import EVENT_BYTES_MAX, ORDER_BYTES_MAX, FrameReader, frame
from inglenook.engine.messages import Event, Order, decode_event, encode
from inglenook.engine.orders import ChatMessage, LoadModel, Sampling, StartJob
from inglenook.models.inspect import inspect_model

_EVENT_S = 120.0
_READ_BYTES = 65536

#: Of each step, beside Python's: what is timed.
_TIMED = ("llama_decode", "llama_sampler_sample")


def steps(bench: Bench) -> Result:
    """How much of a step of 8 streams is spent outside the library."""
    ledger = Ledger()
    for number in range(bench.rounds):
        bench.say(f"steps, round {number + 1}")
        timed = _run(bench.setting, bench.lengths.answer)
        ledger.note(f"{PLACES} streams", "step", "ms", timed["step_s"] * 1000)
        ledger.note(f"{PLACES} streams", "Python", "ms", timed["python_s"] * 1000)
        share = 100 * timed["python_s"] / timed["step_s"]
        ledger.note(f"{PLACES} streams", "Python's share", "%", share)
    ledger.claim("Python's share of a step, %", (f"{PLACES} streams", "Python's share"), at_most=2)
    return ledger.result("steps", bench.setting)


def _run(setting: Setting, tokens: int) -> dict[str, float]:
    """Write 8 answers with an engine of its own; returns the medians it measured."""
    near, far = socket.socketpair()
    near.settimeout(_EVENT_S)
    words = [sys.executable, "-m", "benchmarks.speed.steps", str(far.fileno())]
    with (
        near,
        subprocess.Popen(
            words,
            pass_fds=[far.fileno()],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=engine_environment(),
        ) as engine,
    ):
        far.close()
        try:
            _ask(near, setting, tokens)
            near.shutdown(socket.SHUT_RDWR)
            said, _ = engine.communicate(timeout=_EVENT_S)
        finally:
            engine.kill()
    if not said:
        raise Unmeasurable(f"the engine never computed {PLACES} answers at once")
    timed: dict[str, float] = json.loads(said)
    return timed


def _ask(sock: socket.socket, setting: Setting, tokens: int) -> None:
    reader = FrameReader(EVENT_BYTES_MAX)
    _until(sock, reader, WorkerHello, 1)
    model = inspect_model(setting.model)
    load = LoadModel(
        str(setting.model), model.chat_template, CELLS, "f16", PLACES, setting.threads, 0.2
    )
    _send(sock, load)
    _until(sock, reader, Ready, 1)
    for job in range(PLACES):
        question = story(job, tokens)
        messages = tuple(ChatMessage(m["role"], m["content"]) for m in question.messages)
        sampling = Sampling(0.7, 40, 0.95, 0.05, 1.0, 0.0, 0.0, 64, question.seed)
        _send(sock, StartJob(job, messages, sampling, tokens, (), True))
    _until(sock, reader, JobEnded, PLACES)


def _send(sock: socket.socket, order: Order) -> None:
    sock.sendall(frame(encode(order), ORDER_BYTES_MAX))


def _until(sock: socket.socket, reader: FrameReader, kind: type[Event], count: int) -> None:
    while count > 0:
        data = sock.recv(_READ_BYTES)
        events = [decode_event(payload) for payload in reader.feed(data)]
        if not data or any(isinstance(event, LoadFailed) for event in events):
            raise Unmeasurable("the engine did not load the model, or died")
        count -= sum(isinstance(event, kind) for event in events)


class _Stopwatch:
    """When each timed call began and ended; and of a batch, how many tokens it had."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, float, float, int]] = []

    def time(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        """The same call, with its time taken."""
        decodes = name == "llama_decode"
        calls, clock = self.calls, time.perf_counter

        def timed(*arguments: Any) -> Any:
            began_s = clock()
            result = call(*arguments)
            calls.append((name, began_s, clock(), arguments[1].n_tokens if decodes else 0))
            return result

        return timed

    def median_step(self) -> dict[str, float] | None:
        """Length of the middle step of `PLACES` tokens, and of what was not the library's in it."""
        begins = [n for n, call in enumerate(self.calls) if call[0] == "llama_decode"]
        found = []
        for begin, end in pairwise(begins):
            if self.calls[begin][3] != PLACES or self.calls[end][3] != PLACES:
                continue
            step_s = self.calls[end][1] - self.calls[begin][1]
            inside_s = sum(call[2] - call[1] for call in self.calls[begin:end])
            found.append((step_s, step_s - inside_s))
        if not found:
            return None
        steps_s, python_s = zip(*found, strict=True)
        return {"step_s": median(steps_s), "python_s": median(python_s)}


def main() -> int:
    """Be the engine on the socket whose number is the first argument; print what was measured."""
    import llama_cpp.llama_cpp as lib

    from inglenook.engine.cores import allowed_cores
    from inglenook.engine.worker.startup import serve

    watch = _Stopwatch()
    for name in _TIMED:
        setattr(lib, name, watch.time(name, getattr(lib, name)))
    sock = socket.socket(fileno=int(sys.argv[1]))
    sock.setblocking(True)
    serve(sock, allowed_cores())
    measured = watch.median_step()
    if measured is not None:
        print(json.dumps(measured))
    return 0


if __name__ == "__main__":
    sys.exit(main())
