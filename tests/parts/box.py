"""The real program as a child process, on ports of its own, with a state folder of its own."""

from __future__ import annotations

import http.client
import json
import os
import random
import re
import select
import signal
import socket
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import yaml

#: The starter model loads in about a second; a busy machine takes its time.
READY_S = 40.0

#: What the program promises: to be gone so soon after SIGTERM.
STOP_S = 5.0

COMMAND_S = 40.0

_EVERY_S = 0.02

#: Of the system: other chance may be seeded alike in processes that run side by side.
_CHANCE = random.SystemRandom()


@dataclass(frozen=True, slots=True)
class Reply:
    """What an HTTP request was answered."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    def json(self) -> Any:
        """The body, which must be JSON."""
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The error's code; fails if the answer is no error of the box's own shape."""
        code: str = self.json()["error"]["code"]
        return code


@dataclass(frozen=True, slots=True)
class Ran:
    """How a command went."""

    returncode: int
    out: str
    err: str


class Box:
    """One daemon. `running_box` makes it; every method blocks, none for long.

    Attributes:
        extra_environ: Beside what `environ` gives, for the daemon alone.
        through: Words before the daemon's own, of a command that becomes it.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        self.folder = folder
        self.state_dir = folder / "state"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.config = folder / "config.yaml"
        self.extra_environ: dict[str, str] = {}
        self.through: tuple[str, ...] = ()
        self._settings = settings
        self._log = folder / "log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Process id of the daemon."""
        assert self._process is not None
        return self._process.pid

    def start(self, *options: str) -> None:
        """Start the program; returns at once."""
        self.write_config()
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                (
                    *self.through,
                    *(sys.executable, "-m", "inglenook", "run", "--config", self.config),
                    *options,
                ),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self.environ() | self.extra_environ,
                cwd=self.folder,
            )

    def write_config(self) -> None:
        """Write the settings file, as `start` does."""
        self.config.write_text(yaml.safe_dump(self._all_settings()))

    def environ(self) -> dict[str, str]:
        """An environment in which nothing of this machine's user is found."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if name.startswith(("COVERAGE_", "PYTHON")) or name in ("PATH", "LANG", "TMPDIR")
        }
        return with_command(kept) | {"HOME": str(self.folder)}

    def wait_ready(self) -> None:
        """Wait until ``/healthz`` says 200."""
        self.wait(lambda: self.health() == 200, "the daemon never became ready", READY_S)

    def wait(self, condition: Callable[[], object], complaint: str, within_s: float) -> None:
        """Wait for a condition, but not if the daemon has died."""
        deadline_s = time.monotonic() + within_s
        while not condition():
            self.check_alive()
            assert time.monotonic() < deadline_s, f"{complaint}:\n{self.log()}"
            time.sleep(_EVERY_S)

    def check_alive(self) -> None:
        """Fail, with all it said, if the daemon has ended."""
        returncode = None if self._process is None else self._process.poll()
        ended = self._process is None or returncode is not None
        assert not ended, f"the daemon has ended ({returncode}):\n{self.log()}"

    def health(self) -> int:
        """The status of ``/healthz``; 0 while nobody answers."""
        try:
            return self.http("GET", "/healthz").status
        except OSError:
            return 0

    def http(
        self,
        method: str,
        path: str,
        *,
        token: str | None = None,
        body: object = None,
        headers: Mapping[str, str] | None = None,
        source: str = "127.0.0.1",
    ) -> Reply:
        """Make one HTTP request; ``body`` is bytes, or anything else to be sent as JSON.

        All of 127.0.0.0/8 is this machine; to the box another ``source`` is another host.
        """
        connection = http.client.HTTPConnection(
            "127.0.0.1", self.port, timeout=60, source_address=(source, 0)
        )
        try:
            return _exchange(connection, method, path, token, body, headers)
        finally:
            connection.close()

    def control(self, method: str, path: str) -> Any:
        """Ask the control socket, as ``inglenook pair`` does."""
        connection = http.client.HTTPConnection("box", timeout=10)
        connection.sock = socket.socket(socket.AF_UNIX)
        try:
            connection.sock.connect(os.fspath(self.state_dir / "control.sock"))
            return _exchange(connection, method, path, None, None, None).json()
        finally:
            connection.close()

    def state(self) -> dict[str, Any]:
        """What ``inglenook status`` shows."""
        state: dict[str, Any] = self.control("GET", "/state")
        return state

    def pairing_code(self) -> str:
        """Open a pairing window; returns the code to type."""
        code: str = self.control("POST", "/pair/open")["code"]
        return code

    def pairing_url(self) -> str:
        """Open a pairing window; returns the link that stands in the QR code."""
        window = self.control("POST", "/pair/open")
        return f"{self.url}/#p={window['secret']}&id={window['server_id']}"

    def pair(self, name: str) -> str:
        """Pair a new device over HTTP; returns its token."""
        body = {"code": self.pairing_code(), "device_name": name, "platform": "test"}
        reply = self.http("POST", "/pair", body=body)
        assert reply.status == 200, reply.body
        token: str = reply.json()["token"]
        return token

    def run(self, *words: str, stdin: str | bytes = b"") -> Ran:
        """Run ``inglenook`` with this box's settings, to its end."""
        return run_inglenook((*words, "--config", str(self.config)), self.environ(), stdin=stdin)

    def add_device(self, name: str, *options: str) -> str:
        """Add a device with the real command line; returns its token once the daemon knows it."""
        ran = self.run("devices", "add", "--name", name, *options)
        assert ran.returncode == 0, ran.err
        token = ran.out.strip()
        # The daemon looks at the file twice a second.
        self.wait(lambda: self._knows(token), "the daemon never heard of the device", COMMAND_S)
        return token

    def revoke(self, name: str, token: str) -> None:
        """Revoke a device with the real command line, and wait until the daemon knows."""
        ran = self.run("devices", "revoke", name)
        assert ran.returncode == 0, ran.err
        self.wait(lambda: not self._knows(token), "the daemon never heard of it", COMMAND_S)

    def log(self) -> str:
        """Everything the daemon has said."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def wait_log(self, pattern: str, within_s: float = 30.0) -> re.Match[str]:
        """Wait until the log holds a match of ``pattern``."""
        self.wait(lambda: re.search(pattern, self.log()), f"no {pattern!r} in the log", within_s)
        match = re.search(pattern, self.log())
        assert match is not None
        return match

    def engine_pid(self) -> int:
        """Process id of the engine; waits until there is one."""
        self.wait(self._engines, "no engine was started", READY_S)
        return self._engines()[0]

    def kill(self) -> None:
        """Kill the daemon as a power cut does, and wait until its engine has noticed too."""
        assert self._process is not None
        engines = [psutil.Process(pid) for pid in self._engines()]
        self._process.kill()
        self._process.wait(STOP_S)
        self._process = None
        _gone, alive = psutil.wait_procs(engines, timeout=READY_S)
        assert not alive, f"the engine outlived its daemon: {alive}"

    def stop(self) -> None:
        """Tell the daemon to go; it must go in time, with exit code 0 and without a traceback."""
        assert self._process is not None
        process, self._process = self._process, None
        process.send_signal(signal.SIGTERM)
        try:
            returncode = process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError(f"not gone {STOP_S} s after SIGTERM:\n{self.log()}") from None
        assert returncode == 0, f"exit code {returncode}:\n{self.log()}"
        assert "Traceback" not in self.log(), self.log()

    def restart(self) -> None:
        """Start the daemon again, on the same port and state; stops it first if it still runs."""
        if self._process is not None:
            self.stop()
        self.start()
        self.wait_ready()

    def wait_ended(self) -> int:
        """Wait until the daemon has ended by itself; returns its exit code."""
        assert self._process is not None
        process, self._process = self._process, None
        return process.wait(READY_S)

    def give_up(self) -> None:
        """End what is left, whatever happened; for `running_box`."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    @property
    def runs(self) -> bool:
        """Whether it was started, and neither stopped nor killed here."""
        return self._process is not None

    def _knows(self, token: str) -> bool:
        reply = self.http("GET", "/v1/state", token=token)
        return reply.status == 200 or b"expired" in reply.body

    def _engines(self) -> list[int]:
        children = psutil.Process(self.pid).children()
        return [child.pid for child in children if "inglenook.engine.worker" in _words(child)]

    def _all_settings(self) -> dict[str, Any]:
        settings: dict[str, Any] = {
            "name": "Kitchen",
            "state_dir": str(self.state_dir),
            "listen": {"host": "127.0.0.1", "port": self.port, "tls_port": 0},
            "discovery": {"enabled": False},
            # One of this machine's ports that others may have.
            "wake": {"udp_port": 0},
            # On cores that others use too, two threads spend their time waiting for each other.
            "engine": {"threads": 1},
            # How warm this machine is, and what else runs on it, is not what a test is about.
            "governor": {"enabled": False},
            # Nor is for how long other tests left the shared one alone.
            "power": {"unload_after": 0},
        }
        for section, values in self._settings.items():
            if isinstance(values, dict):
                settings[section] = {**settings.get(section, {}), **values}
            else:
                settings[section] = values
        return settings


