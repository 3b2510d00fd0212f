"""The page on a real phone-sized Chromium, against the real daemon."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from websockets.asyncio.client import connect

from tests.parts.box import Box, running_box
from tests.parts.browser import DESKTOP, SMALL_PHONE, Page, open_page, run_chromium
from tests.parts.starter import HISTORY

pytestmark = [pytest.mark.system, pytest.mark.timeout(240)]

ANSWER_S = 120.0
CONNECT_S = 20.0

LAST = "document.querySelector('.turn:last-child')"
TEXT = f"{LAST}.querySelector('.prose').textContent"
OVER = f"{LAST} && !document.querySelector('#send').hidden"
NOTE = f"{LAST}.querySelector('.note').textContent"
CHATTING = "!document.querySelector('#chat').hidden"
PAIRING = "!document.querySelector('#pairing').hidden"
ONE_TAP = f"{PAIRING} && document.querySelector('#code-field').hidden"
CONNECTED = "document.querySelector('#status').dataset.level !== 'none'"
STORED_CHAT = "Object.entries(localStorage).find(([key]) => key.endsWith('.chat-2'))?.[1]"
STORED_TOKEN = "Object.entries(localStorage).find(([key]) => key.endsWith('.token'))?.[1]"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One Chromium for all tests here; each test opens a page that shares nothing."""
    with run_chromium(tmp_path_factory.mktemp("chromium")) as endpoint:
        yield endpoint


