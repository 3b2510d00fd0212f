"""Ctrl-C ends the answer first."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from pathlib import Path

from tests.parts.standin import PATIENCE_S, StandIn, held_back, wait_until

CHAT = (sys.executable, "-m", "inglenook", "chat")


def test_an_interrupted_pipe_says_so(other: StandIn, tmp_path: Path) -> None:
    """What came is half an answer: exit code 130."""
    begun, stopped = threading.Event(), threading.Event()
    other.speech = held_back("It begins", begun, stopped)
    environ = {"HOME": str(tmp_path), "INGLENOOK_TOKEN": "token"}
    with subprocess.Popen(
        # Tests that run in the background ignore Ctrl-C, and so would what they start.
        (
            "env",
            "--default-signal=INT",
            sys.executable,
            "-m",
            "inglenook",
            "chat",
            "--url",
            other.url,
        ),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environ,
    ) as chat:
        assert chat.stdin is not None
        chat.stdin.write(b"one")
        chat.stdin.close()
        chat.stdin = None
        assert begun.wait(PATIENCE_S)
        chat.send_signal(signal.SIGINT)
        wait_until(lambda: other.told('"cancel"'))
        stopped.set()
        out, err = chat.communicate(timeout=PATIENCE_S)

    assert (chat.returncode, out, err) == (130, b"It begins\n", b"")
