"""A box that nobody uses gives its memory back, and has it again before anybody notices."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import aiohttp
import psutil
import pytest

from tests.parts.box import READY_S, Box, made_box, running_box
from tests.parts.phone import connected, long_chat
from tests.parts.starter import CAPITAL, PARIS

#: What the daemon may keep while it sleeps, bytes of resident memory.
ASLEEP_BYTES_MAX = 60_000_000


@pytest.fixture(scope="module")
def sleepy_box(starter_model: Path) -> Iterator[Box]:
    """It unloads its model after some seconds without use."""
    with running_box(starter_model, {"power": {"unload_after": "3s"}}) as box:
        yield box


@pytest.fixture
def asleep(sleepy_box: Box) -> tuple[Box, str]:
    """The box once it sleeps, and the token of a phone it knows."""
    token = sleepy_box.pair("Phone")
    wait_asleep(sleepy_box, token)
    return sleepy_box, token


def wait_asleep(box: Box, token: str) -> None:
    box.wait(lambda: sleep_of(box, token) == "unloaded", "it never slept", READY_S)
    box.wait(lambda: not psutil.Process(box.pid).children(), "the engine stayed", READY_S)


def sleep_of(box: Box, token: str) -> str:
    sleep: str = box.http("GET", "/v1/state", token=token).json()["sleep"]
    return sleep


def test_a_box_asleep_has_no_engine_and_is_small(asleep: tuple[Box, str]) -> None:
    """All the model's memory is back; it still counts as well, since whoever asks is answered."""
    box, token = asleep
    state = box.http("GET", "/v1/state", token=token).json()

    assert (state["engine"], state["sleep"]) == ("unloaded", "unloaded")
    assert psutil.Process(box.pid).memory_info().rss < ASLEEP_BYTES_MAX
    assert (box.health(), box.http("GET", "/healthz").json()) == (200, {"status": "asleep"})


def test_a_question_wakes_it(asleep: tuple[Box, str]) -> None:
    """Over HTTP, from a program that knows nothing of sleep."""
    box, token = asleep
    reply = box.http("POST", "/v1/inference", token=token, body={"question": CAPITAL})

    assert (reply.status, reply.json()["answer"]) == (200, PARIS)


async def test_a_phone_that_comes_in_wakes_it_before_it_asks(asleep: tuple[Box, str]) -> None:
    """While its owner still types, the model loads."""
    box, token = asleep
    async with connected(box.url, token) as phone:
        while phone.state["engine"] != "ready":
            await phone.until("state")
        answer = await phone.begin(long_chat(3))
        await phone.finish(answer)

    assert answer.queued == []
    assert answer.text


async def test_a_phone_that_stays_does_not_keep_it_awake(asleep: tuple[Box, str]) -> None:
    """A page left open in a tab; it is told, and who asks there later wakes the box again."""
    box, token = asleep
    async with connected(box.url, token) as phone:
        while phone.state["sleep"] != "unloaded" or phone.state["engine"] != "unloaded":
            await phone.until("state")
        answer = await phone.begin(long_chat(3))
        await phone.finish(answer)

    assert {place["reason"] for place in answer.queued} <= {"loading"}
    assert answer.text


def test_strangers_do_not_wake_it(asleep: tuple[Box, str]) -> None:
    """Neither who is not paired, nor who only looks."""
    box, token = asleep
    for path in ("/", "/healthz", "/.well-known/inglenook", "/v1/state"):
        box.http("GET", path)
    box.http("POST", "/v1/inference", token="x" * 43, body={"question": "Awake?"})

    assert sleep_of(box, token) == "unloaded"
    assert psutil.Process(box.pid).children() == []


def test_its_owner_may_look_without_waking_it(asleep: tuple[Box, str]) -> None:
    """On the box itself, and as a monitor does."""
    box, token = asleep
    shown = box.run("status", "--once")
    box.http("GET", "/metrics", token=token)
    box.control("GET", "/state")

    assert (shown.returncode, "asleep" in shown.out) == (0, True)
    assert sleep_of(box, token) == "unloaded"
    assert psutil.Process(box.pid).children() == []


async def test_who_knocks_without_a_name_is_no_reason_to_stay_awake(
    asleep: tuple[Box, str],
) -> None:
    """Nor to wake up."""
    box, token = asleep
    async with aiohttp.ClientSession() as session, session.ws_connect(f"{box.url}/ws") as socket:
        assert (await socket.receive_json())["type"] == "auth_required"
        assert sleep_of(box, token) == "unloaded"
        assert psutil.Process(box.pid).children() == []


async def test_a_process_started_for_nobody_leaves_the_model_alone(starter_model: Path) -> None:
    """As by junk on the port for calls; the first phone that comes in has it loaded."""
    with made_box(starter_model, {"power": {"unload_after": "1h"}}) as box:
        box.state_dir.mkdir()
        (box.state_dir / "asleep").touch()
        box.start()
        box.wait(lambda: box.health() == 200, "it never answered", READY_S)

        assert box.http("GET", "/healthz").json() == {"status": "asleep"}
        assert psutil.Process(box.pid).children() == []

        async with connected(box.url, box.pair("Ada")) as phone:
            answer = await phone.begin(long_chat(3))
            await phone.finish(answer)

        assert answer.text
        box.stop()
        assert not (box.state_dir / "asleep").exists()
