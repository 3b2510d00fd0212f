"""Disk, ports and network, as the doctor sees them."""

from __future__ import annotations

import socket
from dataclasses import replace
from pathlib import Path

import pytest

from inglenook.cli.doctor import network
from inglenook.cli.doctor.network import announcement, disk, mdns, ports
from inglenook.cli.doctor.result import Verdict
from inglenook.common.errors import StartupError
from inglenook.config import Config, load_config
from inglenook.discovery.box import BoxHello, MdnsAnswer, read_box
from inglenook.discovery.found_box import FoundBox
from tests.parts.box import free_port


@pytest.fixture
def settings(config: Path) -> Config:
    """Settings whose state folder is not there yet."""
    return load_config(config, {})


def test_a_folder_that_is_not_there_yet_has_the_space_of_the_one_around_it(
    settings: Config,
) -> None:
    """It is made at the first start."""
    [line] = disk(settings)

    assert not settings.state_dir.exists()
    assert line.verdict in (Verdict.OK, Verdict.WARNING)
    assert line.text.startswith(f"{settings.state_dir} has ")


def test_a_full_disk_is_to_be_fixed(settings: Config) -> None:
    """The kernel's own files stand on one that has no room at all."""
    [line] = disk(replace(settings, state_dir=Path("/proc/self")))

    assert line.verdict is Verdict.FIX


def test_ports_that_are_free_stay_so(settings: Config) -> None:
    """Nothing is left bound, so that it can be looked at twice."""
    listen = replace(settings.listen, host="127.0.0.1", port=free_port(), tls_port=0)
    settings = replace(settings, listen=listen)

    for _ in range(2):
        [line] = ports(settings, running=False)
        assert line.verdict is Verdict.OK
        assert line.text == f"{listen.port}: free for the daemon"


@pytest.mark.parametrize(
    ("unit", "verdict", "text"),
    [
        ("ActiveState=active\\nListen=[::]:{port} (Stream)", Verdict.OK, "systemd holds them"),
        ("ActiveState=active\\nListen=10.0.0.5:{port} (Stream)", Verdict.OK, "systemd holds them"),
        ("ActiveState=active\\nListen={port} (Stream)", Verdict.OK, "systemd holds them"),
        ("ActiveState=active\\nListen=[::]:9 (Stream)", Verdict.FIX, "is taken by another program"),
        ("ActiveState=inactive\\nListen={port} (Stream)", Verdict.FIX, "is taken by another"),
        (None, Verdict.FIX, "is taken by another program"),
    ],
)
def test_ports_that_systemd_holds_for_the_service_are_not_taken(
    settings: Config,
    monkeypatch: pytest.MonkeyPatch,
    unit: str | None,
    verdict: Verdict,
    text: str,
) -> None:
    """It sleeps without a process; another program's port is another program's."""
    folder = settings.state_dir.parent / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    with socket.create_server(("127.0.0.1", 0)) as held:
        port: int = held.getsockname()[1]
        if unit is not None:
            program = folder / "systemctl"
            program.write_text(f"#!/bin/sh\nprintf '{unit.format(port=port)}\\n'\n")
            program.chmod(0o755)
        listen = replace(settings.listen, host="127.0.0.1", port=port, tls_port=0)
        [line] = ports(replace(settings, listen=listen), running=False)

    assert line.verdict is verdict
    assert text in line.text


def test_a_box_without_ports_is_worth_knowing(settings: Config) -> None:
    """Nobody could come in."""
    listen = replace(settings.listen, port=0, tls_port=0)

    [line] = ports(replace(settings, listen=listen), running=False)

    assert line.verdict is Verdict.WARNING


def test_mdns_that_is_off_is_not_tried(settings: Config) -> None:
    """Its owner knows."""
    [line] = mdns(
        replace(settings, discovery=replace(settings.discovery, enabled=False)), running=True
    )

    assert line.verdict is Verdict.OK
    assert "phones have to be given the address" in line.text


def test_mdns_that_cannot_be_used_is_told_while_the_daemon_runs(
    settings: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the doctor goes on."""

    async def find_boxes(_timeout_s: float) -> list[FoundBox]:
        raise StartupError("cannot search the network: it is not there")

    monkeypatch.setattr(network, "find_boxes", find_boxes)
    settings.state_dir.mkdir(parents=True)
    [line] = mdns(settings, running=True)

    assert line.verdict is Verdict.WARNING
    assert line.text == "cannot search the network: it is not there"


OWN = BoxHello("ab12cd34", "Kitchen", run_id="00000001")
ADDRESSES = {"192.168.1.20", "10.0.0.20"}
NOT_HEARD = "the box was not found; a firewall may drop UDP port 5353"


def told(address: str, hello: BoxHello | None, name: str = "Kitchen") -> FoundBox:
    """What is heard of a box with this machine's id."""
    txt = {b"id": b"ab12cd34", b"st": b"ready"}
    box = read_box(MdnsAnswer(name, "kitchen-ab12.local.", 8377, [address], txt))
    assert box is not None
    return FoundBox(box, box.urls, hello)


HERE = told("192.168.1.20", OWN)
COPY = told("192.168.1.66", replace(OWN, run_id="00000002"), "Kitchen-2")
GHOST = told("192.168.1.66", None)


@pytest.mark.parametrize(
    ("heard", "own", "lines"),
    [
        ([HERE], OWN, [(Verdict.OK, "found as Kitchen (kitchen-ab12.local), ready")]),
        ([], OWN, [(Verdict.WARNING, NOT_HEARD)]),
        (
            [HERE, COPY],
            OWN,
            [
                (Verdict.OK, "found as"),
                (Verdict.FIX, "Kitchen-2 at http://192.168.1.66:8377 is an"),
            ],
        ),
        ([COPY], OWN, [(Verdict.WARNING, NOT_HEARD), (Verdict.FIX, "Kitchen-2 at http")]),
        (
            [GHOST],
            OWN,
            [(Verdict.WARNING, f"{NOT_HEARD}; Kitchen is announced at http://192.168.1.66:8377")],
        ),
        (
            [replace(HERE, hello=None)],
            OWN,
            [(Verdict.WARNING, "http://192.168.1.20:8377, where it does not answer: see `listen")],
        ),
        # A daemon of an older version, or one that is too busy to answer: by its addresses.
        ([HERE], None, [(Verdict.OK, "found as Kitchen")]),
        ([HERE], replace(OWN, run_id=None), [(Verdict.OK, "found as Kitchen")]),
        ([COPY], None, [(Verdict.WARNING, NOT_HEARD), (Verdict.FIX, "Kitchen-2 at http")]),
    ],
)
def test_not_every_box_of_its_id_is_the_box(
    heard: list[FoundBox], own: BoxHello | None, lines: list[tuple[Verdict, str]]
) -> None:
    """It may be another with a copy of its SD card, or what a router remembers."""
    said = announcement(heard, own, ADDRESSES)

    assert [line.verdict for line in said] == [verdict for verdict, _text in lines]
    for line, (_verdict, text) in zip(said, lines, strict=True):
        assert text in line.text


def test_whoever_hears_of_a_copy_hears_what_to_do() -> None:
    """Which of the two is the copy, only its owner knows."""
    [_found, copy] = announcement([HERE, COPY], OWN, ADDRESSES)

    assert "remove server_id, devices.json, host_name" in copy.text