@contextmanager
def running_box(model: Path | None, settings: Mapping[str, Any] | None = None) -> Iterator[Box]:
    """Run a daemon until the end of the block, and check that it then ends well.

    Args:
        model: The model file.
        settings: As in the settings file, beside or instead of those every box here has.
    """
    with made_box(model, settings) as box:
        box.start()
        box.wait_ready()
        yield box
        if box.runs:
            box.stop()


@contextmanager
def made_box(model: Path | None, settings: Mapping[str, Any] | None = None) -> Iterator[Box]:
    """Make everything a daemon needs without starting it; kills what still runs at the end."""
    # A small model can ramble to the end of its context, which must not be far.
    usual = {"path": None if model is None else str(model), "context": 2048}
    given = {"model": usual, **(settings or {})}
    # Not pytest's own folder: the control socket's path may have 107 bytes.
    with tempfile.TemporaryDirectory(prefix="box") as folder:
        box = Box(Path(folder), given)
        try:
            yield box
        finally:
            box.give_up()


def run_inglenook(
    words: Sequence[str],
    environ: Mapping[str, str],
    *,
    stdin: str | bytes = b"",
    path: str | None = None,
) -> Ran:
    """Run the command line to its end; a traceback fails the test, whatever the command was.

    Args:
        words: Its arguments.
        environ: What it finds in its environment, beside ``PATH``.
        stdin: What it reads.
        path: ``PATH``; None is one on which ``inglenook`` is found.
    """
    found = with_command(environ) if path is None else {**environ, "PATH": path}
    done = subprocess.run(
        (sys.executable, "-m", "inglenook", *words),
        input=stdin.encode() if isinstance(stdin, str) else stdin,
        capture_output=True,
        env=found,
        timeout=COMMAND_S,
        check=False,
    )
    out, err = done.stdout.decode(), done.stderr.decode()
    assert "Traceback" not in out + err, err
    return Ran(done.returncode, out, err)


