"""Strangers who keep connecting while paired phones are answered. Kind: hands.

A stranger has no token. It opens a connection, sends what its kind sends, and holds the connection
until the box drops it.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import json
import os
from collections.abc import AsyncIterator

import psutil

from benchmarks.follower import Follower, Told, counting
from benchmarks.household import Box
from benchmarks.scenarios import Tally, whole

#: Another address than the phones' on the same interface; all of 127.0.0.0/8 is this machine.
STRANGER = "127.0.0.2"

_STREAMS = 4


async def strangers(
    box: Box,
    duration_s: float,
    *,
    per_s: int = 100,
    address: str = STRANGER,
    tokens: int = 40,
    tls_port: int = 0,
) -> Tally:
    """Answer four phones, each on a new connection for each answer, while strangers connect.

    ``refused`` counts attempts of the phones that did not get in, or lost their connection.

    Args:
        box: A fresh one.
        duration_s: How long they keep coming.
        per_s: New connections of strangers in a second.
        address: Theirs; the phones have 127.0.0.1.
        tokens: Length of each answer.
        tls_port: Of the box, if it has one.
    """
    tally = Tally(f"strangers, {per_s} a second for {duration_s:g} s")
    tokens_of = [await asyncio.to_thread(box.pair, f"phone {n}") for n in range(_STREAMS)]
    told: list[Told] = [await Follower(box.url, token, counting(8)).follow() for token in tokens_of]
    daemon, before = psutil.Process(box.pid), _log_lines(box)
    cpu_s, rss = _cpu_s(daemon), daemon.memory_info().rss
    loop = asyncio.get_running_loop()
    until = loop.time() + duration_s
    counter = _Strangers(box.url, address, tls_port)

    async def ask_on(token: str) -> None:
        while loop.time() < until:
            one = await Follower(box.url, token, counting(tokens)).follow()
            told.append(one)
            tally.count(one, expected=whole(one, tokens))

    async with counter.coming(per_s), asyncio.TaskGroup() as tasks:
        for number, token in enumerate(tokens_of):
            tasks.create_task(ask_on(token), name=f"phone-{number}")
    tally.times = counter.came
    tally.notes["refused"] = sum(one.refused for one in told)
    tally.notes["slowest_entry_s"] = round(max(one.entered_s for one in told), 3)
    tally.notes["cpu_share"] = round((_cpu_s(daemon) - cpu_s) / duration_s, 3)
    tally.notes["rss_growth_bytes"] = daemon.memory_info().rss - rss
    tally.notes["log_lines"] = _log_lines(box) - before
    return tally


class _Strangers:
    """All of them.

    Attributes:
        came: How many have connected so far.
    """

    def __init__(self, url: str, address: str, tls_port: int) -> None:
        self.came = 0
        self._host, port = url.removeprefix("http://").split(":")
        self._port = int(port)
        self._address = address
        self._tls_port = tls_port

    @contextlib.asynccontextmanager
    async def coming(self, per_s: int) -> AsyncIterator[None]:
        """Have so many connect each second, until the end of the block."""
        async with asyncio.TaskGroup() as tasks:
            come = tasks.create_task(self._come(per_s), name="strangers")
            try:
                yield
            finally:
                come.cancel()

    async def _come(self, per_s: int) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        async with asyncio.TaskGroup() as tasks:
            for number, kind in enumerate(itertools.cycle(self._kinds())):
                tasks.create_task(self._stand(*kind), name="stranger")
                await asyncio.sleep(began + number / per_s - loop.time())

    def _kinds(self) -> list[tuple[int, bytes]]:
        """Port and first bytes of each kind."""
        host = f"Host: {self._host}:{self._port}\r\n"
        key = base64.b64encode(os.urandom(16)).decode()
        upgrade = (
            f"GET /ws HTTP/1.1\r\n{host}Upgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        guess = json.dumps({"code": "0000-0000"})
        texts = [
            "",
            f"GET /healthz HTTP/1.1\r\n{host}",
            f"GET /healthz HTTP/1.1\r\n{host}\r\n",
            f"POST /pair HTTP/1.1\r\n{host}Content-Length: {len(guess)}\r\n\r\n{guess}",
            f"POST /pair HTTP/1.1\r\n{host}Content-Length: 100\r\n\r\n",
            "\x16\x03\x01 is no request\r\n\r\n",
        ]
        kinds = [(self._port, text.encode()) for text in texts]
        if self._tls_port:
            # Half a handshake, and none.
            kinds += [(self._tls_port, b"\x16\x03\x01\x02\x00"), (self._tls_port, b"")]
        # Every second one opens a WebSocket, as a phone does.
        return [each for kind in kinds for each in ((self._port, upgrade.encode()), kind)]

    async def _stand(self, port: int, first: bytes) -> None:
        with contextlib.suppress(OSError):
            reader, writer = await asyncio.open_connection(
                self._host, port, local_addr=(self._address, 0)
            )
            self.came += 1
            try:
                writer.write(first)
                while await reader.read(65536):
                    pass
            finally:
                writer.transport.abort()


def _log_lines(box: Box) -> int:
    """Lines of the log but those of the phones' own answers."""
    return sum("answer r_" not in line for line in box.log().splitlines())


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system
