"""The two servers that are compared, each a process of its own. Kind: hands."""

from __future__ import annotations

import asyncio
import http.client
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from benchmarks.household import House, free_port
from benchmarks.speed.answer import Answer
from benchmarks.speed.phone import Phone, connect
from benchmarks.speed.question import Question
from benchmarks.speed.sse import ask
from benchmarks.speed.stream import Unmeasurable

#: Cells of the one pool that all answers share, the same everywhere.
CELLS = 4096

#: Answers written at once, the same everywhere.
PLACES = 8

#: Prompt tokens a pass through the weights takes at most, the same everywhere.
UBATCH_TOKENS = 512

_START_S = 120.0
_ASK_S = 5.0
_EVERY_S = 0.05


@dataclass(frozen=True, slots=True)
class Setting:
    """What all contenders are given alike.

    Attributes:
        model: The GGUF file.
        threads: Compute threads.
        llama_server: llama.cpp's own server; None takes the one in the ``xllamacpp`` wheel.
    """

    model: Path
    threads: int
    llama_server: Path | None


class Server(Protocol):
    """A server that is up."""

    name: str

    async def begin(self, who: int, question: Question) -> Answer:
        """Ask, as one of several; returns when the question has been sent."""


class Inglenook:
    """The daemon over its WebSocket, with phones that are paired and connected."""

    name = "Inglenook"

    def __init__(self, house: House, tokens: list[str]) -> None:
        self.house = house
        self._tokens = tokens
        self.phones: list[Phone] = []

    async def connect(self) -> None:
        """Connect every phone, again if need be."""
        await self.hang_up()
        self.phones = [await connect(self.house.url, token) for token in self._tokens]

    async def hang_up(self) -> None:
        """Let the connections go."""
        for phone in self.phones:
            await phone.close()
        self.phones = []

    async def begin(self, who: int, question: Question) -> Answer:
        """Ask on the connection of phone ``who``."""
        return self.phones[who].begin(question)


class LlamaServer:
    """llama.cpp's own server over HTTP."""

    def __init__(self, url: str, name: str) -> None:
        self.name = name
        self._url = url

    async def begin(self, who: int, question: Question) -> Answer:
        """Ask on a connection of its own."""
        return await ask(self._url, question)


@contextmanager
def daemon(setting: Setting, **settings: Mapping[str, Any]) -> Iterator[House]:
    """Run a daemon; ``settings`` are sections of its configuration, beside those all share."""
    engine = {
        "threads": setting.threads,
        "max_sequences": PLACES,
        **settings.pop("engine", {}),
    }
    everything: dict[str, Any] = {
        "model": {"path": str(setting.model.absolute()), "context": CELLS},
        "engine": engine,
        # Heat is not what is measured.
        "governor": {"enabled": False},
        **settings,
    }
    # The control socket's path may have 107 bytes.
    with tempfile.TemporaryDirectory(prefix="house") as folder:
        house = House(Path(folder), everything)
        try:
            house.start()
            house.wait_ready()
            yield house
        finally:
            house.give_up()


@asynccontextmanager
async def phones(house: House, count: int) -> AsyncIterator[Inglenook]:
    """Pair and connect so many phones."""
    tokens = [await asyncio.to_thread(house.pair, f"phone {n + 1}") for n in range(count)]
    inglenook = Inglenook(house, tokens)
    await inglenook.connect()
    try:
        yield inglenook
    finally:
        await inglenook.hang_up()


@contextmanager
def llama_server(setting: Setting, *, unified: bool = True) -> Iterator[LlamaServer]:
    """Run llama.cpp's server until the end of the block.

    Args:
        setting: What all peers have in common.
        unified: Let its slots share one pool, as ours do; it does so only if told.

    Raises:
        Unmeasurable: If it does not come up, with its last words.
    """
    port = free_port()
    with tempfile.TemporaryFile() as log:
        server = subprocess.Popen(
            _words(setting, port, unified=unified),
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
        )
        try:
            _wait_healthy(server, port, log)
            name = "llama-server" if unified else "llama-server, as it comes"
            yield LlamaServer(f"http://127.0.0.1:{port}", name)
        finally:
            server.kill()
            server.communicate()


def _words(setting: Setting, port: int, *, unified: bool) -> list[str]:
    """Its command line; what is not said is as it comes, prompt cache and flash attention too."""
    if setting.llama_server is None:
        child = [sys.executable, "-m", "benchmarks.speed.xllama"]
        return [*child, str(setting.model), str(port), str(setting.threads), str(int(unified))]
    options = {
        "--model": setting.model,
        "--port": port,
        "--threads": setting.threads,
        "--threads-batch": setting.threads,
        "--ctx-size": CELLS,
        "--parallel": PLACES,
        "--ubatch-size": UBATCH_TOKENS,
    }
    words = [str(word) for pair in options.items() for word in pair]
    return [str(setting.llama_server), *words, *(["--kv-unified"] if unified else [])]


def _wait_healthy(server: subprocess.Popen[bytes], port: int, log: Any) -> None:
    deadline_s = time.monotonic() + _START_S
    while not _healthy(port):
        if server.poll() is not None or time.monotonic() > deadline_s:
            log.seek(0)
            said = log.read().decode(errors="replace").strip().splitlines()[-3:]
            raise Unmeasurable("llama.cpp's server did not come up: " + " / ".join(said))
        time.sleep(_EVERY_S)


def _healthy(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_ASK_S)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
