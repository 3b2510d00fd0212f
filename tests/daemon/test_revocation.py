"""A device that is removed is shut out, and is not forgotten if that fails in the middle."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from inglenook.auth.allowlist import Allowlist
from inglenook.auth.devices import Scope
from inglenook.common.errors import Problem, StartupError
from inglenook.daemon.revocation import Revocation
from inglenook.gateway.ws.connections import PhoneConnections
from inglenook.serving.dispatcher import Dispatcher
from inglenook.serving.journal.recorder import Recorder
from inglenook.serving.settings import ServingSettings
from tests.fakes.engine import FakeEngine
from tests.parts.prefix_folder import fill


class Forgetful(Dispatcher):
    """A desk that notes whom it forgets.

    Attributes:
        forgotten: Devices it was told to forget.
        fails: How often that fails first.
    """

    def __init__(self) -> None:
        super().__init__(ServingSettings(), Recorder(None), on_change=lambda: None)
        self.engines.add(FakeEngine(), max_active=1)
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
    revoking = Revocation(allowlist, PhoneConnections(lambda: None), desk, tmp_path)
    revoking.begin()
    assert revoking.is_admitted(ids[0])
    for device_id in ids[:2]:
        allowlist.revoke(device_id)

    desk.fails = 1
    with pytest.raises(ZeroDivisionError):
        revoking.look()
    revoking.look()
    revoking.look()

    assert desk.forgotten == ids[:2]
    assert [revoking.is_admitted(device_id) for device_id in ids] == [False, False, True]


def _revocation(tmp_path: Path) -> tuple[Allowlist, FakeEngine, Revocation]:
    """With a real dispatcher; its engine counts purges."""
    allowlist = Allowlist(tmp_path / "devices.json")
    allowlist.load()
    engine = FakeEngine()
    desk = Dispatcher(ServingSettings(), Recorder(None), on_change=lambda: None)
    desk.engines.add(engine, max_active=1)
    return allowlist, engine, Revocation(allowlist, PhoneConnections(lambda: None), desk, tmp_path)


def test_revoking_is_one_call_with_one_purge(tmp_path: Path) -> None:
    """When it returns, the device is off the list and shut out, and the cache empty."""
    allowlist, engine, revocation = _revocation(tmp_path)
    ada, bob = (allowlist.add(name, (Scope.CHAT,))[0] for name in ("Ada", "Bob"))
    revocation.begin()
    fill(tmp_path / "prefix", "a" * 32, 2, 1024)

    assert asyncio.run(revocation.revoke("ada")) == ada
    revocation.look()  # as the watch on the file does, which has seen a change, too

    assert allowlist.devices == (bob,)
    assert [revocation.is_admitted(each.device_id) for each in (ada, bob)] == [False, True]
    assert engine.purges == 1
    assert list((tmp_path / "prefix").rglob("*.kv")) == []


def test_a_device_that_is_not_there_costs_nobody_the_cache(tmp_path: Path) -> None:
    """It is a problem for who asked."""
    allowlist, engine, revocation = _revocation(tmp_path)
    allowlist.add("Ada", (Scope.CHAT,))
    revocation.begin()

    with pytest.raises(Problem, match="No device is called"):
        asyncio.run(revocation.revoke("Bob"))

    assert engine.purges == 0


def test_a_cache_that_cannot_be_emptied_is_said_though_the_device_is_shut_out(
    tmp_path: Path,
) -> None:
    """Here a file is in the place of its folder."""
    allowlist, engine, revocation = _revocation(tmp_path)
    allowlist.add("Ada", (Scope.CHAT,))
    revocation.begin()
    (tmp_path / "prefix").touch()

    with pytest.raises(StartupError, match=r"Ada is no longer paired, but .*prefix cannot be"):
        asyncio.run(revocation.revoke("Ada"))

    assert (allowlist.devices, engine.purges) == ((), 1)


def test_nobody_is_shut_out_by_a_list_that_is_damaged(tmp_path: Path) -> None:
    """Answers of devices that it may have had stay, until it is repaired."""
    path = tmp_path / "devices.json"
    path.write_text("{")
    allowlist = Allowlist(path)
    allowlist.load()
    revocation = Revocation(allowlist, PhoneConnections(lambda: None), Forgetful(), tmp_path)
    revocation.begin()

    assert revocation.is_admitted("ada00000")
