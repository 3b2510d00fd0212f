"""A box that somebody tried by hand, and then made a service: it is the same box."""

from __future__ import annotations

import pytest

from tests.parts.debian import VENV
from tests.parts.netns import Machine
from tests.parts.network import network_of
from tests.parts.phone import connected, long_chat
from tests.parts.service import CONFIG, MODEL, STATE_DIR, UNIT, Service

pytestmark = [pytest.mark.system, pytest.mark.timeout(1200, func_only=True)]

USER = "ada"
OLD = f"/home/{USER}/.local/state/inglenook"
PAGE = "http://127.0.0.1:8377/.well-known/inglenook"

SETTINGS = f"""
name: Kitchen
model: {{path: {MODEL}, context: 2048}}   # a small one
engine: {{threads: 1}}
governor: {{enabled: false}}
"""

# As after `make up` and a phone that was let in; the box is not stopped yet.
TRY = f"""
useradd --create-home {USER}
install -D --owner={USER} --group={USER} /dev/stdin /home/{USER}/.config/inglenook/config.yaml
chown -R {USER}: /home/{USER}
chmod 700 /home/{USER}
systemd-run --quiet --unit=tried --uid={USER} --setenv=HOME=/home/{USER} \
  {VENV}/bin/python -m inglenook run
"""


async def test_phones_stay_paired_when_the_box_becomes_a_service(
    service: Service, phone: Machine
) -> None:
    """By `sudo` of whoever ran it: with its devices, its id, its key and its settings."""
    run, attempt = service.container.run, service.container.attempt
    run("sh", "-euc", TRY, stdin=SETTINGS)
    as_user = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--init-groups"]
    in_home = ["env", f"HOME=/home/{USER}", f"{VENV}/bin/python", "-m", "inglenook"]
    service.wait_http()
    token = run(*as_user, *in_home, "devices", "add", "--name", "Phone").strip()
    key = run("sha256sum", f"{OLD}/tls.key").split()[0]
    uid = run("id", "-u", USER).strip()
    by_sudo = ["env", f"SUDO_UID={uid}", "HOME=/root", f"{VENV}/bin/python", "-m", "inglenook"]

    shown = run(*by_sudo, "service", "install", "--dry-run")
    refused = attempt(*by_sudo, "service", "install")
    run("systemctl", "stop", "tried")
    installed = run(*by_sudo, "service", "install")
    service.wait_loaded()

    assert f"# {STATE_DIR}/devices.json, a copy of {OLD}/devices.json" in shown
    assert "/usr/local/bin/inglenook, a link to" in shown
    assert token not in shown
    assert refused.returncode == 1
    assert f"the box still runs with the state in {OLD}; stop it" in refused.stderr
    assert f"took over 1 paired device, the box's id and its TLS key from {OLD}" in installed
    assert "# a small one" in run("cat", CONFIG)
    assert run("cat", f"{STATE_DIR}/server_id") == run("cat", f"{OLD}/server_id")
    assert run("sha256sum", f"{STATE_DIR}/tls.key").split()[0] == key
    kept = run("stat", "--format=%U %a", f"{STATE_DIR}/devices.json", f"{STATE_DIR}/tls.key")
    assert kept == "inglenook 600\n" * 2
    with network_of(phone):
        async with connected(service.url, token) as asking:
            assert (await asking.ask(long_chat(2))).done is not None

    # Once is enough: what the service has now is its own.
    run(*by_sudo, "devices", "revoke", "Phone")
    again = run(*by_sudo, "service", "install")
    service.wait_loaded()
    assert "took over" not in again
    assert "Phone" not in run(*by_sudo, "devices", "list")
    assert service.container.show(UNIT, "ActiveState") == "active"
