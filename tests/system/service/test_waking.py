"""Asleep when idle, awake when called, with sockets that systemd holds."""

from __future__ import annotations

import socket

import pytest

from tests.parts.avahi import Seen
from tests.parts.netns import Machine, wait_for
from tests.parts.network import network_of
from tests.parts.phone import chat, connected
from tests.parts.service import FOUND_S, SOCKETS, START_S, STATE_DIR, UNIT, Service, seen
from tests.parts.starter import CAPITAL

pytestmark = [pytest.mark.system, pytest.mark.timeout(1200, func_only=True)]

UNLOAD_S = 10
STOP_S = 12
# The engine's end, and a look at the clock now and then.
LATE_S = 60.0

WAKE_PORT = 9
BOARD = "box"

QUESTION = chat(CAPITAL, temperature=0, max_tokens=32)

NEVER_STOPS = {"unload_after": f"{UNLOAD_S}s", "stop_after": 0}
STOPS = {"unload_after": f"{UNLOAD_S}s", "stop_after": f"{STOP_S}s"}


async def test_the_first_connection_starts_a_stopped_service_and_is_answered(
    service: Service, phone: Machine
) -> None:
    """The socket unit holds the port: nobody is refused, one connection does it all."""
    service.install()
    token = service.add_device("Phone")
    service.container.run("systemctl", "stop", UNIT)
    assert service.state == "inactive"
    assert {service.container.show(unit, "ActiveState") for unit in SOCKETS} == {"active"}

    await _asks(service, phone, token)

    assert service.state == "active"


async def test_a_box_without_its_model_has_it_back_for_a_question(
    service: Service, phone: Machine
) -> None:
    """The engine goes when nobody needs it, and the phone that comes later sees no difference."""
    service.install(power=NEVER_STOPS)
    token, pid = service.add_device("Phone"), service.pid
    service.wait_unloaded(timeout_s=UNLOAD_S + LATE_S)

    await _asks(service, phone, token)

    assert service.pid == pid


def test_a_magic_packet_has_the_model_loaded_before_anybody_asks(
    service: Service, phone: Machine
) -> None:
    """What it says of itself by mDNS is enough to call it."""
    service.install(power=NEVER_STOPS)
    mac = wait_for("an address to call", lambda: _mac(phone), timeout_s=FOUND_S)
    pid = service.pid
    service.wait_unloaded(timeout_s=UNLOAD_S + LATE_S)

    _call(phone, mac)

    service.wait_loaded()
    assert service.pid == pid


async def test_a_box_without_a_process_is_still_found_and_comes_back_for_a_connection(
    service: Service, phone: Machine
) -> None:
    """It ends by itself and well; Avahi speaks for it, and the first phone to come is answered."""
    asleep = _fall_asleep(service, phone)
    token = service.add_device("Phone")
    assert (asleep.txt["st"], asleep.txt["id"]) == ("sleep", _server_id(service))

    await _asks(service, phone, token, f"http://{asleep.address}:{asleep.port}")

    assert service.state == "active"
    # Or it might be asleep again before a phone has looked.
    _call(phone, asleep.txt["mac"])
    wait_for("one announcement", lambda: _announced_once(service, phone), timeout_s=FOUND_S)


def test_a_box_without_a_process_comes_back_for_a_magic_packet(
    service: Service, phone: Machine
) -> None:
    """systemd holds that port too; the model is loaded before anybody asks."""
    asleep = _fall_asleep(service, phone)

    _call(phone, asleep.txt["mac"])

    service.wait_loaded()


def test_what_was_for_another_starts_the_process_and_not_the_model(
    service: Service, phone: Machine
) -> None:
    """systemd cannot tell whom a packet is for; the daemon can, and its own still wakes it."""
    asleep = _fall_asleep(service, phone)

    _call(phone, "02:00:00:00:00:01")
    service.wait_state("active")
    assert not service.engine()
    _call(phone, asleep.txt["mac"])

    service.wait_loaded()


def _fall_asleep(service: Service, phone: Machine) -> Seen:
    """Install, wait until only systemd's sockets are left; returns what Avahi says of it then."""
    service.install(power=STOPS)
    service.wait_state("inactive", timeout_s=STOP_S + LATE_S)
    assert service.container.show(UNIT, "Result") == "success"
    assert {service.container.show(unit, "ActiveState") for unit in SOCKETS} == {"active"}
    said = wait_for("Avahi's word for it", lambda: _announced(service, phone), timeout_s=FOUND_S)
    assert said is not None
    return said


async def _asks(service: Service, phone: Machine, token: str, url: str = "") -> None:
    with network_of(phone):
        async with connected(url or service.url, token, open_timeout=START_S) as asking:
            answer = await asking.ask(QUESTION)
    assert answer.done is not None
    assert "Paris" in answer.text


def _server_id(service: Service) -> str:
    return service.container.run("cat", f"{STATE_DIR}/server_id").strip()


def _mac(phone: Machine) -> str:
    return next((entry.txt["mac"] for entry in seen(phone) if "mac" in entry.txt), "")


def _announced(service: Service, phone: Machine) -> Seen | None:
    """What Avahi announces, from the file put there for that; None if it does not yet.

    It does so under the board's own name; what the box said last under its own is forgotten within
    a second.
    """
    file = service.container.attempt("test", "-e", "/etc/avahi/services/inglenook.service")
    entries = [entry for entry in seen(phone) if entry.host_name == f"{BOARD}.local"]
    if file.returncode != 0:
        return None
    return next((entry for entry in entries if entry.transport == "IPv4"), None)


def _announced_once(service: Service, phone: Machine) -> bool:
    """Whether it announces itself, and Avahi has left that to it."""
    file = service.container.attempt("test", "-e", "/etc/avahi/services/inglenook.service")
    return file.returncode != 0 and {entry.txt.get("st") for entry in seen(phone)} == {"ready"}


def _call(phone: Machine, mac: str) -> None:
    """Send a magic packet as apps do: to everybody, by UDP."""
    packet = b"\xff" * 6 + bytes.fromhex(mac.replace(":", "")) * 16
    everybody = f"{phone.ipv4.rpartition('.')[0]}.255"
    with network_of(phone), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        sender.sendto(packet, (everybody, WAKE_PORT))
