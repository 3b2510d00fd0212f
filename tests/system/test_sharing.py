"""What the real Avahi makes of its settings where the box was first on the machine."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.parts.avahiconf import SETTINGS
from tests.parts.netns import Machine, wait_for

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]

# A busy machine takes its time.
SOON_S = 60.0

#: What the daemon does with the port, whatever else it does.
HOLD_AND_SHARE = """
import signal, socket
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as shared:
    shared.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    shared.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    shared.bind(("", 5353))
    signal.pause()
"""


def starts(machine: Machine, folder: Path, text: str) -> bool:
    """Whether Avahi runs with these settings; it ends by itself where it must not."""
    settings, log = folder / "avahi-daemon.conf", folder / "avahi.log"
    settings.write_text(text, newline="")
    machine.run("mkdir", "-p", "/run/avahi-daemon")
    # Nobody asks it by D-Bus here.
    begun = text.lower().index("[server]") + len("[server]")
    settings.write_text(f"{text[:begun]}\nenable-dbus=no{text[begun:]}", newline="")
    program = ["avahi-daemon", f"--file={settings}", "--no-drop-root", "--no-chroot"]
    with machine.running(*program, log=log) as process:
        ended = "exiting"
        wait_for(
            f"Avahi with {text!r}",
            lambda: any(word in log.read_text() for word in ("startup complete", ended)),
            timeout_s=SOON_S,
        )
        said = log.read_text()
        if ended in said and "startup complete" not in said:
            process.wait(SOON_S)
    # What else may be wrong with settings is not what this is about.
    assert "nvalid" not in said, said
    assert "issing" not in said, said
    return "startup complete" in said


def test_avahi_reads_its_settings_as_the_doctor_does(box: Machine, tmp_path: Path) -> None:
    """Each kind of line: it ends where the doctor says that it will, and else runs."""
    box.run("ip", "address", "add", "10.77.0.1/24", "dev", "lan0")
    box.run("ip", "link", "set", "lan0", "up")
    with box.running(sys.executable, "-c", HOLD_AND_SHARE, log=tmp_path / "holder.log"):
        wait_for("the port", lambda: box.run("ss", "-Hlun", "sport = :5353"), timeout_s=SOON_S)
        runs = {text: starts(box, tmp_path, text) for text in SETTINGS}

    assert runs == {text: not alone for text, alone in SETTINGS.items()}


def test_the_doctor_says_what_avahi_suffers(box: Machine, tmp_path: Path) -> None:
    """On the machine itself, whose settings these are."""
    folder = tmp_path / "etc" / "avahi"
    folder.mkdir(parents=True)
    settings = folder / "avahi-daemon.conf"
    settings.write_text("[server]\ndisallow-other-stacks=yes\n")
    box.run("mkdir", "-p", "/etc/avahi")
    box.run("mount", "--bind", str(folder), "/etc/avahi")
    done = subprocess.run(
        box.command("env", f"HOME={tmp_path}", sys.executable, "-m", "inglenook", "doctor"),
        capture_output=True,
        text=True,
        timeout=SOON_S * 2,
        check=False,
    )
    lines = [line.split("\t") for line in done.stdout.splitlines()]

    assert [line[2][:30] for line in lines if line[1] == "Avahi"] == [
        "Avahi is set to share UDP port"
    ], done
