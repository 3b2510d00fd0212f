"""The engine's process: it dies with its parent, and first when memory is short."""

from __future__ import annotations

import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from inglenook.engine.events import LoadFailed, WorkerHello
from inglenook.engine.frames import EVENT_BYTES_MAX, ORDER_BYTES_MAX, FrameReader, frame
from inglenook.engine.messages import PIPE_VERSION, Event, decode_event, encode
from inglenook.engine.orders import LoadModel

DEADLINE_S = 30.0

# Starts the engine, says its process id, and waits to be killed.
PARENT = """
import os, subprocess, sys, time
fd = int(sys.argv[1])
argv = [sys.executable, "-m", "inglenook.engine.worker", str(fd), str(os.getpid())]
subprocess.Popen(argv, pass_fds=[fd])
time.sleep(60)
"""


@contextmanager
def started(
    *argv: str, hard_stack_bytes: int | None = None
) -> Iterator[tuple[socket.socket, subprocess.Popen[bytes]]]:
    """A program that gets the other end of our pipe as its first argument, then ``argv``'s rest."""
    ours, theirs = socket.socketpair()
    ours.settimeout(DEADLINE_S)
    program, *rest = argv
    command = [sys.executable, *program.split(" ", 1), str(theirs.fileno()), *rest]
    if hard_stack_bytes is not None:
        command = ["prlimit", f"--stack={2**20}:{hard_stack_bytes}", *command]
    with (
        ours,
        subprocess.Popen(
            command, pass_fds=[theirs.fileno()], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        ) as process,
    ):
        theirs.close()
        try:
            yield ours, process
        finally:
            process.kill()


def hear(sock: socket.socket) -> Event | None:
    """The next event, or None at the end of the pipe."""
    reader = FrameReader(EVENT_BYTES_MAX)
    while data := sock.recv(65536):
        payloads = reader.feed(data)
        if payloads:
            (payload,) = payloads
            return decode_event(payload)
    return None


def test_it_says_hello_offers_itself_to_the_kernel_and_goes_with_its_pipe(tmp_path: Path) -> None:
    """Ctrl-C reaches all processes of a terminal, but only the daemon ends an engine."""
    with started("-m inglenook.engine.worker", str(os.getpid())) as (sock, process):
        assert hear(sock) == WorkerHello(PIPE_VERSION)
        ours = int(Path("/proc/self/oom_score_adj").read_text())
        its = int(Path(f"/proc/{process.pid}/oom_score_adj").read_text())
        assert its == max(ours, 800)
        # What its main thread may use while it makes tokens, of address space.
        stack_bytes, _hard = resource.prlimit(process.pid, resource.RLIMIT_STACK)
        assert stack_bytes == resource.RLIM_INFINITY or stack_bytes >= 64 * 2**20

        process.send_signal(signal.SIGINT)
        no_model = tmp_path / "no.gguf"
        no_model.write_text("This is no model.")
        load = LoadModel(str(no_model), "", 512, "f16", 1, 1, 0.2)
        sock.sendall(frame(encode(load), ORDER_BYTES_MAX))
        event = hear(sock)
        assert isinstance(event, LoadFailed)
        assert "invalid magic" in event.why

        _out, said = process.communicate(timeout=DEADLINE_S)
        assert process.returncode == 0
        assert b"invalid magic" in said
        assert b"Traceback" not in said


def test_its_stack_grows_no_further_than_the_administrator_lets_it() -> None:
    """A hard limit is respected, and nothing fails because of it."""
    with started("-m inglenook.engine.worker", str(os.getpid()), hard_stack_bytes=12 * 2**20) as (
        sock,
        process,
    ):
        assert hear(sock) == WorkerHello(PIPE_VERSION)
        limits = resource.prlimit(process.pid, resource.RLIMIT_STACK)
    assert limits == (12 * 2**20, 12 * 2**20)


def test_it_dies_with_its_parent_even_if_its_pipe_stays_open() -> None:
    """Nothing else could stop it."""
    with started("-c " + PARENT) as (sock, parent):
        assert hear(sock) == WorkerHello(PIPE_VERSION)
        began = time.monotonic()
        parent.kill()
        assert hear(sock) is None
        assert time.monotonic() - began < DEADLINE_S / 2


def test_it_does_not_begin_if_its_parent_is_gone_already() -> None:
    """The kernel reports only later deaths."""
    # Our own parent is never its parent; number 1 may be ourselves.
    with started("-m inglenook.engine.worker", str(os.getppid())) as (sock, process):
        assert hear(sock) is None
        assert process.wait(DEADLINE_S) == 1
