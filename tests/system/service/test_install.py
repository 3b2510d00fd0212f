"""Installed from the checkout on a Debian 12: found, asked, booted again, stopped, taken away."""

from __future__ import annotations

import re

import pytest

from tests.parts.avahi import Seen
from tests.parts.netns import Machine, wait_for
from tests.parts.network import network_of
from tests.parts.phone import chat, connected, long_chat
from tests.parts.service import FOUND_S, PORT, SOCKETS, UNIT, Service, seen
from tests.parts.starter import CAPITAL
from tests.system.service.conftest import Home

pytestmark = [pytest.mark.system, pytest.mark.timeout(1200, func_only=True)]

# The program promises five seconds. A goodbye is kept for one of them (RFC 6762 section 10.1), and
# each look takes another; without one the box would be listed for two minutes.
GOODBYE_S = 5.0
#: Ten times what `systemd-analyze security` calls exposure.
EXPOSURE_MOST = 13

_USERS = r"/etc/(\.pwd\.lock|g?shadow-?|group-?|passwd-?)$"


async def test_a_phone_finds_the_installed_service_and_talks_to_it(home: Home) -> None:
    """The unit is active and enabled, mDNS leads to it, and it answers by both kinds of address."""
    service, phone = home.service, home.phone

    assert service.state == "active"
    wait_for("a word of its state", lambda: _tells_its_model(service), timeout_s=FOUND_S)
    for unit in (UNIT, *SOCKETS):
        assert service.container.show(unit, "UnitFileState") == "enabled", unit
    entries = wait_for("both addresses", lambda: _both(phone), timeout_s=FOUND_S)
    token = service.add_device("Phone")
    with network_of(phone):
        for entry in entries:
            host = f"[{entry.address}]" if ":" in entry.address else entry.address
            async with connected(f"http://{host}:{entry.port}", token) as asking:
                answer = await asking.ask(chat(CAPITAL, temperature=0, max_tokens=32))
            assert answer.done is not None
            assert "Paris" in answer.text


async def test_it_is_there_again_after_a_reboot(service: Service, phone: Machine) -> None:
    """Nobody does anything: the board boots, and the box answers and is found."""
    service.install()
    token = service.add_device("Phone")

    service.container.reboot()

    service.wait_loaded()
    wait_for("the box", lambda: seen(phone), timeout_s=FOUND_S)
    with network_of(phone):
        async with connected(service.url, token) as asking:
            assert (await asking.ask(long_chat(2))).done is not None


def test_it_runs_as_nobody_in_particular_with_nothing_to_spare(home: Home) -> None:
    """Neither daemon nor engine is root's; the units are clean and the exposure is 1.3 at most."""
    service = home.service
    engine = service.engine()

    for pid in (service.pid, engine):
        status = service.container.run("cat", f"/proc/{pid}/status")
        fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
        assert fields["Uid"].split()[0] != "0"
        assert fields["NoNewPrivs"] == "1"
        assert {int(fields[name], 16) for name in ("CapEff", "CapBnd", "CapAmb")} == {0}
        assert fields["Seccomp"] == "2"
    assert service.container.show(UNIT, "WatchdogUSec") == "2min"
    units = service.container.attempt("systemd-analyze", "verify", UNIT, *SOCKETS)
    assert (units.returncode, units.stdout + units.stderr) == (0, "")
    exposure = service.container.attempt(
        "systemd-analyze", "security", "--no-pager", f"--threshold={EXPOSURE_MOST}", UNIT
    )
    assert exposure.returncode == 0, exposure.stdout


def test_a_stopped_box_says_goodbye(service: Service, phone: Machine) -> None:
    """Phones forget it within seconds, not when its records run out an hour later."""
    service.install()
    wait_for("the box", lambda: seen(phone), timeout_s=FOUND_S)

    service.stop()
    wait_for("an empty list", lambda: not seen(phone), timeout_s=GOODBYE_S)

    assert service.state == "inactive"
    assert service.container.show(UNIT, "Result") == "success"


def test_uninstalling_takes_away_what_installing_put_there(service: Service) -> None:
    """No unit and no port is left; settings and state are the owner's and stay."""
    before = _files(service)
    service.install()
    assert _files(service) != before

    service.inglenook("service", "uninstall")

    assert service.container.show(UNIT, "LoadState") == "not-found"
    assert f":{PORT}" not in service.container.run("ss", "-Hltn")
    assert _files(service) == before
    service.container.run("test", "-s", "/etc/inglenook/config.yaml")
    service.container.run("test", "-s", "/var/lib/inglenook/server_id")


def test_an_avahi_that_shares_with_nobody_is_told_of(service: Service, phone: Machine) -> None:
    """By the installer, and by the doctor; until its line is gone and it was started again."""
    settings = "/etc/avahi/avahi-daemon.conf"
    said = "Avahi is set to share UDP port 5353 with no other program"
    service.configure()
    command = (f"{service.venv}/bin/python", "-m", "inglenook")
    service.container.run(
        "sed", "-i", "s/^#disallow-other-stacks=.*/disallow-other-stacks=yes/", settings
    )
    service.container.run("systemctl", "restart", "avahi-daemon")

    installed = service.container.attempt(*command, "service", "install")

    assert installed.returncode == 0, installed
    assert said in installed.stderr
    assert said in service.container.attempt(*command, "doctor").stdout
    wait_for(
        "what the box suffers",
        lambda: "another program holds UDP port 5353" in service.container.journal(UNIT),
        timeout_s=FOUND_S,
    )
    service.container.run(
        "sed", "-i", "s/^disallow-other-stacks=yes/disallow-other-stacks=no/", settings
    )
    service.container.run("systemctl", "restart", "avahi-daemon")
    again = service.container.attempt(*command, "service", "install")
    assert (again.returncode, said in again.stderr) == (0, False), again


def test_installing_again_starts_what_is_new_and_leaves_no_more_behind(home: Home) -> None:
    """Whoever updates the program runs it once more; the same files, another process."""
    service = home.service
    service.add_device("Phone")
    before, pid = _files(service, "ls"), service.pid

    service.inglenook("service", "install")

    service.wait_loaded()
    assert _files(service, "ls") == before
    assert service.pid not in (0, pid)
    assert "Phone" in service.inglenook("devices", "list")


def _tells_its_model(service: Service) -> bool:
    return "SmolLM2-135M-Instruct.Q4_1 ready" in service.container.show(UNIT, "StatusText")


def _both(phone: Machine) -> list[Seen]:
    entries = [entry for entry in seen(phone) if entry.port == PORT]
    return entries if len(entries) == 2 else []


def _files(service: Service, look: str = "sha256sum") -> list[str]:
    """Everything where an installation owns no folder, and digests of it; but for its user."""
    listed = service.container.run(
        *["find", "/etc", "/usr/local", "-path", "/etc/inglenook", "-prune"],
        *["-o", "-type", "l", "-print", "-o", "-type", "f", "-exec", look, "{}", "+"],
    )
    return sorted(line for line in listed.splitlines() if not re.search(_USERS, line))
