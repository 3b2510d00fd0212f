"""Output that nobody takes ends a command quietly, and a full disk with one line; never a trace."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from inglenook.cli.ending import cause, end_of_output
from inglenook.common.errors import StartupError
from tests.parts.box import COMMAND_S, READY_S, Box, Ran, made_box
from tests.parts.starter import CAPITAL

#: Commands that print something on stdout while a box runs, and what they read.
PRINT = [
    ("chat",),
    ("pair",),
    ("status", "--once"),
    ("status",),
    ("devices", "list"),
    ("devices", "add", "--name", "Unheard"),
    ("model", "list"),
    ("model", "info"),
    ("cache", "list"),
    ("doctor",),
    ("config",),
    ("wake", "02:00:00:00:00:01"),
    ("service", "install", "--dry-run"),
]

#: Those that say the first thing on stderr: where both go into one pipe, it ends them.
TALK = [
    ("find",),
    ("tune",),
    ("bench",),
    ("cache", "purge"),
    ("chat", "--url", "http://127.0.0.1:1"),
]

NO_TRACE = ("Traceback", "Exception ignored", "Error in", "Errno")


@dataclass(frozen=True)
class Kitchen:
    """A box, and whoever may ask it. Output that is not buffered fails elsewhere."""

    box: Box
    token: str
    unbuffered: str = ""

    def environ(self) -> dict[str, str]:
        given = {"INGLENOOK_TOKEN": self.token, "PYTHONUNBUFFERED": self.unbuffered}
        return self.box.environ() | given


@pytest.fixture
def kitchen(box: Box, token: str) -> Kitchen:
    return Kitchen(box, token)


def run(
    kitchen: Kitchen, words: tuple[str, ...], stdout: int, stderr: int = subprocess.PIPE
) -> Ran:
    done = subprocess.run(
        (sys.executable, "-m", "inglenook", *words, "--config", kitchen.box.config),
        input=CAPITAL.encode(),
        stdout=stdout,
        stderr=stderr,
        env=kitchen.environ(),
        timeout=COMMAND_S,
        check=False,
    )
    err = (done.stderr or b"").decode()
    assert not any(trace in err for trace in NO_TRACE), err
    return Ran(done.returncode, "", err)


@contextmanager
def closed_pipe() -> Iterator[int]:
    """What `| head -c 0` is."""
    reader, writer = os.pipe()
    os.close(reader)
    yield writer
    os.close(writer)


@contextmanager
def full_disk() -> Iterator[int]:
    descriptor = os.open("/dev/full", os.O_WRONLY)
    yield descriptor
    os.close(descriptor)


@pytest.mark.slow
@pytest.mark.parametrize("words", PRINT, ids=" ".join)
def test_a_reader_that_has_gone_ends_it_quietly(kitchen: Kitchen, words: tuple[str, ...]) -> None:
    """As `| head` goes when it has enough."""
    with closed_pipe() as writer:
        ran = run(kitchen, words, writer)

    assert ran.returncode == 1
    assert "inglenook: " not in ran.err


@pytest.mark.slow
@pytest.mark.parametrize("words", PRINT, ids=" ".join)
def test_a_full_disk_is_one_line(kitchen: Kitchen, words: tuple[str, ...]) -> None:
    """It says what is wrong."""
    with full_disk() as disk:
        ran = run(kitchen, words, disk)

    assert ran.returncode == 1
    line = "inglenook: the output cannot be written: No space left on device\n"
    assert ran.err.count("inglenook: ") == 1
    assert ran.err.endswith(line)


@pytest.mark.slow
@pytest.mark.parametrize("words", [*PRINT, *TALK], ids=" ".join)
def test_where_nothing_can_be_said_it_ends_too(kitchen: Kitchen, words: tuple[str, ...]) -> None:
    """Both streams go into what takes nothing."""
    with full_disk() as disk:
        ran = run(kitchen, words, disk, disk)

    assert ran.returncode == 1


@pytest.mark.slow
@pytest.mark.parametrize("words", TALK, ids=" ".join)
def test_a_reader_of_what_is_said_beside_may_go_too(
    kitchen: Kitchen, words: tuple[str, ...]
) -> None:
    """As with `2>&1 | head`."""
    with closed_pipe() as writer:
        ran = run(kitchen, words, writer, writer)

    assert ran.returncode == 1


@pytest.mark.slow
@pytest.mark.parametrize("words", [("chat",), ("config",)], ids=" ".join)
def test_it_is_the_same_without_buffers(box: Box, token: str, words: tuple[str, ...]) -> None:
    """Then the first word fails, and nothing is held back until the end."""
    kitchen = Kitchen(box, token, unbuffered="1")
    with closed_pipe() as writer:
        gone = run(kitchen, words, writer)
    with full_disk() as disk:
        full = run(kitchen, words, disk)

    assert (gone.returncode, gone.err) == (1, "")
    assert (full.returncode, full.err.count("\n")) == (1, 1)


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_what_the_parser_prints_ends_the_same(kitchen: Kitchen, option: str) -> None:
    """It ends the program itself."""
    with full_disk() as disk:
        done = subprocess.run(
            (sys.executable, "-m", "inglenook", option),
            stdout=disk,
            stderr=subprocess.PIPE,
            env=kitchen.environ(),
            timeout=COMMAND_S,
            check=False,
        )

    assert done.returncode == 1
    assert done.stderr.count(b"\n") == 1


@pytest.mark.slow
def test_a_daemon_whose_welcome_nobody_reads_ends_in_order(starter_model: Path) -> None:
    """`inglenook up | head`: nothing is left of it."""
    with made_box(starter_model) as other, closed_pipe() as writer:
        other.write_config()
        with subprocess.Popen(
            (sys.executable, "-m", "inglenook", "up", "--config", other.config),
            stdin=subprocess.DEVNULL,
            stdout=writer,
            stderr=subprocess.PIPE,
            env=other.environ(),
        ) as up:
            err = up.communicate(timeout=READY_S)[1].decode()

        assert up.returncode == 1
        assert not any(trace in err for trace in NO_TRACE), err


@pytest.mark.slow
def test_a_daemon_whose_log_nobody_reads_goes_on(starter_model: Path) -> None:
    """The box is for phones; whoever looked at its log has gone."""
    with closed_pipe() as writer, made_box(starter_model) as other:
        other.write_config()
        with subprocess.Popen(
            (sys.executable, "-m", "inglenook", "run", "--config", other.config),
            stdin=subprocess.DEVNULL,
            stdout=writer,
            stderr=writer,
            env=other.environ(),
        ) as daemon:
            deadline_s = time.monotonic() + READY_S
            while other.health() != 200:
                assert daemon.poll() is None
                assert time.monotonic() < deadline_s
                time.sleep(0.05)
            daemon.terminate()

            assert daemon.wait(READY_S) == 0


@pytest.mark.slow
def test_the_live_picture_ends_with_its_terminal(box: Box) -> None:
    """Somebody closed the window; it is no controlling one here, so no signal comes first."""
    ours, theirs = os.openpty()
    with subprocess.Popen(
        (sys.executable, "-m", "inglenook", "status", "--config", box.config),
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=subprocess.PIPE,
        env={**box.environ(), "TERM": "xterm"},
    ) as status:
        os.close(theirs)
        shown = b""
        while b"answers" not in shown:
            shown += os.read(ours, 4096)
        os.close(ours)
        err = status.communicate(timeout=COMMAND_S)[1].decode()

    assert status.returncode == 1
    assert not any(trace in err for trace in NO_TRACE), err


GONE = BrokenPipeError(errno.EPIPE, "Broken pipe")
NO_BOX = StartupError("no box")


@pytest.mark.parametrize(
    ("exc", "found"),
    [
        (GONE, GONE),
        (BaseExceptionGroup("", [GONE]), GONE),
        (BaseExceptionGroup("", [BaseExceptionGroup("", [GONE]), NO_BOX]), NO_BOX),
        (ExceptionGroup("", [NO_BOX, GONE]), NO_BOX),
    ],
)
def test_what_tasks_wrap_is_unwrapped(exc: BaseException, found: BaseException) -> None:
    """A sentence for people comes first."""
    assert cause(exc) is found


def test_a_fault_of_ours_keeps_its_trace() -> None:
    """Beside others, too."""
    group = ExceptionGroup("", [GONE, KeyError("x")])

    assert cause(group) is group


@pytest.mark.parametrize(
    "exc",
    [
        OSError(errno.ENOSPC, "No space left on device", "/a/file"),
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EACCES, "Permission denied"),
    ],
)
def test_another_file_is_not_taken_for_the_output(exc: OSError) -> None:
    """As long as the output can be written."""
    with pytest.raises(OSError) as caught:  # noqa: PT011  it is this very one
        end_of_output(exc)
    assert caught.value is exc
