"""The program as a service of a box that boots, put there by ``inglenook service install``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from tests.parts.avahi import Seen, browse
from tests.parts.container import Container
from tests.parts.debian import VENV
from tests.parts.netns import Machine, wait_for

UNIT = "inglenook.service"
SOCKETS = ("inglenook.socket", "inglenook-wake.socket")
CONFIG = "/etc/inglenook/config.yaml"
STATE_DIR = "/var/lib/inglenook"
MODEL = "/srv/models/SmolLM2-135M-Instruct.Q4_1.gguf"
SOURCE = "/srv/checkout"
NAME = "Kitchen"
PORT = 8377

_HEALTH = f"http://127.0.0.1:{PORT}/healthz"

# Python, the model and two busy cores; a start that takes longer is a start nobody waits for.
START_S = 120.0
# By mDNS, whose caches and pauses are in it.
FOUND_S = 60.0


class Service:
    """One installation; every method blocks, none for long.

    Attributes:
        venv: Where the program is.
        url: Where it is reached in the clear.
    """

    def __init__(self, container: Container) -> None:
        """Nothing is installed until `install`."""
        self.container = container
        self.venv = VENV
        self.url = f"http://{container.machine.ipv4}:{PORT}"

    def inglenook(self, *words: str) -> str:
        """Run the command line as root, as an administrator does; returns what it printed."""
        return self.container.run(f"{self.venv}/bin/python", "-m", "inglenook", *words)

    def install(self, **sections: Mapping[str, Any]) -> None:
        """Install the service with these settings, and wait until it has its model."""
        self.configure(**sections)
        self.inglenook("service", "install")
        self.wait_loaded()

    def configure(self, **sections: Mapping[str, Any]) -> None:
        """Write the settings.

        Args:
            sections: Sections beside those every box here has.
        """
        settings = {
            "name": NAME,
            "state_dir": STATE_DIR,
            "model": {"path": MODEL, "context": 2048},
            "engine": {"threads": 1},
            # How warm this machine is, and what else runs on it, is not what a test is about.
            "governor": {"enabled": False},
            **sections,
        }
        self.container.write(CONFIG, yaml.safe_dump(settings))

    @property
    def state(self) -> str:
        """Of the unit: ``active``, ``inactive``, ``activating``, ``failed``..."""
        return self.container.show(UNIT, "ActiveState")

    @property
    def pid(self) -> int:
        """Process id of the daemon; 0 if there is none."""
        return int(self.container.show(UNIT, "MainPID"))

    @property
    def restarts(self) -> int:
        """How often systemd has started it again by itself."""
        return int(self.container.show(UNIT, "NRestarts"))

    def engine(self) -> int:
        """Process id of the engine; 0 if there is none."""
        parent = self.pid
        if not parent:
            return 0
        found = self.container.attempt(
            "pgrep", "--parent", str(parent), "--full", "inglenook.engine.worker"
        )
        return int(found.stdout.split()[0]) if found.stdout.strip() else 0

    def wait_state(self, state: str, *, timeout_s: float = START_S) -> None:
        """Wait until the unit is in this state."""
        wait_for(f"unit {state}", lambda: self.state == state, timeout_s=timeout_s)

    def wait_http(self) -> None:
        """Wait until a box that is no service yet has its model."""
        wait_for("the model", self._answers, timeout_s=START_S)

    def wait_loaded(self) -> int:
        """Wait until the unit is active and has its model; returns the engine's process id."""
        self.wait_state("active")
        wait_for("the model", self._has_model, timeout_s=START_S)
        return self.engine()

    def wait_unloaded(self, *, timeout_s: float) -> None:
        """Wait until the engine has gone, and see that the daemon has not."""
        wait_for("no engine", lambda: not self.engine(), timeout_s=timeout_s)
        assert self.state == "active"

    def _has_model(self) -> bool:
        """Ask from inside the box, where asking is no use of it."""
        assert self.state != "failed"
        return self._answers()

    def _answers(self) -> bool:
        fetch = f"import urllib.request as r; print(r.urlopen('{_HEALTH}', timeout=5).read())"
        return '"ok"' in self.container.attempt("python3", "-c", fetch).stdout

    def add_device(self, name: str) -> str:
        """Let a device in by the command line; returns its token."""
        return self.inglenook("devices", "add", "--name", name).strip()

    def stop(self) -> None:
        """Take the service and its sockets down, as an administrator does."""
        self.container.run("systemctl", "stop", *SOCKETS, UNIT)


def seen(phone: Machine) -> list[Seen]:
    """What a phone knows of this box, by IPv4 and by IPv6."""
    return [entry for entry in browse(phone) if entry.name == NAME]
