"""``inglenook service status`` says how the units are; a program answers in systemd's place."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from inglenook.cli.invocation import root_command
from tests.cli.conftest import Inglenook
from tests.parts.box import Ran

#: Answers `systemctl show UNIT --property=A,B` from a file a unit, and `journalctl` from another.
_SYSTEMCTL = """#!/bin/sh
test "$1" = show && exec cat "$(dirname "$0")/$2"
echo "unexpected: $*" >&2
exit 1
"""
_JOURNALCTL = """#!/bin/sh
exec cat "$(dirname "$0")/journal"
"""

ACTIVE = "LoadState=loaded\nActiveState=active\nSubState=running\nResult=success\n"
SLEEPING = "LoadState=loaded\nActiveState=inactive\nSubState=dead\nResult=success\n"
FAILED = "LoadState=loaded\nActiveState=failed\nSubState=failed\nResult=start-limit-hit\n"
MISSING = "LoadState=not-found\nActiveState=inactive\nSubState=dead\nResult=success\n"
LISTENS = f"{ACTIVE}Listen=[::]:8377 (Stream)\nListen=[::]:8378 (Stream)\n"


@dataclass(frozen=True, slots=True)
class Systemd:
    """What systemd would say."""

    folder: Path
    inglenook: Inglenook

    def status(
        self, service: str, ports: str = LISTENS, wake: str = f"{ACTIVE}Listen=[::]:9 (Datagram)\n"
    ) -> Ran:
        """Ask for the status of units that are like this."""
        (self.folder / "inglenook.service").write_text(service)
        (self.folder / "inglenook.socket").write_text(ports)
        (self.folder / "inglenook-wake.socket").write_text(wake)
        (self.folder / "journal").write_text("port 8377 is taken\n")
        return self.inglenook("service", "status")


@pytest.fixture
def systemd(tmp_path: Path, inglenook: Inglenook, monkeypatch: pytest.MonkeyPatch) -> Systemd:
    """A systemd whose answers are files."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, text in (("systemctl", _SYSTEMCTL), ("journalctl", _JOURNALCTL)):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return Systemd(folder, inglenook)


def test_a_service_that_runs_says_so_with_its_own_words(systemd: Systemd) -> None:
    """And where it listens, and how much of its memory it uses."""
    memory = "MemoryCurrent=1048576\nMemoryHigh=2097152\nMemoryMax=3145728\n"

    ran = systemd.status(f"{ACTIVE}StatusText=starter, 56 °C\n{memory}")

    assert ran.returncode == 0
    assert ran.out.splitlines() == [
        "ok\tservice\tactive: starter, 56 °C",
        "ok\tports\tsystemd listens on [::]:8377, [::]:8378",
        "ok\twake\tsystemd listens on [::]:9",
        "ok\tmemory\t1.0 MiB with the model's file, held back from 2.0 MiB, at most 3.0 MiB",
    ]


@pytest.mark.parametrize("current", ["[not set]", str(2**64 - 1)])
def test_memory_that_is_not_counted_is_said_to_be(systemd: Systemd, current: str) -> None:
    """As on Raspberry Pi OS, with what to do about it."""
    ran = systemd.status(f"{ACTIVE}MemoryCurrent={current}\n")

    assert ran.returncode == 0
    assert "warning\tmemory\tnot counted" in ran.out
    assert "cgroup_enable=memory" in ran.out


def test_a_sleeping_service_is_well(systemd: Systemd) -> None:
    """Its ports are held; without them it is merely stopped."""
    assert "ok\tservice\tasleep; the next connection starts it" in systemd.status(SLEEPING).out
    assert "warning\tservice\tstopped;" in systemd.status(SLEEPING, SLEEPING).out


def test_a_failed_service_shows_its_last_words(systemd: Systemd) -> None:
    """The exit code is for scripts."""
    ran = systemd.status(FAILED, f"{FAILED}Listen=[::]:8377 (Stream)\n")

    assert ran.returncode == 1
    assert "fix\tservice\tfailed, because of: start limit hit" in ran.out
    assert "fix\tports\tnothing listens on [::]:8377 (start limit hit)" in ran.out
    assert ran.err == "port 8377 is taken\n"


def test_what_is_not_installed_can_be(systemd: Systemd) -> None:
    """The sentence says how."""
    ran = systemd.status(MISSING, MISSING, MISSING)

    assert ran.returncode == 1
    assert f"fix\tservice\tnot installed; `{root_command()} service install` does that" in ran.out


def test_an_ear_that_failed_is_worth_knowing_only(systemd: Systemd) -> None:
    """The box answers without it."""
    ran = systemd.status(ACTIVE, wake=f"{FAILED}Listen=[::]:9 (Datagram)\n")

    assert ran.returncode == 0
    assert "warning\twake\tnothing listens on [::]:9" in ran.out


@pytest.mark.parametrize(
    ("state", "line"),
    [
        ("ActiveState=activating\nSubState=start\n", "warning\tservice\tstarting"),
        ("ActiveState=reloading\nSubState=reload\n", "ok\tservice\tactive"),
        (
            "ActiveState=activating\nSubState=auto-restart\nResult=signal\n",
            "fix\tservice\tactivating, because of: signal",
        ),
    ],
)
def test_a_service_on_its_way_is_told_from_one_that_falls_and_rises(
    systemd: Systemd, state: str, line: str
) -> None:
    """systemd calls both activating."""
    assert line in systemd.status(f"LoadState=loaded\n{state}").out


def test_a_systemd_that_does_not_answer_is_one_sentence(
    systemd: Systemd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has said itself what is wrong; or there is none at all."""
    (systemd.folder / "systemctl").write_text("#!/bin/sh\necho 'Host is down' >&2\nexit 1\n")
    assert "systemd cannot be asked about inglenook.service: Host is down" in (
        systemd.inglenook("service", "status").err
    )

    monkeypatch.setenv("PATH", str(systemd.folder / "nothing"))
    ran = systemd.inglenook("service", "status")

    assert ran.returncode == 1
    assert "systemd does not answer" in ran.err