class Wifi:
    """A relay between phone and box that can lose every connection, and stay lost."""

    def __init__(self, url: str, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.lost = False
        self._box_port = urlsplit(url).port
        self._open: set[asyncio.StreamWriter] = set()

    def lose(self) -> None:
        """Cut everything without a goodbye, and let nothing new through."""
        self.lost = True
        for writer in self._open:
            writer.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Relay one connection until either side ends it."""
        if self.lost:
            writer.transport.abort()
            return
        async with asyncio.timeout(CONNECT_S):
            box_reader, box_writer = await asyncio.open_connection("127.0.0.1", self._box_port)
        ends = {writer, box_writer}
        self._open |= ends
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(_copy(reader, box_writer), name="to the box")
                tasks.create_task(_copy(box_reader, writer), name="to the phone")
        finally:
            self._open -= ends


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while chunk := await reader.read(65536):
            writer.write(chunk)
            await writer.drain()
    except ConnectionError:
        pass
    writer.close()


@asynccontextmanager
async def wifi_to(url: str) -> AsyncIterator[Wifi]:
    """Stand between the phone and the box."""
    async with asyncio.TaskGroup() as tasks:
        wifi: Wifi

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            tasks.create_task(wifi.serve(reader, writer), name="relay")

        server = await asyncio.start_server(accept, "127.0.0.1", 0)
        wifi = Wifi(url, server.sockets[0].getsockname()[1])
        async with server:
            yield wifi
            wifi.lose()


async def pair(page: Page, daemon: Box, url: str | None = None) -> None:
    """Pair through the QR code's link, by way of ``url`` if that is not the box itself."""
    link = daemon.pairing_url()
    if url is not None:
        link = f"{url}/#{urlsplit(link).fragment}"
    await page.navigate(link)
    await page.wait_for(ONE_TAP)
    await page.tap("#pair")
    await page.wait_for(f"{CHATTING} && {CONNECTED}")


async def ask(page: Page, question: str) -> None:
    """Type a question and send it."""
    await page.write("#question", question)
    await page.tap("#send")


async def stop(page: Page) -> None:
    """Stop the newest answer, unless it has ended by itself."""
    # In one go: it may end at any moment, and then there is nothing to press any more.
    button = "document.querySelector('#stop')"
    await page.wait_for(f"{OVER} || !{button}.disabled && ({button}.click(), true)")
    await page.wait_for(OVER)


async def length_over(page: Page, length: int) -> int:
    """Wait until the newest answer is longer than so many characters; returns how long it is."""
    grown = await page.wait_for(f"{TEXT}.length > {length} && {TEXT}.length", ANSWER_S)
    assert isinstance(grown, int)
    return grown


async def newest_answer(page: Page) -> dict[str, Any]:
    """The newest answer as the page has stored it."""
    turns = json.loads(await page.evaluate(STORED_CHAT))["turns"]
    answer: dict[str, Any] = turns[-1]["answer"]
    return answer


async def text_at_the_box(page: Page, url: str) -> str:
    """The newest answer's whole text as the box holds it, asked for as the same device."""
    token = await page.evaluate(STORED_TOKEN)
    response_id = (await newest_answer(page))["responseId"]
    text = ""
    async with (
        asyncio.timeout(ANSWER_S),
        connect(f"{url.replace('http', 'ws', 1)}/ws", subprotocols=["inglenook.v1"]) as socket,  # type: ignore[list-item]
    ):
        await socket.recv()
        client = {"name": "test", "version": "1"}
        await socket.send(json.dumps({"type": "auth", "token": token, "client": client}))
        await socket.send(json.dumps({"type": "resume", "response_id": response_id, "after": 0}))
        async for frame in socket:
            message = json.loads(frame)
            if message["type"] == "response.delta" and message["channel"] == "answer":
                text += message["text"]
            if message["type"] == "response.done":
                break
    return text


async def assert_nothing_lost(page: Page, url: str) -> None:
    """What the page remembers and what it shows are both what the box wrote."""
    truth = await text_at_the_box(page, url)
    assert (await newest_answer(page))["answer"] == truth
    assert _letters(await page.evaluate(TEXT)) == _letters(truth)


def _letters(text: str) -> str:
    """Without white space and list marks, which the page shows in its own way."""
    return re.sub(r"[\s*`#+•-]|\d+[.)]", "", text)


async def test_a_typed_code_pairs_in_whatever_way_it_is_typed(browser: str, daemon: Box) -> None:
    """Lower case, no dash, and the letters that look like 0 and 1 are all the same code."""
    async with open_page(browser) as page:
        await page.navigate(daemon.url)
        await page.wait_for(PAIRING)
        typed = daemon.pairing_code().lower().replace("-", "").replace("0", "o").replace("1", "l")
        await page.write("#code", typed)
        await page.tap("#pair")
        await page.wait_for(f"{CHATTING} && {CONNECTED}")
        assert await page.evaluate(STORED_TOKEN)


async def test_the_qr_codes_link_pairs_with_one_tap_and_leaves_the_address(
    browser: str, daemon: Box
) -> None:
    """The secret is out of the address bar before anything is pressed; the device has a name."""
    async with open_page(browser) as page:
        await page.navigate(daemon.pairing_url())
        await page.wait_for(ONE_TAP)
        assert await page.evaluate("location.href") == f"{daemon.url}/"
        assert await page.evaluate("document.querySelector('#device-name').value") == (
            "Android phone"
        )
        await page.tap("#pair")
        await page.wait_for(f"{CHATTING} && {CONNECTED}")
        assert await page.evaluate("history.length") <= 2


async def test_a_wrong_code_shows_the_boxs_own_sentence(browser: str, daemon: Box) -> None:
    """Somebody who mistyped reads what to do, and the code is still there to mend."""
    daemon.pairing_code()
    async with open_page(browser) as page:
        await page.navigate(daemon.url)
        await page.wait_for(PAIRING)
        await page.write("#code", "AAAA-AAAA")
        refusal = "fetch('/pair', {method: 'POST', body: JSON.stringify({code: 'BBBBBBBB',"
        refusal += " device_name: 'x', platform: 'other'}), headers:"
        refusal += " {'Content-Type': 'application/json'}}).then((r) => r.json())"
        sentence = (await page.evaluate(refusal))["error"]["message"].replace("`", "")
        await page.tap("#pair")
        shown = "document.querySelector('#pairing-problem').textContent"
        assert await page.wait_for(shown) == sentence
        assert await page.evaluate("document.querySelector('#code').value") == "AAAA-AAAA"


async def test_an_answer_grows_while_it_is_written(browser: str, daemon: Box) -> None:
    """Text is seen growing twice before the end."""
    async with open_page(browser) as page:
        await pair(page, daemon)
        await ask(page, HISTORY)
        first = await length_over(page, 0)
        await length_over(page, first)
        assert not await page.evaluate(OVER)
        await stop(page)
        await assert_nothing_lost(page, daemon.url)


async def test_a_finished_answer_shows_its_figures_and_can_be_copied(
    browser: str, daemon: Box
) -> None:
    """How much and how fast; the copy is of the text as the model wrote it."""
    async with open_page(browser) as page:
        await pair(page, daemon)
        await ask(page, "Hello.")
        await page.wait_for(OVER, ANSWER_S)
        figures = await page.evaluate(f"{LAST}.querySelector('.figures').textContent")
        assert re.fullmatch(r"\d+ tokens · \d+\.\d tok/s", figures)
        await assert_nothing_lost(page, daemon.url)
        await page.tap(".turn:last-child .copy")
        await page.wait_for(f"{LAST}.querySelector('.copy').textContent === 'Copied'")


async def test_stop_ends_the_answer_and_keeps_what_was_said(browser: str, daemon: Box) -> None:
    """The button that was Send stops the answer; the next question can follow."""
    async with open_page(browser) as page:
        await pair(page, daemon)
        await ask(page, HISTORY)
        await length_over(page, 20)
        await page.tap("#stop")
        await page.wait_for(f"{OVER} && {NOTE} === 'Stopped.'")
        kept = await page.evaluate(TEXT)
        assert len(kept) > 20
        assert (await newest_answer(page))["status"] == "cancelled"
        await ask(page, HISTORY)
        await page.wait_for("document.querySelector('#turns').childElementCount === 2")
        await length_over(page, 0)
        await stop(page)


async def test_a_lost_connection_loses_no_text(browser: str, daemon: Box) -> None:
    """Wi-Fi goes in the middle of an answer and comes back: not a letter is missing or twice."""
    async with open_page(browser) as page, wifi_to(daemon.url) as wifi:
        await pair(page, daemon, wifi.url)
        await ask(page, HISTORY)
        await length_over(page, 20)
        wifi.lose()
        await page.wait_for(f"{LAST}.querySelector('.waiting').innerText.includes('lost')")
        await page.wait_for(f"!({CONNECTED})")
        cut_at = await page.evaluate(f"{TEXT}.length")
        wifi.lost = False
        await length_over(page, cut_at)
        await stop(page)
        await assert_nothing_lost(page, wifi.url)


@pytest.fixture
def talkative(starter_model: Path) -> Iterator[Box]:
    """A daemon whose answers may be longer than it takes to come back four times, ever later."""
    model = {"path": str(starter_model), "context": 8192}
    with running_box(starter_model, {"model": model}) as box:
        yield box


async def test_many_short_losses_lose_no_text(browser: str, talkative: Box) -> None:
    """A phone at the edge of the Wi-Fi: the connection is cut again and again."""
    async with open_page(browser) as page, wifi_to(talkative.url) as wifi:
        await pair(page, talkative, wifi.url)
        await ask(page, HISTORY)
        length = 0
        for _ in range(4):
            length = await length_over(page, length)
            wifi.lose()
            wifi.lost = False
        await length_over(page, length)
        await stop(page)
        await assert_nothing_lost(page, wifi.url)


async def test_a_question_asked_without_connection_goes_when_it_is_back(
    browser: str, daemon: Box
) -> None:
    """Nobody has to press Send again."""
    async with open_page(browser) as page, wifi_to(daemon.url) as wifi:
        await pair(page, daemon, wifi.url)
        wifi.lose()
        await page.wait_for(f"!({CONNECTED})")
        await ask(page, "Hello.")
        await page.wait_for(f"{LAST}.querySelector('.waiting').innerText.includes('Not sent yet')")
        wifi.lost = False
        await page.wait_for(OVER, ANSWER_S)
        await assert_nothing_lost(page, wifi.url)


async def test_a_reload_in_the_middle_goes_on(browser: str, daemon: Box) -> None:
    """The running answer is remembered by the browser and picked up where it was left."""
    async with open_page(browser) as page:
        await pair(page, daemon)
        await ask(page, HISTORY)
        length = await length_over(page, 20)
        await page.reload()
        await length_over(page, length)
        await stop(page)
        await assert_nothing_lost(page, daemon.url)


async def test_a_revoked_phone_reads_why_and_can_be_paired_again(browser: str, daemon: Box) -> None:
    """Revoking reaches an open page at once; its token is forgotten."""
    async with open_page(browser) as page:
        await page.navigate(daemon.pairing_url())
        await page.wait_for(ONE_TAP)
        await page.evaluate("document.querySelector('#device-name').value = 'Lost phone'")
        await page.tap("#pair")
        await page.wait_for(f"{CHATTING} && {CONNECTED}")
        daemon.run("devices", "revoke", "Lost phone")
        await page.wait_for(PAIRING)
        problem = await page.evaluate("document.querySelector('#pairing-problem').textContent")
        assert "no longer paired" in problem
        assert await page.evaluate(STORED_TOKEN) is None
        await pair(page, daemon)


async def test_a_token_that_was_never_good_leads_to_pairing(browser: str, daemon: Box) -> None:
    """The box's own sentence says why."""
    async with open_page(browser) as page:
        await pair(page, daemon)
        await page.evaluate(
            "Object.keys(localStorage).filter((key) => key.endsWith('.token'))"
            ".forEach((key) => localStorage.setItem(key, 'inglenook_00000000_no'))"
        )
        await page.reload()
        await page.wait_for(PAIRING)
        assert await page.wait_for("document.querySelector('#pairing-problem').textContent")
        assert await page.evaluate(STORED_TOKEN) is None


async def test_a_new_chat_is_empty_until_the_last_one_is_brought_back(
    browser: str, daemon: Box
) -> None:
    """A slip of the finger costs nothing; nothing of the old chat stays stored."""
    async with open_page(browser) as page:
        await pair(page, daemon)
        await ask(page, "Hello.")
        await page.wait_for(OVER, ANSWER_S)
        await page.tap("#new-chat")
        await page.wait_for("document.querySelector('#turns').childElementCount === 0")
        assert await page.evaluate(STORED_CHAT) is None
        await page.tap("#bring-back")
        await page.wait_for("document.querySelector('#turns').childElementCount === 1")


async def test_a_reader_who_scrolled_up_is_left_in_peace(browser: str, daemon: Box) -> None:
    """New text pulls the page down only for somebody who is already there."""
    async with open_page(browser, SMALL_PHONE) as page:
        await pair(page, daemon)
        await ask(page, f"{'A tall question. ' * 60}{HISTORY}")
        scroller = "document.querySelector('#scroller')"
        room = f"{scroller}.scrollHeight - {scroller}.clientHeight"
        await page.wait_for(f"{room} > 200", ANSWER_S)
        await page.wait_for(f"{room} - {scroller}.scrollTop < 2")
        await page.evaluate(f"{scroller}.scrollTo(0, 50)")
        await length_over(page, await page.evaluate(f"{TEXT}.length"))
        assert await page.evaluate(f"{scroller}.scrollTop") == 50
        await stop(page)


async def test_the_smallest_phone_needs_no_sideways_scrolling(browser: str, daemon: Box) -> None:
    """At 320 px every screen fits, and in the chat nothing but the chat scrolls."""
    wide = "document.scrollingElement.scrollWidth > innerWidth"
    tall = "document.scrollingElement.scrollHeight > innerHeight"
    async with open_page(browser, SMALL_PHONE) as page:
        await page.navigate(daemon.url)
        await page.wait_for(PAIRING)
        assert not await page.evaluate(wide)
        await pair(page, daemon)
        assert not await page.evaluate(f"{wide} || {tall}")
        await ask(page, f"{'W' * 80} Hello.")
        await page.wait_for(OVER, ANSWER_S)
        assert not await page.evaluate(f"{wide} || {tall}")


async def test_a_desktop_sends_with_enter_and_breaks_lines_with_shift(
    browser: str, daemon: Box
) -> None:
    """The field has the focus from the start; Shift and Enter make a new line."""
    shift = 8
    async with open_page(browser, DESKTOP) as page:
        await pair(page, daemon)
        await page.wait_for("document.activeElement.id === 'question'")
        await page.call("Input.insertText", text="Hello")
        await page.press_enter(shift)
        await page.call("Input.insertText", text="there")
        await page.press_enter()
        asked = f"{LAST}.querySelector('.question').textContent"
        assert await page.wait_for(asked) == "Hello\nthere"
        await page.wait_for(OVER, ANSWER_S)


async def test_markup_in_a_question_stays_text(browser: str, daemon: Box) -> None:
    """Nothing that people or models write is ever parsed as HTML."""
    async with open_page(browser) as page:
        await pair(page, daemon)
        await ask(page, "<img src=x onerror=alert(1)><b>bold</b>")
        await page.wait_for(OVER, ANSWER_S)
        assert await page.evaluate(f"{LAST}.querySelectorAll('img, b').length") == 0
        assert "<img src=x" in await page.evaluate(f"{LAST}.innerText")


async def test_the_page_is_quiet_and_talks_to_the_box_alone(browser: str, daemon: Box) -> None:
    """No console error, no broken security rule, no request to anybody else, from start to end."""
    async with open_page(browser) as page:
        await pair(page, daemon)
        await ask(page, "Hello.")
        await page.wait_for(OVER, ANSWER_S)
        await page.tap("#new-chat")
        await page.reload()
        await page.wait_for(f"{CHATTING} && {CONNECTED}")
        assert page.complaints == []
        assert {urlsplit(url).netloc for url in page.urls} == {urlsplit(daemon.url).netloc}
        assert any(url.startswith("ws://") for url in page.urls)
