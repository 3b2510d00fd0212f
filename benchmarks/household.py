"""A box of its own for a benchmark: the real program, started and killed as needed. Kind: hands."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import psutil
import yaml

from inglenook.common.errors import StartupError
from inglenook.models.starter import pull_starter

MODELS_DIR = Path(__file__).parents[1] / ".state" / "models"
_READY_S = 60.0
_STOP_S = 10.0
_EVERY_S = 0.02


class Box(Protocol):
    """What a scenario needs of a daemon; every method blocks."""

    url: str
    state_dir: Path

    @property
    def pid(self) -> int:
        """Process id of the daemon."""

    def start(self) -> None:
        """Start it; returns at once."""

    def wait_ready(self) -> None:
        """Wait until its model is loaded."""

    def engine_pid(self) -> int:
        """Process id of its engine; waits until there is one."""

    def kill(self) -> None:
        """Kill it, and wait until its engine has noticed."""

    def stop(self) -> None:
        """End it with SIGTERM and wait for its end."""

    def pair(self, name: str) -> str:
        """Pair a new device; returns its token."""

    def state(self) -> dict[str, Any]:
        """What ``inglenook status`` shows."""

    def log(self) -> str:
        """Everything it has said."""


class House:
    """A `Box` in a temporary folder."""

    def __init__(
        self,
        folder: Path,
        settings: Mapping[str, Any],
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self._environ = dict(environ or {})
        self.port = settings.get("listen", {}).get("port") or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.state_dir = Path(settings.get("state_dir", folder / "state"))
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self.model = Path(settings.get("model", {}).get("path") or _starter())
        everything = {
            "state_dir": str(self.state_dir),
            "discovery": {"enabled": False},
            **settings,
            "model": {**settings.get("model", {}), "path": str(self.model)},
            "listen": {
                "host": "127.0.0.1",
                "port": self.port,
                "tls_port": 0,
                **settings.get("listen", {}),
            },
        }
        (folder / "config.yaml").write_text(yaml.safe_dump(everything))

    @property
    def pid(self) -> int:
        """Process id of the daemon."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it; returns at once."""
        words = (sys.executable, "-m", "inglenook", "run", "--config", self._folder / "config.yaml")
        with (self._folder / "log").open("ab") as log:
            environ = {**os.environ, **self._environ}
            self._process = subprocess.Popen(words, stdout=log, stderr=log, env=environ)

    def wait_ready(self) -> None:
        """Wait until its model is loaded.

        Raises:
            StartupError: If it ends instead.
        """
        _wait(self._ready, "the daemon never became ready")

    def engine_pid(self) -> int:
        """Process id of its engine; waits until there is one."""
        found: list[psutil.Process] = []

        def look() -> bool:
            # Looked at once: the one that is found may be on its way out.
            found[:] = self._engines()
            return bool(found)

        _wait(look, "no engine was started")
        return found[0].pid

    def wait_asleep(self) -> None:
        """Wait until it has no engine, since nobody needs one."""
        _wait(lambda: not self._engines(), "the model stays in memory")

    def kill(self) -> None:
        """Kill it, and wait until its engine has noticed."""
        assert self._process is not None
        engines = self._engines()
        self._process.kill()
        self._process.wait()
        psutil.wait_procs(engines, timeout=_STOP_S)

    def stop(self) -> None:
        """End it with SIGTERM and wait for its end."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(_STOP_S)

    def exit_code(self) -> int | None:
        """How it ended; None if it lives."""
        assert self._process is not None
        return self._process.poll()

    def give_up(self) -> None:
        """End it, whatever it is doing."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def pair(self, name: str) -> str:
        """Pair a new device; returns its token."""
        code = self._control("POST", "/pair/open")["code"]
        front = http.client.HTTPConnection("127.0.0.1", self.port, timeout=_STOP_S)
        body = json.dumps({"code": code, "device_name": name, "platform": "benchmark"})
        front.request("POST", "/pair", body, {"Content-Type": "application/json"})
        token: str = json.loads(front.getresponse().read())["token"]
        front.close()
        return token

    def state(self) -> dict[str, Any]:
        """What it says of itself to its owner, by the control socket; raises OSError if nothing."""
        return self._control("GET", "/state")

    def is_ready(self) -> bool:
        """Whether it would answer a question now."""
        return self._status() == 200

    def log(self) -> str:
        """Everything it has said."""
        return (self._folder / "log").read_text(errors="replace")

    def _control(self, method: str, path: str) -> dict[str, Any]:
        control = http.client.HTTPConnection("box", timeout=_STOP_S)
        control.sock = socket.socket(socket.AF_UNIX)
        try:
            control.sock.connect(os.fspath(self.state_dir / "control.sock"))
            control.request(method, path)
            said: dict[str, Any] = json.loads(control.getresponse().read())
            return said
        finally:
            control.close()

    def _engines(self) -> list[psutil.Process]:
        return [child for child in psutil.Process(self.pid).children() if _is_engine(child)]

    def _ready(self) -> bool:
        if self._process is not None and self._process.poll() is not None:
            raise StartupError(f"the daemon has ended: {self.log().strip().splitlines()[-1]}")
        return self._status() == 200

    def _status(self) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=_STOP_S)
        try:
            connection.request("GET", "/healthz")
            return connection.getresponse().status
        except OSError:
            return 0
        finally:
            connection.close()


def _starter() -> Path:
    return asyncio.run(pull_starter(MODELS_DIR, progress=lambda _text, _fraction: None))


def free_port(kind: int = socket.SOCK_STREAM) -> int:
    """Find a TCP or UDP port that nobody uses."""
    with socket.socket(socket.AF_INET, kind) as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


@contextmanager
def running_house(
    settings: Mapping[str, Any] | None = None, environ: Mapping[str, str] | None = None
) -> Iterator[House]:
    """Run a daemon until the end of the block, with ``environ`` beside this process's own."""
    with made_house(settings, environ) as house:
        house.start()
        house.wait_ready()
        yield house


@contextmanager
def made_house(
    settings: Mapping[str, Any] | None = None, environ: Mapping[str, str] | None = None
) -> Iterator[House]:
    """Make a daemon's settings without starting it; ends it at the end of the block."""
    # The control socket's path may have 107 bytes.
    with tempfile.TemporaryDirectory(prefix="house") as folder:
        house = House(Path(folder), settings or {}, environ)
        try:
            yield house
        finally:
            house.give_up()


def _is_engine(process: psutil.Process) -> bool:
    try:
        return "worker" in " ".join(process.cmdline())
    except psutil.Error:
        # It has just ended.
        return False


def _wait(condition: Any, complaint: str) -> None:
    deadline_s = time.monotonic() + _READY_S
    while not condition():
        if time.monotonic() > deadline_s:
            raise TimeoutError(complaint)
        time.sleep(_EVERY_S)
