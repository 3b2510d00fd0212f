"""A new device comes in through an open window: with the right code, once, whoever guesses."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from inglenook.auth.allowlist import Allowlist
from inglenook.auth.devices import Scope
from inglenook.common.errors import Code, Problem
from inglenook.gateway.pairing import PairingDoor
from tests.gateway.conftest import SOON_S
from tests.parts.box import Box, Reply

WRONG = "0000-0000"


class Door:
    """A door with its allowlist, and how often it said that it changed."""

    def __init__(self, folder: Path) -> None:
        self.allowlist = Allowlist(folder / "devices.json")
        self.changes = 0
        self.door = PairingDoor(self.allowlist, self._changed)

    def _changed(self) -> None:
        self.changes += 1

    async def refused(self, body: Any, peer: str = "") -> Problem:
        with pytest.raises(Problem) as caught:
            await self.door.pair(body, peer)
        return caught.value


@pytest.fixture
def held(tmp_path: Path) -> Door:
    return Door(tmp_path)


async def test_code_and_secret_each_let_one_device_in(held: Door) -> None:
    """With the scope to chat, under the name it gave, for ever."""
    for word in ("code", "secret"):
        window = held.door.open()
        offered = {"code": window.shown_code, "secret": window.secret}[word]
        device, token = await held.door.pair({word: offered, "device_name": f"By {word}"})

        assert device.name == f"By {word}"
        assert device.scopes == (Scope.CHAT,)
        assert device.expires_at is None
        assert held.allowlist.check(token, 0.0) == device


async def test_the_owners_name_for_a_device_counts_more_than_its_own(held: Door) -> None:
    """Given with `inglenook pair --name`."""
    window = held.door.open("Grandma")

    device, _token = await held.door.pair({"code": window.code, "device_name": "iPhone"})

    assert device.name == "Grandma"


@pytest.mark.parametrize("name", [None, "", "Phone"])
async def test_a_phone_without_a_name_gets_one(held: Door, name: str | None) -> None:
    """And the second one a number."""
    names = []
    for _ in range(2):
        code = held.door.open().code
        device, _token = await held.door.pair({"code": code, "device_name": name})
        names.append(device.name)

    assert names == ["Phone", "Phone 2"]


@pytest.mark.parametrize(
    "body",
    [
        None,
        [],
        "code",
        {},
        {"code": None},
        {"code": 5},
        {"code": ""},
        {"code": "x" * 65},
        {"secret": None, "code": None},
        {"code": WRONG, "device_name": 5},
        {"code": WRONG, "device_name": ["x"]},
        {"code": WRONG, "device_name": "\x00"},
        {"code": WRONG, "platform": 5},
    ],
)
async def test_a_body_that_is_no_try_costs_no_try(held: Door, body: Any) -> None:
    """It is told what is wrong, and the window stays as it was."""
    window = held.door.open()
    for _ in range(6):
        assert (await held.refused(body)).code is Code.BAD_REQUEST

    device, _token = await held.door.pair({"code": window.code, "device_name": "x" * 200})

    assert device.name == "x" * 64


async def test_without_a_window_every_code_is_wrong(held: Door) -> None:
    """The sentence says what to do, and not whether a window is open."""
    closed = await held.refused({"code": WRONG})
    held.door.open()
    wrong = await held.refused({"code": WRONG})

    assert closed.code is wrong.code is Code.FORBIDDEN
    assert closed.text == wrong.text
    assert "`inglenook pair`" in closed.text


async def test_five_wrong_tries_end_the_code_where_they_came_from(
    held: Door, caplog: pytest.LogCaptureFixture
) -> None:
    """Also if the sixth is right; elsewhere it goes on. The log has one line for all of them."""
    window = held.door.open()
    problems = await asyncio.gather(
        *(held.refused({"code": WRONG}, f"192.168.1.{n % 3}") for n in range(30))
    )
    right = await held.refused({"code": window.code}, "192.168.1.1")
    warnings = [record for record in caplog.records if record.levelname == "WARNING"]
    device, _token = await held.door.pair({"code": window.code}, "192.168.1.9")

    assert {problem.code for problem in (*problems, right)} == {Code.FORBIDDEN}
    assert len(warnings) == 1
    assert "wrong pairing codes came from 192.168.1." in warnings[0].getMessage()
    assert held.allowlist.devices == (device,)


async def test_two_at_once_let_one_in(held: Door) -> None:
    """Who waits hears who it was, though the other was refused first."""
    window = held.door.open()
    newcomer, *results = await asyncio.gather(
        held.door.wait_closed(),
        *(held.door.pair({"code": window.code}) for _ in range(2)),
        return_exceptions=True,
    )

    refused = [result for result in results if isinstance(result, Problem)]
    assert [problem.code for problem in refused] == [Code.FORBIDDEN]
    assert held.allowlist.devices == (newcomer,)


async def test_who_waits_too_late_does_not_wait_for_the_next_window(held: Door) -> None:
    """A second terminal may open one between the two requests of the first."""
    first, second = held.door.open(), held.door.open()
    async with asyncio.timeout(SOON_S), asyncio.TaskGroup() as tasks:
        assert await held.door.wait_closed(first.shown_code) is None
        waiting = tasks.create_task(held.door.wait_closed(second.shown_code), name="second owner")
        device, _token = await held.door.pair({"code": second.code})
        assert await waiting == device
    # Nor does who asks when it is over.
    assert await held.door.wait_closed(second.shown_code) == device


async def test_a_new_window_closes_the_one_before(held: Door) -> None:
    """Whoever waits at the old one is told that nobody came."""
    first = held.door.open()
    async with asyncio.timeout(SOON_S), asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(held.door.wait_closed(), name="first owner")
        await asyncio.sleep(0)
        second = held.door.open()
        assert await waiting is None

    assert (await held.refused({"code": first.code})).code is Code.FORBIDDEN
    await held.door.pair({"code": second.code})


async def test_the_world_hears_when_the_window_opens_and_closes(held: Door) -> None:
    """Once each; the page and the network show it."""
    window = held.door.open()
    opened = (held.changes, held.door.is_open)
    await held.door.pair({"code": window.code})

    assert opened == (1, True)
    assert (held.changes, held.door.is_open) == (2, False)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to own a file nobody may write")
async def test_a_disk_that_cannot_be_written_pairs_nobody(held: Door, tmp_path: Path) -> None:
    """The window is used up, and whoever waits for a device is not left waiting."""
    (tmp_path / "devices.json").mkdir()
    window = held.door.open()

    with pytest.raises(Problem, match="could not keep the new device"):
        await held.door.pair({"code": window.code})
    async with asyncio.timeout(SOON_S):
        assert await held.door.wait_closed() is None


def pair(box: Box, code: str, *, source: str = "127.0.0.1", **fields: object) -> Reply:
    return box.http("POST", "/pair", body={"code": code, **fields}, source=source)


def test_a_phone_pairs_over_http(box: Box) -> None:
    """What comes back is all it needs to find the box again; nothing may keep a copy."""
    reply = pair(box, box.pairing_code().lower(), device_name="Bob's phone", platform="Android")
    paired = reply.json()

    assert reply.status == 200
    assert reply.headers["Cache-Control"] == "no-store"
    assert paired["server_id"] == box.http("GET", "/.well-known/inglenook").json()["server_id"]
    assert paired["scopes"] == ["chat"]
    assert paired["expires"] is None
    assert paired["spki_sha256"] is None
    # The box of these tests listens on this one address only.
    assert paired["urls"] == [box.url]
    assert box.http("GET", "/v1/state", token=paired["token"]).status == 200


def test_a_code_works_once(box: Box) -> None:
    """The second phone hears what one with a wrong code hears."""
    code = box.pairing_code()
    first, second, wrong = pair(box, code), pair(box, code), pair(box, WRONG)

    assert first.status == 200
    assert (second.status, second.code) == (403, "forbidden")
    assert second.body == wrong.body


@pytest.mark.slow
def test_wrong_codes_of_a_stranger_keep_no_phone_from_pairing(box: Box) -> None:
    """Over HTTP as in the rules; from the stranger's address only the QR code's secret counts."""
    code = box.pairing_code()
    guesses = [pair(box, WRONG, source="127.0.0.2") for _ in range(6)]
    right = pair(box, code, source="127.0.0.2")
    open_still = box.http("GET", "/.well-known/inglenook").json()["pairing_open"]
    phone = pair(box, code)

    assert {reply.status for reply in (*guesses, right)} == {403}
    assert open_still
    assert phone.status == 200


async def test_of_two_phones_at_once_one_is_paired(box: Box) -> None:
    """With one code, typed on two phones."""
    code = box.pairing_code()
    send: Callable[[str], Reply] = lambda name: pair(box, code, device_name=name)  # noqa: E731
    replies = await asyncio.gather(
        *(asyncio.to_thread(send, f"Twin {number}") for number in range(2))
    )

    assert sorted(reply.status for reply in replies) == [200, 403]


def test_the_page_can_see_whether_pairing_is_open(box: Box) -> None:
    """Before, during and after."""

    def is_open() -> bool:
        found: bool = box.http("GET", "/.well-known/inglenook").json()["pairing_open"]
        return found

    box.pair("Anna")
    before = is_open()
    code = box.pairing_code()
    during = is_open()
    pair(box, code)

    assert (before, during, is_open()) == (False, True, False)
