"""Phones that are connected and ask nothing, in a process of their own. Kind: hands.

Their time is not the daemon's. Every other one is on the TLS port. Each pings as the page does.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from benchmarks.household import House
from benchmarks.speed.phone import Phone

#: The page's, in gateway/pages/wire.js.
_PING_EVERY_S = 20.0

_END_S = 10.0


@contextmanager
def guests(house: House, tls_url: str, count: int) -> Iterator[None]:
    """Have so many phones, paired and connected, until the end of the block."""
    tokens = [house.pair(f"guest {number + 1}") for number in range(count)]
    calls = [[(house.url, tls_url)[n % 2], token] for n, token in enumerate(tokens)]
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.guests"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(json.dumps(calls).encode() + b"\n")
            process.stdin.flush()
            if process.stdout.readline() != b"in\n":
                raise TimeoutError("the phones could not connect")
            yield
            if process.poll() is not None:
                raise TimeoutError("the phones were sent away")
        finally:
            process.terminate()
            process.wait(_END_S)


async def _stay(calls: list[tuple[str, str]]) -> None:
    phones = [await _enter(url, token) for url, token in calls]
    print("in", flush=True)
    while True:
        # One by one, as those of different people.
        for phone in phones:
            phone.ping()
            await asyncio.sleep(_PING_EVERY_S / len(phones))


async def _enter(url: str, token: str) -> Phone:
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    context = None
    if parts.scheme == "https":
        context = ssl.create_default_context()
        # What the key is worth is not what is measured.
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    _transport, phone = await asyncio.get_running_loop().create_connection(
        lambda: Phone(url, token), parts.hostname, parts.port, ssl=context
    )
    await phone.enter()
    return phone


if __name__ == "__main__":
    asyncio.run(_stay(json.loads(sys.stdin.readline())))
