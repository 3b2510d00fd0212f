"""A device that is removed is shut out, and is not forgotten if that fails in the middle."""

from __future__ import annotations

from pathlib import Path

import pytest

from inglenook.auth.allowlist import Allowlist
from inglenook.auth.devices import Scope
from inglenook.daemon.revocation import Revocation
from inglenook.gateway.ws.connections import PhoneConnections
from inglenook.serving.dispatcher import Dispatcher
from inglenook.serving.journal.recorder import Recorder
from inglenook.serving.settings import ServingSettings
from tests.fakes.engine import FakeEngine


class Forgetful(Dispatcher):
    """A desk that notes whom it forgets.

    Attributes:
        forgotten: Devices it was told to forget.
        fails: How often that fails first.
    """

    def __init__(self) -> None:
        engine = FakeEngine()
        settings = ServingSettings()
        super().__init__(settings, engine, Recorder(None), max_active=1, on_change=lambda: None)
        self.forgotten: list[str] = []
        self.fails = 0

    def forget_device(self, device_id: str) -> None:
        if self.fails:
            self.fails -= 1
            raise ZeroDivisionError
        self.forgotten.append(device_id)


def test_what_could_not_be_done_is_done_at_the_next_look(tmp_path: Path) -> None:
    """Two devices are removed at once, and something fails at the first."""
    allowlist = Allowlist(tmp_path / "devices.json")
    allowlist.load()
    ids = [allowlist.add(name, (Scope.CHAT,))[0].device_id for name in ("Ada", "Bob", "Cy")]
    desk = Forgetful()
    revoking = Revocation(allowlist, PhoneConnections(lambda: None), desk)
    revoking.begin()
    assert revoking.is_known(ids[0])
    for device_id in ids[:2]:
        allowlist.revoke(device_id)

    desk.fails = 1
    with pytest.raises(ZeroDivisionError):
        revoking.look()
    revoking.look()
    revoking.look()

    assert desk.forgotten == ids[:2]
    assert [revoking.is_known(device_id) for device_id in ids] == [False, False, True]
