"""A box hears magic packets for its own cards, and junk costs it next to nothing."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import pytest

from inglenook.common.errors import StartupError
from inglenook.power import listener
from inglenook.power.listener import WakeListener, bind_wake_socket
from inglenook.power.magic import magic_packet

MAC = bytes.fromhex("dca632010203")
OTHER_MAC = bytes.fromhex("00e04c680102")

WITHIN_S = 10.0

JUNK = {
    "another's": magic_packet(OTHER_MAC),
    "cut": magic_packet(MAC)[:-1],
    "headless": magic_packet(MAC)[1:],
    "no sync": MAC * 16,
    "all ff": b"\xff" * 102,
    "ff, a frame": b"\xff" * 1500,
    "empty": b"",
    "words": b"hello",
    "huge": bytes(60_000),
}

#: Sends junk of every kind at a pace until its stdin closes, then says how many there were.
FLOOD = """
import select, socket, sys, time
port, pace = int(sys.argv[1]), int(sys.argv[2])
junk = [bytes.fromhex(text) for text in sys.argv[3:]]
out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sent, began = 0, time.monotonic()
while not select.select([sys.stdin], [], [], 0)[0]:
    for _ in range(pace // 100):
        out.sendto(junk[sent % len(junk)], ("127.0.0.1", port))
        sent += 1
    time.sleep(max(0.0, began + sent / pace - time.monotonic()))
print(sent)
"""


class Cards(tuple[bytes, ...]):
    """A box's addresses, which count how many packets were compared with them."""

    def __init__(self, _macs: tuple[bytes, ...]) -> None:
        self.looked = 0

    def __iter__(self) -> Iterator[bytes]:
        self.looked += 1
        return super().__iter__()


class Ear:
    """A listener at work, and somebody who sends to it."""

    def __init__(self, sock: socket.socket) -> None:
        self.port: int = sock.getsockname()[1]
        self.cards = Cards((MAC,))
        self.calls: list[float] = []
        self.listener = WakeListener(sock, lambda: self.cards, self._called)
        self._out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    def _called(self) -> None:
        # The moment it goes by; by now the machine may have stood still for a while.
        self.calls.append(self.listener._called_at)

    def send(self, packet: bytes) -> None:
        self._out.setblocking(False)
        self._out.sendto(packet, ("127.0.0.1", self.port))

    async def looked(self, count: int) -> None:
        """Wait until so many packets have been looked at."""
        async with asyncio.timeout(WITHIN_S):
            while self.cards.looked < count:  # noqa: ASYNC110 nobody tells
                await asyncio.sleep(0.005)

    async def called(self, count: int) -> None:
        """Send a true packet now and then until there have been so many calls."""
        async with asyncio.timeout(WITHIN_S):
            while len(self.calls) < count:
                self.send(magic_packet(MAC))
                # Out of step with the listener, as anybody is who does not share its loop.
                await asyncio.sleep(0.033)

    def close(self) -> None:
        self._out.close()


@asynccontextmanager
async def listening(sock: socket.socket | None = None) -> AsyncIterator[Ear]:
    """Run a listener until the end of the block."""
    ear = Ear(sock or bind_wake_socket(0))
    async with asyncio.TaskGroup() as tasks:
        run = tasks.create_task(ear.listener.run(), name="wake")
        try:
            yield ear
        finally:
            run.cancel()
            ear.close()


@pytest.mark.parametrize(
    ("family", "address"),
    [
        (socket.AF_INET, "127.0.0.1"),
        pytest.param(
            *(socket.AF_INET6, "::1"),
            marks=pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="no IPv6 here"),
        ),
    ],
)
async def test_a_packet_for_this_box_is_heard(family: socket.AddressFamily, address: str) -> None:
    """By IPv4 and by IPv6, on the one socket."""
    async with listening() as ear:
        with socket.socket(family, socket.SOCK_DGRAM) as out:
            out.setblocking(False)
            out.sendto(magic_packet(MAC, b"secret"), (address, ear.port))
        await ear.looked(1)

    assert len(ear.calls) == 1


@pytest.mark.parametrize("junk", JUNK.values(), ids=JUNK.keys())
async def test_anything_else_is_passed_over(junk: bytes) -> None:
    """For another box, short, malformed, empty, as large as datagrams are."""
    async with listening() as ear:
        ear.send(junk)
        await ear.looked(1)
        assert ear.calls == []
        await ear.called(1)


