"""The list of devices: changed by many at once, watched, never lost."""

from __future__ import annotations

import asyncio
import logging
import os
import stat
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from inglenook.auth import allowlist as allowlist_module
from inglenook.auth import device_store
from inglenook.auth.allowlist import TOUCH_EVERY_S, Allowlist
from inglenook.auth.devices import Device, Scope
from inglenook.common import state_file
from inglenook.common.errors import Code, Problem, StartupError
from inglenook.common.private_files import locked
from inglenook.common.wholefile import write_whole
from tests.parts.stopwatch import stopwatch

CHAT = (Scope.CHAT,)
NOW = 1_900_000_000.0
LATER = 4_000_000_000.0
NOTICED_S = 20.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "devices.json"


def opened(path: Path) -> Allowlist:
    allowlist = Allowlist(path)
    allowlist.load()
    return allowlist


def names(allowlist: Allowlist) -> list[str]:
    return [device.name for device in allowlist.devices]


def test_a_missing_file_is_an_empty_list(path: Path) -> None:
    """A new box knows nobody, and nothing is written until somebody pairs."""
    assert opened(path).devices == ()
    assert not path.exists()


def test_an_added_device_is_known_by_its_token(path: Path) -> None:
    """At once here, and to whoever reads the file next."""
    allowlist = opened(path)
    before = datetime.now(UTC).timestamp()

    device, token = allowlist.add("Anna's phone", CHAT, LATER, "iOS")

    assert device.name == "Anna's phone"
    assert (device.platform, device.scopes, device.expires_at) == ("iOS", CHAT, LATER)
    assert int(before) <= device.created_at <= datetime.now(UTC).timestamp()
    assert device.last_seen_at is None
    assert allowlist.roster.get(device.device_id) == device
    assert allowlist.check(token, before) == device
    assert opened(path).check(token, before) == device


def test_the_token_is_not_in_the_file(path: Path) -> None:
    """Reading the file lets nobody in."""
    _, token = opened(path).add("Anna", CHAT)

    _prefix, _device_id, secret = token.split("_", 2)
    assert secret.encode() not in path.read_bytes()


def test_the_file_is_for_its_owner_only(path: Path) -> None:
    """From its first version on."""
    opened(path).add("Anna", CHAT)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_second_device_of_a_name_gets_a_number(path: Path) -> None:
    """The caller hears the name it got."""
    allowlist = opened(path)
    allowlist.add("iPhone", CHAT)

    assert allowlist.add("iphone", CHAT)[0].name == "iphone 2"


@pytest.mark.parametrize("expires_at", [0.0, 1_000_000.0, 1e12, float("inf"), float("nan")])
def test_an_expiry_that_makes_no_sense_is_refused(path: Path, expires_at: float) -> None:
    """A token must not be dead on arrival, nor end after the calendar."""
    with pytest.raises(Problem, match="from now to the year 9999"):
        opened(path).add("Anna", CHAT, expires_at)

    assert not path.exists()


def test_a_revoked_device_hears_it(path: Path) -> None:
    """Its token stays known as revoked, in the file too."""
    allowlist = opened(path)
    device, token = allowlist.add("Anna", CHAT)

    assert allowlist.revoke("anna") == device

    for reader in (allowlist, opened(path)):
        verdict = reader.check(token, 0)
        assert isinstance(verdict, Problem)
        assert verdict.code is Code.REVOKED


def test_a_renamed_device_keeps_its_token(path: Path) -> None:
    """Only the name changes."""
    allowlist = opened(path)
    device, token = allowlist.add("Anna", CHAT)

    renamed = allowlist.rename(device.device_id, " Anna's  phone ")

    assert renamed.name == "Anna's phone"
    assert opened(path).check(token, 0) == renamed


@pytest.mark.parametrize(
    "change",
    [
        lambda allowlist: allowlist.revoke("Ben"),
        lambda allowlist: allowlist.rename("Ben", "Bernd"),
        lambda allowlist: allowlist.rename("Anna", "\n"),
        lambda allowlist: allowlist.add("", CHAT),
    ],
    ids=["revoke nobody", "rename nobody", "rename to nothing", "add nobody"],
)
def test_a_refused_change_changes_nothing(
    path: Path, change: Callable[[Allowlist], object]
) -> None:
    """The file is the same, byte for byte, and the lock is free."""
    allowlist = opened(path)
    allowlist.add("Anna", CHAT)
    before = path.read_bytes()

    with pytest.raises(Problem):
        change(allowlist)

    assert path.read_bytes() == before
    with locked(path, 0):
        pass


