"""The whole program on one machine, a phone on another: found, named, asked, gone."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import yaml

from inglenook import __version__
from tests.parts.avahi import Seen, browse, resolve
from tests.parts.netns import Machine, stop, wait_for
from tests.parts.network import network_of
from tests.parts.phone import chat, connected
from tests.parts.starter import CAPITAL

pytestmark = [pytest.mark.system, pytest.mark.timeout(400)]

FOUND_S = 30.0
# The model has to be read, and a busy machine takes its time.
READY_S = 60.0
# The program promises five seconds. A goodbye is kept for one of them (RFC 6762 section 10.1), and
# each look takes another; without one the box would be listed for two minutes.
GONE_S = 5.0
STOP_S = 5.0

PORT = 8377
INGLENOOK = (sys.executable, "-m", "inglenook")

FETCH = """
import sys, urllib.request
print(urllib.request.urlopen(sys.argv[1], timeout=10).read().decode())
"""


@contextmanager
def settings(model: Path) -> Iterator[Path]:
    """A settings file for a box called Kitchen whose id is known."""
    # Not pytest's own folder: the control socket's path may have 107 bytes.
    with TemporaryDirectory(prefix="box") as folder:
        state_dir = Path(folder) / "state"
        state_dir.mkdir(mode=0o700)
        (state_dir / "server_id").write_text("ab12cd34\n")
        config = Path(folder) / "config.yaml"
        config.write_text(
            yaml.safe_dump(
                {
                    "name": "Kitchen",
                    "state_dir": str(state_dir),
                    # A small model can ramble to the end of its context, which must not be far.
                    "model": {"path": str(model), "context": 512},
                    "engine": {"threads": 1},
                    "discovery": {"mac": False},
                    # How warm this machine is, and what else runs on it, does not matter here.
                    "governor": {"enabled": False},
                }
            )
        )
        yield config


def ready(phone: Machine) -> list[Seen]:
    """What the phone sees, once the box says by mDNS that it is ready."""
    seen = browse(phone)
    return seen if len(seen) == 2 and all(entry.txt["st"] == "ready" for entry in seen) else []


async def test_a_phone_finds_asks_and_loses_the_box(
    box: Machine, phone: Machine, starter_model: Path, tmp_path: Path
) -> None:
    """Name, address, port, TXT; the host name resolves; an answer streams; nothing is left."""
    box.connect()
    with (
        settings(starter_model) as config,
        box.running(*INGLENOOK, "run", "--config", str(config), log=tmp_path / "log") as process,
    ):
        entries = wait_for("the box", lambda: ready(phone), timeout_s=READY_S)
        known = json.loads(
            phone.run(
                sys.executable, "-c", FETCH, f"http://{box.ipv4}:{PORT}/.well-known/inglenook"
            )
        )
        for entry in entries:
            assert entry.name == "Kitchen"
            assert entry.host_name == "kitchen-ab12.local"
            assert entry.address in {box.ipv4, box.ipv6}
            assert entry.port == PORT
            assert entry.txt == {
                "txtvers": "1",
                "id": "ab12cd34",
                "v": __version__,
                "api": "ws",
                "tls": "1",
                "fp": known["spki_sha256"][:16],
                "auth": "token",
                "pair": "0",
                "model": "SmolLM2-135M-Instruct.Q4_1",
                "models": "SmolLM2-135M-Instruct.Q4_1",
                "st": "ready",
            }
        assert resolve(phone, "kitchen-ab12.local", family=4) == box.ipv4
        assert resolve(phone, "kitchen-ab12.local", family=6) == box.ipv6

        found = phone.run(*INGLENOOK, "find", "--timeout", "5")
        assert found.split("\t")[:3] == [
            "Kitchen",
            f"http://{box.ipv4}:{PORT}",
            "kitchen-ab12.local",
        ]

        token = box.run(
            *INGLENOOK, "devices", "add", "--name", "Phone", "--config", str(config)
        ).strip()
        for address in (box.ipv4, f"[{box.ipv6}]"):
            url = f"http://{address}:{PORT}"
            with network_of(phone):
                async with connected(url, token) as asking:
                    answer = await asking.ask(chat(CAPITAL, temperature=0, max_tokens=32))
            assert "Paris" in answer.text
            told = phone.run(
                "sh",
                "-c",
                f"echo '{CAPITAL}' | INGLENOOK_TOKEN={token} {' '.join(INGLENOOK)}"
                f" chat --url '{url}' --fingerprint {known['spki_sha256']}",
            )
            assert "Paris" in told

        assert stop(process, timeout_s=STOP_S) == 0
        wait_for("an empty list", lambda: not browse(phone), timeout_s=GONE_S)
    assert "Traceback" not in (tmp_path / "log").read_text()


def test_an_open_pairing_window_is_announced(
    box: Machine, phone: Machine, starter_model: Path, tmp_path: Path
) -> None:
    """A phone's list can say which box wants to be paired."""
    box.connect()
    with (
        settings(starter_model) as config,
        box.running(*INGLENOOK, "run", "--config", str(config), log=tmp_path / "log"),
    ):
        wait_for("the box", lambda: ready(phone), timeout_s=READY_S)
        with box.running(*INGLENOOK, "pair", "--config", str(config), log=tmp_path / "pair"):
            wait_for(
                "an open window",
                lambda: any(entry.txt["pair"] == "1" for entry in browse(phone)),
                timeout_s=FOUND_S,
            )