async def test_a_call_that_is_sent_several_times_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who goes on calling is heard again after a while."""
    monkeypatch.setattr(listener, "_SAME_CALL_S", 0.2)
    async with listening() as ear:
        await ear.called(3)

    first, second, third = ear.calls
    assert second - first >= 0.2
    assert third - second >= 0.2


async def test_what_waits_in_an_inherited_socket_is_heard() -> None:
    """It is what had systemd start the program; the socket comes as it was left, and may block."""
    sock = bind_wake_socket(0)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        out.setblocking(False)
        out.sendto(magic_packet(MAC), ("127.0.0.1", sock.getsockname()[1]))
    inherited = socket.socket(fileno=sock.detach())
    inherited.setblocking(True)

    async with listening(inherited) as ear:
        await ear.looked(1)

    assert len(ear.calls) == 1


async def test_the_socket_closes_with_the_listener() -> None:
    """Another program can have the port then."""
    async with listening() as ear:
        await ear.called(1)

    bind_wake_socket(ear.port).close()


async def test_a_fault_of_the_socket_is_no_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Here that nobody is where it sent something to; it is asked again after a rest."""
    monkeypatch.setattr(listener, "_FAULT_REST_S", 0.01)
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.bind(("127.0.0.1", 0))
        address = peer.getsockname()
    sock.connect(address)
    sock.setblocking(False)
    sock.send(b"?")

    async with listening(sock) as ear:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
            peer.setblocking(False)
            peer.bind(address)
            async with asyncio.timeout(WITHIN_S):
                while not ear.calls:
                    peer.sendto(magic_packet(MAC), ("127.0.0.1", ear.port))
                    await asyncio.sleep(0.01)


@contextmanager
def flood(port: int, pace: int) -> Iterator[subprocess.Popen[str]]:
    """Send junk to a port, so many packets a second, until the block says ``stop_flood``."""
    words = [sys.executable, "-c", FLOOD, str(port), str(pace)]
    with subprocess.Popen(
        [*words, *(junk.hex() for junk in JUNK.values() if len(junk) <= 1500)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def stop_flood(process: subprocess.Popen[str]) -> int:
    """End it; returns how many packets were sent."""
    return int(process.communicate("\n", timeout=WITHIN_S)[0])


@pytest.mark.slow
async def test_a_flood_is_bounded_and_a_call_in_it_is_heard() -> None:
    """Of 10,000 packets a second no more than 3,200 are looked at, and no core is lost to them."""
    async with listening() as ear:
        with flood(ear.port, 10_000) as process:
            await ear.looked(1)
            wall_s, cpu_s, looked = time.monotonic(), time.process_time(), ear.cards.looked
            await asyncio.sleep(2.0)
            wall_s, cpu_s = time.monotonic() - wall_s, time.process_time() - cpu_s
            looked = ear.cards.looked - looked
            assert ear.calls == []
            await ear.called(1)
            sent = await asyncio.to_thread(stop_flood, process)

    rows = wall_s / listener._REST_S + 1
    assert sent > 5_000
    # It was under pressure: more came than it was ready to look at.
    assert rows * listener._ROW / 10 < looked <= rows * listener._ROW
    # It takes 0.03 on a fast board; reading each packet as it comes, a third of a core.
    assert cpu_s / wall_s < 0.15


def test_a_port_in_use_is_a_sentence() -> None:
    """Nothing is shared: two programs would each hear half."""
    with bind_wake_socket(0) as first, pytest.raises(StartupError) as caught:
        bind_wake_socket(first.getsockname()[1])

    assert "is taken by another program" in str(caught.value)
    assert "'wake.udp_port'" in str(caught.value)


@pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("unshare") is None,
    reason="needs root for a network of its own",
)
def test_a_port_that_only_root_may_use_is_a_sentence() -> None:
    """It names what has systemd hold the port; the box goes on without."""
    program = (
        "import os\n"
        "from inglenook.common.errors import StartupError\n"
        "from inglenook.power.listener import bind_wake_socket\n"
        "os.setuid(65534)\n"
        "try:\n    bind_wake_socket(9)\n"
        "except StartupError as exc:\n    print(exc)\n"
    )
    done = subprocess.run(
        ["unshare", "--net", sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )

    assert "UDP port 9 may not be used by this user" in done.stdout, done.stderr
    assert "`inglenook service install`" in done.stdout
