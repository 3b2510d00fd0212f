"""What is said to systemd arrives as sd_notify(3) has it, and its sockets are taken over once."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from inglenook.systemd import Notifier, inherited_sockets


@pytest.fixture(params=["path", "abstract"])
def listener(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    """A notification socket, as systemd has one, and what NOTIFY_SOCKET says of it."""
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.settimeout(20)
        sock.bind(path if request.param == "path" else f"\0{path}")
        yield sock, path if request.param == "path" else f"@{path}"


@pytest.mark.parametrize(
    ("say", "heard"),
    [
        (Notifier.ready, b"READY=1"),
        (
            lambda notifier: notifier.status("56 °C,\n 2 answers"),
            "STATUS=56 °C, 2 answers".encode(),
        ),
        (Notifier.watchdog, b"WATCHDOG=1"),
        (Notifier.stopping, b"STOPPING=1"),
        (lambda notifier: notifier.extend_timeout_s(1.5), b"EXTEND_TIMEOUT_USEC=1500000"),
    ],
)
def test_each_thing_is_said_in_one_datagram(
    listener: tuple[socket.socket, str], say: Callable[[Notifier], None], heard: bytes
) -> None:
    """At a path or in the abstract namespace; a status is one line."""
    sock, address = listener

    say(Notifier({"NOTIFY_SOCKET": address}))

    assert sock.recv(4096) == heard


def test_a_reload_says_when_it_began(listener: tuple[socket.socket, str]) -> None:
    """On the monotonic clock, as newer versions of systemd ask for."""
    sock, address = listener

    Notifier({"NOTIFY_SOCKET": address}).reloading()

    first, second = sock.recv(4096).decode().split("\n")
    assert first == "RELOADING=1"
    assert second.startswith("MONOTONIC_USEC=")
    assert int(second.partition("=")[2]) > 0


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"NOTIFY_SOCKET": "vsock:2:1234"},
        {"NOTIFY_SOCKET": "/no/such/folder/notify"},
        {"NOTIFY_SOCKET": "/" + "x" * 200},
        {"NOTIFY_SOCKET": "/\udcff"},
    ],
)
def test_without_systemd_nothing_happens(environ: dict[str, str]) -> None:
    """None, one that cannot be reached, or one that nobody could."""
    notifier = Notifier(environ)

    notifier.ready()
    notifier.status("well")


def test_a_full_socket_is_not_waited_for(listener: tuple[socket.socket, str]) -> None:
    """systemd is busy, or stopped: the box goes on."""
    _sock, address = listener
    notifier = Notifier({"NOTIFY_SOCKET": address})

    for _ in range(2000):  # far more than net.unix.max_dgram_qlen
        notifier.watchdog()


def test_children_cannot_speak_in_our_name(tmp_path: Path) -> None:
    """Every variable is taken out of the environment."""
    environ = {
        "NOTIFY_SOCKET": str(tmp_path / "notify"),
        "WATCHDOG_USEC": "120000000",
        "WATCHDOG_PID": str(os.getpid()),
        "LISTEN_PID": "1",
        "LISTEN_FDS": "1",
        "LISTEN_FDNAMES": "page",
        "HOME": "/root",
    }

    assert Notifier(environ).watchdog_s == 120
    assert inherited_sockets(environ).tcp == {}

    assert environ == {"HOME": "/root"}


@pytest.mark.parametrize(
    "environ",
    [
        {"NOTIFY_SOCKET": "/run/notify"},
        {"NOTIFY_SOCKET": "/run/notify", "WATCHDOG_USEC": "0"},
        {"NOTIFY_SOCKET": "/run/notify", "WATCHDOG_USEC": "soon"},
        {"NOTIFY_SOCKET": "/run/notify", "WATCHDOG_USEC": "120000000", "WATCHDOG_PID": "1"},
        {"WATCHDOG_USEC": "120000000"},
    ],
)
def test_there_is_a_watchdog_only_where_one_waits_for_us(environ: dict[str, str]) -> None:
    """Not another process's, and not one that could not be told."""
    assert Notifier(environ).watchdog_s is None


def handed_over(descriptors: list[int], names: str, *, ours: bool = True) -> dict[str, object]:
    """What a process finds that is started as systemd does: files from 3 on, and three variables.

    systemd's own way is a fork: only after it is the process's id known.
    """
    report = """if True:
        import json, os, socket
        from inglenook.systemd import inherited_sockets
        before = dict(os.environ)
        found = inherited_sockets(os.environ)
        print(json.dumps({
            "tcp": {port: len(socks) for port, socks in found.tcp.items()},
            "udp": found.udp and found.udp.getsockname()[1],
            "names": found.names,
            "left": sorted(name for name in os.environ if name.startswith("LISTEN_")),
            "inheritable": [s.get_inheritable() for socks in found.tcp.values() for s in socks],
        }))
    """
    pid = "os.getpid()" if ours else "1"
    start = f"""if True:
        import os, sys
        descriptors = {descriptors}
        # Out of the way of 3 and up, where they are wanted.
        high = [os.dup2(fd, 200 + n) for n, fd in enumerate(descriptors)]
        for n, fd in enumerate(high):
            os.dup2(fd, 3 + n)
        os.environ.update(LISTEN_PID=str({pid}), LISTEN_FDS=str(len(high)))
        os.environ.update(LISTEN_FDNAMES={names!r})
        os.execv(sys.executable, [sys.executable, "-c", {report!r}])
    """
    done = subprocess.run(
        [sys.executable, "-c", start],
        pass_fds=descriptors,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    heard: dict[str, object] = {**json.loads(done.stdout), "log": done.stderr}
    return heard


def test_sockets_are_told_apart_by_what_they_are() -> None:
    """Listening ones by their port, two of one port too; the one for datagrams; never a child's."""
    with (
        socket.create_server(("127.0.0.1", 0)) as four,
        socket.socket(socket.AF_INET6) as six,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
    ):
        port = four.getsockname()[1]
        six.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        # Where IPv6 is switched off there is no "::1", and still this.
        six.bind(("::", port))
        six.listen()
        udp.bind(("127.0.0.1", 0))

        found = handed_over([four.fileno(), six.fileno(), udp.fileno()], "page:page:wake")

        assert found == {
            "tcp": {str(port): 2},
            "udp": udp.getsockname()[1],
            "names": ["page", "page", "wake"],
            "left": [],
            "inheritable": [False, False],
            "log": "",
        }


def test_sockets_meant_for_another_process_are_left_alone() -> None:
    """A shell in between has the variables still, and another id."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        found = handed_over([sock.fileno()], "page", ours=False)

    assert (found["tcp"], found["left"]) == ({}, [])


def test_what_is_of_no_use_is_named(tmp_path: Path) -> None:
    """A file, a socket that does not listen, a second one for datagrams."""
    with (
        (tmp_path / "file").open("w") as file,
        socket.socket() as silent,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as another,
    ):
        files = [file.fileno(), silent.fileno(), udp.fileno(), another.fileno()]
        found = handed_over(files, "stored:silent:wake")

    assert found["tcp"] == {}
    assert found["udp"] == 0  # not bound, as it is here
    for name in ("stored (file 3)", "silent (file 4)", "unknown (file 6)"):
        assert f"systemd handed over {name}, which is of no use" in str(found["log"])
