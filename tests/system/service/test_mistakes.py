"""A mistake in the settings, with phones at the door meanwhile, and the way back from it."""

from __future__ import annotations

import re
import urllib.request

import pytest

from tests.parts.netns import Machine, wait_for
from tests.parts.network import network_of
from tests.parts.service import CONFIG, UNIT, Service

pytestmark = [pytest.mark.system, pytest.mark.timeout(1200, func_only=True)]

# systemd tries for every phone at the door, twenty times at most; each takes Python a start.
GIVEN_UP_S = 300.0
KNOCK_S = 3.0


def test_what_status_advises_brings_a_service_back_whose_settings_were_mended(
    service: Service, phone: Machine
) -> None:
    """systemd has given up by then, and would refuse a start for ten minutes."""
    service.install()
    service.container.write(CONFIG, "nonsense: true\n")
    assert service.container.attempt("systemctl", "restart", UNIT).returncode != 0
    with network_of(phone):
        wait_for("an end of its patience", lambda: _is_refused(service), timeout_s=GIVEN_UP_S)
    assert "nonsense: unknown setting" in service.container.journal(UNIT)

    service.configure()
    status = service.container.attempt(f"{service.venv}/bin/inglenook", "service", "status")
    assert status.returncode != 0
    advice = re.search(r"fix\t.*`sudo ([^`]+)`", status.stdout)
    assert advice is not None, status.stdout
    service.container.run("sh", "-c", advice[1])

    service.wait_loaded()


def _is_refused(service: Service) -> bool:
    """Knock; whether nobody holds the door any more."""
    try:
        urllib.request.urlopen(f"{service.url}/healthz", timeout=KNOCK_S).close()
    except OSError as exc:
        reason = getattr(exc, "reason", exc)
        return isinstance(reason, ConnectionRefusedError)
    return False