def test_a_change_takes_in_what_others_changed(path: Path) -> None:
    """Nobody writes back an old list."""
    daemon, command_line = opened(path), opened(path)
    command_line.add("Anna", CHAT)

    daemon.add("Ben", CHAT)

    assert names(daemon) == names(opened(path)) == ["Anna", "Ben"]


def test_processes_changing_at_once_lose_nothing(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two of them and this one, each adding ten devices as fast as it can."""
    # The last waits for twenty writes of the others, and a disk may be slow.
    monkeypatch.setattr(device_store, "LOCK_WAIT_S", 40.0)
    program = (
        "import sys; from pathlib import Path\n"
        "from inglenook.auth import allowlist\n"
        "from inglenook.auth.allowlist import Allowlist\n"
        "from inglenook.auth.devices import Scope\n"
        "allowlist.LOCK_WAIT_S = 40.0\n"
        "devices = Allowlist(Path(sys.argv[1]))\n"
        "print('ready', flush=True); sys.stdin.read()\n"
        "for number in range(10): devices.add(f'{sys.argv[2]} {number}', (Scope.CHAT,))\n"
    )
    others = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(path), name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for name in ("b", "c")
    ]
    for other in others:
        assert other.stdout is not None
        assert other.stdout.readline() == b"ready\n"
    for other in others:
        assert other.stdin is not None
        other.stdin.close()
    allowlist = Allowlist(path)
    for number in range(10):
        allowlist.add(f"a {number}", CHAT)
    for other in others:
        assert other.wait(timeout=40) == 0
        assert other.stdout is not None
        other.stdout.close()

    assert sorted(names(opened(path))) == [
        f"{who} {number}" for who in "abc" for number in range(10)
    ]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"version": "2"}', b"\0" * 100])
def test_a_damaged_file_is_an_empty_list_and_kept_by_the_next_change(
    path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """It may be the only trace of who was paired."""
    path.write_bytes(content)
    allowlist = opened(path)

    assert allowlist.devices == ()
    assert path.read_bytes() == content
    assert "devices.json is damaged" in caplog.messages[0]
    with pytest.raises(Problem, match="No device is called"):
        allowlist.revoke("Anna")
    assert path.read_bytes() == content

    allowlist.add("Anna", CHAT)

    assert names(opened(path)) == ["Anna"]
    assert path.with_name("devices.json.damaged").read_bytes() == content
    assert len(caplog.messages) == 1


def test_the_whole_entries_of_a_damaged_file_count(path: Path) -> None:
    """One typing mistake does not shut everybody out."""
    allowlist = Allowlist(path)
    _, annas = allowlist.add("Anna", CHAT)
    _, bens = allowlist.add("Ben", CHAT)
    path.write_text(path.read_text().replace('"Ben"', '"Ben", "colour": "red"'))

    again = opened(path)

    assert names(again) == ["Anna"]
    assert again.check(annas, NOW) == again.devices[0]
    # Not "not paired": phones forget their token at that, and the file still has it.
    verdict = again.check(bens, NOW)
    assert isinstance(verdict, Problem)
    assert verdict.code is Code.INTERNAL


def test_a_change_of_a_damaged_file_begins_with_the_list_last_read(path: Path) -> None:
    """The daemon knows more than the file says."""
    daemon = Allowlist(path)
    daemon.add("Anna", CHAT)
    path.write_bytes(b"{")

    daemon.add("Ben", CHAT)

    assert names(opened(path)) == ["Anna", "Ben"]
    assert path.with_name("devices.json.damaged").read_bytes() == b"{"


def test_a_visit_leaves_a_damaged_file_to_its_owner(path: Path) -> None:
    """Somebody may be editing it."""
    daemon = Allowlist(path)
    device, _ = daemon.add("Anna", CHAT)
    path.write_bytes(b"{")

    daemon.touch(device.device_id, NOW)

    assert path.read_bytes() == b"{"


def test_a_file_of_a_newer_version_is_reported_and_never_overwritten(path: Path) -> None:
    """Going back to an older version loses nothing."""
    path.write_bytes(b'{"version": 2}')

    for change in (Allowlist(path).load, lambda: Allowlist(path).add("Anna", CHAT)):
        with pytest.raises(StartupError, match=r"devices\.json was written by a newer version"):
            change()

    assert path.read_bytes() == b'{"version": 2}'


def test_a_file_that_cannot_be_read_is_reported(path: Path) -> None:
    """Here it is a folder."""
    path.mkdir()

    with pytest.raises(StartupError, match=r"devices\.json cannot be read: Is a directory; "):
        Allowlist(path).load()


def test_a_folder_that_is_missing_is_reported(path: Path) -> None:
    """A change says what to see to."""
    with pytest.raises(StartupError, match="cannot be changed: No such file or directory; make"):
        Allowlist(path / "devices.json").add("Anna", CHAT)


def test_a_write_that_fails_is_reported_and_changes_nothing(tmp_path: Path) -> None:
    """Here the name leaves no room for that of the temporary file."""
    allowlist = Allowlist(tmp_path / ("x" * 250))

    with pytest.raises(StartupError, match="cannot be changed: File name too long; make sure"):
        allowlist.add("Anna", CHAT)

    assert allowlist.devices == ()


def test_a_lock_held_too_long_is_reported(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waits on a stuck process hears of it."""
    monkeypatch.setattr(device_store, "LOCK_WAIT_S", 0.02)

    with (
        locked(path, 0),
        pytest.raises(StartupError, match=r"has held its lock for 0\.02 s; try again"),
    ):
        Allowlist(path).add("Anna", CHAT)


def test_last_seen_is_written_at_most_every_ten_minutes(path: Path) -> None:
    """An SD card lasts longer for it."""
    allowlist = opened(path)
    device, _ = allowlist.add("Anna", CHAT)

    def seen_in_file_after(now: float) -> float | None:
        allowlist.touch(device.device_id, now)
        return opened(path).devices[0].last_seen_at

    assert seen_in_file_after(LATER) == LATER
    assert seen_in_file_after(LATER + TOUCH_EVERY_S - 1) == LATER
    assert seen_in_file_after(LATER + TOUCH_EVERY_S) == LATER + TOUCH_EVERY_S
    # A clock that was ahead does not keep "last seen" in the future.
    assert seen_in_file_after(LATER - 5 * TOUCH_EVERY_S) == LATER - 5 * TOUCH_EVERY_S


def test_who_comes_while_another_visit_is_written_does_not_wait(path: Path) -> None:
    """There is one thread for it at most; the visit is noted the next time."""
    allowlist = opened(path)
    anna, _ = allowlist.add("Anna", CHAT)
    ben, _ = allowlist.add("Ben", CHAT)
    with locked(path, 5.0):
        # Waits for the lock.
        allowlist.touch_soon(anna.device_id, LATER)
        allowlist.touch_soon(ben.device_id, LATER)
        assert [thread.name for thread in threading.enumerate()].count("last-seen") == 1
        [writer] = [thread for thread in threading.enumerate() if thread.name == "last-seen"]
    writer.join(30.0)
    assert [device.last_seen_at for device in opened(path).devices] == [LATER, None]
    allowlist.touch_soon(ben.device_id, LATER)
    for thread in threading.enumerate():
        if thread.name == "last-seen":
            thread.join(30.0)
    assert [device.last_seen_at for device in opened(path).devices] == [LATER, LATER]


def test_a_touch_for_which_there_is_no_thread_costs_nothing_but_itself(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The phone is let in, and the next visit is noted."""
    allowlist = opened(path)
    device, _ = allowlist.add("Anna", CHAT)

    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as full:
        full.setattr(threading.Thread, "start", refuse)
        allowlist.touch_soon(device.device_id, LATER)
    allowlist.touch_soon(device.device_id, LATER)
    for thread in threading.enumerate():
        if thread.name == "last-seen":
            thread.join(30.0)
    assert [found.last_seen_at for found in opened(path).devices] == [LATER]


class Faulty(Allowlist):
    """Has a bug."""

    def touch(self, device_id: str, now: float) -> None:
        raise RuntimeError("nobody foresaw this")


def test_what_goes_wrong_in_the_thread_that_notes_visits_is_in_the_log(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Every time it is tried: nobody else waits for it."""
    allowlist = Faulty(path)
    device, _ = allowlist.add("Anna", CHAT)
    for _ in range(2):
        caplog.clear()
        with caplog.at_level(logging.DEBUG):
            allowlist.touch_soon(device.device_id, LATER)
            for thread in threading.enumerate():
                if thread.name == "last-seen":
                    thread.join(30.0)
        [record] = caplog.records
        assert "noting when a device was last seen" in record.getMessage()
        assert record.exc_info is not None


def test_touching_a_device_another_process_revoked_brings_it_not_back(path: Path) -> None:
    """The list is read again before it is written."""
    daemon = opened(path)
    device, _ = daemon.add("Anna", CHAT)
    opened(path).revoke("Anna")

    daemon.touch(device.device_id, LATER)

    assert daemon.devices == ()
    assert opened(path).devices == ()


def test_touching_never_fails_and_warns_once(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A phone gets its answer even when the disk does not take "last seen"."""
    allowlist = opened(path)
    device, _ = allowlist.add("Anna", CHAT)
    path.write_bytes(b"damaged")

    with caplog.at_level(logging.WARNING):
        allowlist.touch(device.device_id, LATER)
        allowlist.touch(device.device_id, LATER)
        allowlist.touch("unknown2", LATER)

    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert path.read_bytes() == b"damaged"


@asynccontextmanager
async def watched(allowlist: Allowlist) -> AsyncIterator[asyncio.Queue[tuple[Device, ...]]]:
    """Run the watch; every change it tells of is put into the queue."""
    told: asyncio.Queue[tuple[Device, ...]] = asyncio.Queue()
    async with asyncio.TaskGroup() as tasks:
        watch = tasks.create_task(
            allowlist.watch(lambda: told.put_nowait(allowlist.devices)), name="watch"
        )
        yield told
        watch.cancel()


async def in_thread(action: Callable[[], object]) -> None:
    await asyncio.to_thread(action)


async def test_a_change_by_another_process_is_noticed_within_half_a_second(path: Path) -> None:
    """A phone revoked on the command line can be put out within its second."""
    daemon, command_line = Allowlist(path), Allowlist(path)
    async with watched(daemon) as told, asyncio.timeout(NOTICED_S):
        await in_thread(lambda: command_line.add("Anna", CHAT))
        assert [device.name for device in await told.get()] == ["Anna"]

        await in_thread(lambda: command_line.revoke("Anna"))
        async with stopwatch() as since_change:
            assert await told.get() == ()
            assert since_change.elapsed_s() < 1.0

    assert allowlist_module.WATCH_EVERY_S < 0.5


async def test_a_change_of_ours_that_brought_another_in_is_told(path: Path) -> None:
    """Else a revocation read along with our own change would go unnoticed."""
    daemon = Allowlist(path)
    await in_thread(lambda: daemon.add("Anna", CHAT))

    def change_both() -> None:
        Allowlist(path).revoke("Anna")
        daemon.add("Ben", CHAT)

    async with watched(daemon) as told, asyncio.timeout(NOTICED_S):
        await in_thread(change_both)
        while [device.name for device in await told.get()] != ["Ben"]:
            pass


def test_an_unchanged_file_is_left_alone(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Looking takes no lock, so watching never slows a change down."""
    Allowlist(path).add("Anna", CHAT)
    daemon = opened(path)

    with locked(path, 0):
        daemon._store.refresh()

    assert caplog.records == []


class Overheard(logging.Handler):
    """Puts the level of every log line into a queue, from whatever thread it comes."""

    def __init__(self) -> None:
        super().__init__()
        self.levels: asyncio.Queue[str] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()

    def emit(self, record: logging.LogRecord) -> None:
        self._loop.call_soon_threadsafe(self.levels.put_nowait, record.levelname)


async def test_a_damaged_edit_keeps_the_last_good_list_and_warns_once(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody is put out for a typing mistake, and a repaired file counts again."""
    monkeypatch.setattr(allowlist_module, "WATCH_EVERY_S", 0.01)
    overheard = Overheard()
    monkeypatch.setattr(state_file.log, "handlers", [overheard])
    monkeypatch.setattr(state_file.log, "level", logging.DEBUG)
    daemon = Allowlist(path)
    await in_thread(lambda: daemon.add("Anna", CHAT))
    good = await asyncio.to_thread(path.read_bytes)
    async with watched(daemon) as told, asyncio.timeout(NOTICED_S):
        await in_thread(lambda: path.write_bytes(good[:-10]))
        assert await overheard.levels.get() == "WARNING"
        await in_thread(lambda: path.write_bytes(good[:-20]))
        assert await overheard.levels.get() == "DEBUG"
        assert names(daemon) == ["Anna"]

        await in_thread(lambda: write_whole(path, good.replace(b"Anna", b"Anne")))
        assert [device.name for device in await told.get()] == ["Anne"]

        await in_thread(lambda: path.write_bytes(b"damaged again"))
        while (level := await overheard.levels.get()) == "DEBUG":
            pass
        assert level == "WARNING"
        assert names(daemon) == ["Anne"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_what_root_adds_the_daemons_user_can_read(path: Path) -> None:
    """``sudo inglenook devices add`` must not shut the daemon out of its own list."""
    os.chown(path.parent, 12345, 23456)

    opened(path).add("Anna", CHAT)

    assert (path.stat().st_uid, path.stat().st_gid) == (12345, 23456)
