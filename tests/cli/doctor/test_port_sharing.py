"""What others on this machine suffer from the box's ports, as the doctor sees it."""

from __future__ import annotations

import socket
from dataclasses import replace
from pathlib import Path

import pytest

from inglenook.cli.doctor.port_sharing import avahi_is_alone, shared_ports
from inglenook.cli.doctor.result import Verdict
from inglenook.config import Config, load_config
from tests.parts.avahiconf import SETTINGS
from tests.parts.box import free_port


@pytest.fixture
def settings(config: Path, tmp_path: Path) -> Config:
    """Settings of a box on a machine without Avahi, that hears no magic packets."""
    found = load_config(config, {})
    governor = replace(found.governor, root=tmp_path / "root")
    return replace(found, governor=governor, wake=replace(found.wake, udp_port=0))


def set_up_avahi(root: Path, text: str) -> None:
    folder = root / "etc" / "avahi"
    folder.mkdir(parents=True)
    (folder / "avahi-daemon.conf").write_text(text)


@pytest.mark.parametrize("text", SETTINGS)
def test_avahis_settings_are_read_as_avahi_reads_them(tmp_path: Path, text: str) -> None:
    """Not as its manual has it: the last line of several, and only yes, would count."""
    set_up_avahi(tmp_path, text)

    assert avahi_is_alone(tmp_path) is SETTINGS[text]


@pytest.mark.parametrize("running", [True, False])
def test_an_avahi_that_shares_with_nobody_is_told_of(settings: Config, running: bool) -> None:
    """With what to do; whether the box runs or not, as either may start first."""
    assert shared_ports(settings, running=running) == []
    set_up_avahi(settings.governor.root, "[server]\ndisallow-other-stacks=yes\n")
    [line] = shared_ports(settings, running=running)

    assert (line.verdict, line.what) == (Verdict.WARNING, "Avahi")
    assert "disallow-other-stacks=no there and `sudo systemctl restart avahi-daemon`" in line.text


def test_a_box_that_is_not_announced_leaves_avahi_alone(settings: Config) -> None:
    """It does not have the port."""
    set_up_avahi(settings.governor.root, "[server]\ndisallow-other-stacks=yes\n")
    off = replace(settings, discovery=replace(settings.discovery, enabled=False))

    assert shared_ports(off, running=True) == []


def test_ports_of_the_systems_own_are_worth_knowing(settings: Config) -> None:
    """A NAS's pages are at 80, and may start later than the box."""
    listen = replace(settings.listen, extra=(80, 11434), tls_port=443)
    lines = shared_ports(replace(settings, listen=listen), running=True)

    assert [line.what for line in lines] == ["port 80", "port 443"]
    assert {line.verdict for line in lines} == {Verdict.WARNING}


def test_a_port_for_magic_packets_is_free_or_anothers(
    settings: Config, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Or systemd holds it for the service, if that is installed."""
    monkeypatch.setenv("PATH", str(tmp_path))
    port = free_port()
    config = replace(settings, wake=replace(settings.wake, udp_port=port))
    [free] = shared_ports(config, running=False)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as held:
        held.bind(("", port))
        [taken] = shared_ports(config, running=False)
        systemctl = tmp_path / "systemctl"
        systemctl.write_text("#!/bin/sh\necho ActiveState=active\n")
        systemctl.chmod(0o755)
        [ours] = shared_ports(config, running=False)

    assert (free.verdict, free.what) == (Verdict.OK, f"UDP port {port}")
    assert taken.verdict is Verdict.WARNING
    assert "is taken by another program" in taken.text
    assert ours.verdict is Verdict.OK
    assert "'wake.udp_port: 0' leaves it to another program" in ours.text
