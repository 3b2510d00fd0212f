"""An engine process without a model, that misbehaves on demand.

Run as ``python worker.py SCRIPT FD PARENT``. Every start takes the first line off the file SCRIPT
and behaves as it says; with none left, it is a good engine. A good one answers each job with the
words of its last message, one a step, has read ahead at once what it is to, and never ends by
itself. What says "wait" is waited with.
"""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import sys
import time
from collections import deque
from pathlib import Path

from inglenook.engine.events import (
    Finish,
    JobEnded,
    JobRefused,
    JobStarted,
    LoadFailed,
    Output,
    PrefillDone,
    Progress,
    Ready,
    Refusal,
    StepDone,
    WorkerHello,
)
from inglenook.engine.frames import EVENT_BYTES_MAX, ORDER_BYTES_MAX, FrameReader, frame
from inglenook.engine.messages import PIPE_VERSION, Event, Order, decode_order, encode
from inglenook.engine.orders import CancelJob, Prefill, PurgeCache, StartJob

#: Longer than any test waits; nothing here outlives its parent's pipe by more.
_LONG_S = 60.0


class Pipe:
    """This end of the socket pair."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._reader = FrameReader(ORDER_BYTES_MAX)
        self._unheard: deque[Order] = deque()

    def send(self, *events: Event) -> None:
        self.sock.sendall(b"".join(frame(encode(event), EVENT_BYTES_MAX) for event in events))

    def order(self) -> Order:
        """Wait for the next order; the end of the pipe is the end of the process."""
        while not self._unheard:
            data = self.sock.recv(65536)
            if not data:
                sys.exit(0)
            self._unheard.extend(decode_order(payload) for payload in self._reader.feed(data))
        return self._unheard.popleft()


def begin(pipe: Pipe) -> None:
    """Say hello, load, be ready."""
    pipe.send(WorkerHello(PIPE_VERSION))
    pipe.order()
    pipe.send(Progress(0.5), Ready(4096, 4096, 2, 0.1))


def answer(pipe: Pipe, start: StartJob) -> None:
    """Write one answer: the words of the last message."""
    text = start.messages[-1].content
    if text == "refuse":
        pipe.send(JobRefused(start.job, Refusal.TEMPLATE, detail="as you wish"))
        return
    words = text.split(" ")
    pipe.send(JobStarted(start.job, len(words)))
    for number, word in enumerate(words):
        pipe.send(StepDone((Output(start.job, word + " ", (number,)),)))
    pipe.send(JobEnded(start.job, Finish.STOP, "", len(words), 0, 0.1, 0.2))


def work(pipe: Pipe) -> None:
    """A good engine, from when it is ready."""
    unfinished: set[int] = set()
    reading: set[int] = set()
    while True:
        order = pipe.order()
        if isinstance(order, StartJob) and order.messages[-1].content == "wait":
            pipe.send(JobStarted(order.job, 1))
            unfinished.add(order.job)
        elif isinstance(order, StartJob):
            answer(pipe, order)
        elif isinstance(order, Prefill) and order.messages[-1].content == "wait":
            reading.add(order.job)
        elif isinstance(order, Prefill) and order.messages[-1].content == "refuse":
            pipe.send(JobRefused(order.job, Refusal.TEMPLATE, detail="as you wish"))
        elif isinstance(order, Prefill):
            pipe.send(PrefillDone(order.job, 1, 1))
        elif isinstance(order, CancelJob) and order.job in reading:
            reading.remove(order.job)
            pipe.send(PrefillDone(order.job, 1, 0))
        elif isinstance(order, CancelJob) and order.job in unfinished:
            unfinished.remove(order.job)
            pipe.send(JobEnded(order.job, Finish.CANCELLED, "", 0, 0, 0.1, 0.0))


def first_start(pipe: Pipe) -> StartJob:
    """Be ready, and wait for a job; begin it."""
    begin(pipe)
    start = pipe.order()
    assert isinstance(start, StartJob)
    pipe.send(JobStarted(start.job, 1), StepDone((Output(start.job, "half ", (1,)),)))
    return start


def behave(how: str, pipe: Pipe) -> None:  # a list of misdeeds
    """Do as the script says; returning is exiting with code 0."""
    match how:
        case "good":
            begin(pipe)
            work(pipe)
        case "silent at hello":
            time.sleep(_LONG_S)
        case "wrong version":
            pipe.send(WorkerHello(PIPE_VERSION + 1))
            time.sleep(_LONG_S)
        case "exits 3":
            sys.stderr.write("it was too much\n")
            sys.exit(3)
        case "good, then aborts":
            begin(pipe)
            os.abort()
        case "exits 7 at a purge":
            begin(pipe)
            while not isinstance(pipe.order(), PurgeCache):
                pass
            sys.exit(7)
        case "exits 0":
            begin(pipe)
        case "hangs in load":
            pipe.send(WorkerHello(PIPE_VERSION))
            pipe.order()
            pipe.send(Progress(0.5))
            time.sleep(_LONG_S)
        case "aborts in load":
            pipe.send(WorkerHello(PIPE_VERSION))
            pipe.order()
            pipe.send(Progress(0.5))
            sys.stderr.write("GGML_ASSERT(n_layer > 0) failed")
            sys.stderr.flush()
            os.abort()
        case "killed in load":
            pipe.send(WorkerHello(PIPE_VERSION))
            pipe.order()
            os.kill(os.getpid(), signal.SIGKILL)
        case "load failed":
            pipe.send(WorkerHello(PIPE_VERSION))
            pipe.order()
            pipe.send(LoadFailed("not enough memory"))
        case "aborts in a job":
            first_start(pipe)
            sys.stderr.write("GGML_ASSERT(false) failed")
            sys.stderr.flush()
            os.abort()
        case "killed in a job":
            first_start(pipe)
            os.kill(os.getpid(), signal.SIGKILL)
        case "hangs in a step":
            first_start(pipe)
            time.sleep(_LONG_S)
        case "garbage in a job":
            first_start(pipe)
            pipe.sock.sendall(b"Segmentation fault\n")
            time.sleep(_LONG_S)
        case "oversized in a job":
            first_start(pipe)
            pipe.sock.sendall((EVENT_BYTES_MAX + 1).to_bytes(4))
            time.sleep(_LONG_S)
        case "no event in a job":
            first_start(pipe)
            pipe.sock.sendall(frame(b"\x93\x01\x02\x03", EVENT_BYTES_MAX))
            time.sleep(_LONG_S)
        case "no text in a job":
            start = first_start(pipe)
            step = encode(StepDone((Output(start.job, "abc", ()),)))
            pipe.sock.sendall(frame(step.replace(b"abc", b"\xff\xff\xff"), EVENT_BYTES_MAX))
            time.sleep(_LONG_S)
        case "ends an unknown job":
            start = first_start(pipe)
            pipe.send(JobEnded(start.job + 1, Finish.STOP, "", 1, 0, 0.1, 0.1))
            time.sleep(_LONG_S)
        case "writes in an unknown job":
            begin(pipe)
            pipe.send(StepDone((Output(77, "for nobody", (1,)),)))
            work(pipe)
        case "closes its pipe":
            begin(pipe)
            pipe.sock.close()
            time.sleep(_LONG_S)
        case "ignores its closed pipe":
            begin(pipe)
            while True:
                time.sleep(_LONG_S)
        case "reads nothing":
            begin(pipe)
            time.sleep(_LONG_S)
        case "writes a lot":
            begin(pipe)
            line = b"x" * 99 + b"\n"
            for _ in range(1000):
                os.write(2, line * 100)
            os.write(2, b"y" * 2**20 + b"\nthe last line\nand a half")
            work(pipe)
        case _:
            sys.exit(f"unknown behaviour {how!r}")


def next_behaviour(script: Path) -> str:
    """Take the first line off the script; "good" if there is none."""
    with script.open("r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        how, _newline, rest = file.read().partition("\n")
        file.seek(0)
        file.truncate()
        file.write(rest)
    return how or "good"


def main() -> None:
    """See the module."""
    script, fd, _parent = sys.argv[1:]
    behave(next_behaviour(Path(script)), Pipe(socket.socket(fileno=int(fd))))


if __name__ == "__main__":
    main()