def with_command(environ: Mapping[str, str]) -> dict[str, str]:
    """An environment in which ``inglenook`` is found, as README has it."""
    return {
        **environ,
        "PATH": f"{Path(sys.prefix) / 'bin'}:{environ.get('PATH', os.environ['PATH'])}",
    }


def free_port() -> int:
    """A port that nobody uses, not even a connection to come.

    Linux takes the near ends of connections, and port 0, from 32768 on: a port that was free there
    may be taken a moment later.
    """
    both = socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if both else socket.AF_INET
    while True:
        port = _CHANCE.randrange(20_000, 32_768)
        try:
            socket.create_server(("", port), family=family, dualstack_ipv6=both).close()
        except OSError:
            continue
        return port


def _exchange(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    token: str | None,
    body: object,
    headers: Mapping[str, str] | None,
) -> Reply:
    sent = dict(headers or {})
    if token is not None:
        sent["Authorization"] = f"Bearer {token}"
    if body is not None and not isinstance(body, bytes):
        body = json.dumps(body).encode()
        sent.setdefault("Content-Type", "application/json")
    connection.request(method, path, body, sent)
    answer = connection.getresponse()
    return Reply(answer.status, answer.headers, answer.read())


def _words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


class Terminal:
    """``inglenook`` in a terminal of its own, with a person at it."""

    def __init__(
        self, words: Sequence[str], environ: Mapping[str, str], columns: int | None = None
    ) -> None:
        self._ours, theirs = os.openpty()
        if columns is not None:
            termios.tcsetwinsize(theirs, (24, columns))
        self.shown = ""
        self._seen = 0
        self.process = subprocess.Popen(
            (
                # Tests that run in the background ignore Ctrl-C, and so would what they start.
                *("env", "--default-signal=INT"),
                # "--ctty" makes the terminal the program's own, so that Ctrl-C is a signal there.
                *("setsid", "--ctty"),
                *(sys.executable, "-m", "inglenook", *words),
            ),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={"TERM": "dumb", **with_command(environ)},
        )
        os.close(theirs)

    def type(self, text: str) -> None:
        """Press keys."""
        os.write(self._ours, text.encode())

    def modes(self) -> list[Any]:
        """How the terminal is set, as `termios.tcgetattr` tells."""
        return termios.tcgetattr(self._ours)

    def wait_for(self, words: str) -> str:
        """Wait until ``words`` are shown behind those of the last call; returns what came first."""
        deadline_s = time.monotonic() + READY_S
        while (found := self.shown.find(words, self._seen)) < 0:
            left_s = deadline_s - time.monotonic()
            assert left_s > 0, f"never saw {words!r}:\n{self.shown}"
            assert self._read(left_s), f"ended without {words!r}:\n{self.shown}"
        start, self._seen = self._seen, found + len(words)
        return self.shown[start : self._seen]

    def wait_ended(self) -> int:
        """Wait until the program has ended by itself; returns its exit code."""
        while self._read(READY_S):
            pass
        return self.process.wait(STOP_S)

    def close(self) -> None:
        """End it, if it still runs."""
        self.process.kill()
        self.process.wait()
        os.close(self._ours)

    def _read(self, timeout_s: float) -> bool:
        if not select.select([self._ours], [], [], timeout_s)[0]:
            return False
        try:
            data = os.read(self._ours, 65536)
        except OSError:
            # What Linux says when nobody holds the other end any more.
            return False
        self.shown += data.decode(errors="replace")
        return bool(data)


@contextmanager
def terminal(
    words: Sequence[str], environ: Mapping[str, str], *, columns: int | None = None
) -> Iterator[Terminal]:
    """Run ``inglenook`` in a terminal, of so many columns, until the end of the block."""
    held = Terminal(words, environ, columns)
    try:
        yield held
    finally:
        held.close()
