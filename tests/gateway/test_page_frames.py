"""What the page makes of every frame, seldom ones too, sent by a box that follows a script."""

from __future__ import annotations

import asyncio
import importlib.resources
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import WSMsgType, web
from aiohttp.test_utils import TestServer

from tests.parts.browser import Page, open_page, run_chromium

pytestmark = pytest.mark.system

HEAR_S = 30.0
SERVER_ID = "5cr1p7ed"
PAGES = Path(str(importlib.resources.files("inglenook.gateway"))) / "pages"
LAST = "document.querySelector('.turn:last-child')"
TEXT = f"{LAST}.querySelector('.prose').textContent"
NOTE = f"{LAST}.querySelector('.note').textContent"
WAITING = f"{LAST}.querySelector('.waiting').innerText"
REPETITION = "Stopped: the answer only repeated itself. Asking in other words often helps."
QUESTION = "Tell me about the sea and the wind"
READY = "!document.querySelector('#send').hidden && !document.querySelector('#send').disabled"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One Chromium for all tests here; each test opens a page that shares nothing."""
    with run_chromium(tmp_path_factory.mktemp("chromium")) as endpoint:
        yield endpoint


class ScriptedBox:
    """Serves the page and opens its WebSocket; a test hears and says everything after that.

    Attributes:
        server_id: Whom it says it is.
        mute: It does not answer pings.
        kinds: Of every message it ever heard.
    """

    def __init__(self) -> None:
        self.server_id = SERVER_ID
        self.mute = False
        self.kinds: list[str] = []
        self._heard: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._socket: web.WebSocketResponse | None = None

    def app(self) -> web.Application:
        """The routes of the box that the page needs."""
        app = web.Application()
        app.router.add_get("/", self._index)
        app.router.add_get("/.well-known/inglenook", self._well_known)
        app.router.add_get("/ws", self._serve)
        app.router.add_static("/", PAGES)
        return app

    async def hear(self, kind: str) -> dict[str, Any]:
        """The next message of a kind; others that come before it are dropped."""
        async with asyncio.timeout(HEAR_S):
            while True:
                message = await self._heard.get()
                if message["type"] == kind:
                    return message

    def has_heard_nothing(self) -> bool:
        """Whether no message waits to be heard."""
        return self._heard.empty()

    async def say(self, kind: str, **frame: Any) -> None:
        """Send one frame."""
        assert self._socket is not None
        await self._socket.send_json({"type": kind, **frame})

    async def delta(self, seq: int, offset: int, text: str, channel: str = "answer") -> None:
        """Send a piece of the answer ``r_1``."""
        await self.say(
            "response.delta", response_id="r_1", seq=seq, channel=channel, offset=offset, text=text
        )

    async def begin(self) -> dict[str, Any]:
        """Hear a question and begin the answer ``r_1``; returns the question."""
        question = await self.hear("generate")
        await self.say(
            "response.created",
            id=question["id"],
            response_id="r_1",
            model="tiny",
            trimmed_messages=0,
        )
        return question

    async def done(
        self,
        seq: int,
        status: str = "completed",
        problem: str | None = None,
        finish_reason: str | None = "stop",
    ) -> None:
        """End the answer ``r_1``."""
        error = None if problem is None else {"code": "engine_failed", "message": problem}
        await self.say(
            "response.done",
            response_id="r_1",
            seq=seq,
            status=status,
            finish_reason=finish_reason,
            usage={"prompt_tokens": 9, "completion_tokens": 42, "cached_tokens": 0},
            timings={"queued_s": 0, "ttft_s": 0.1, "prefill_tok_s": 90.0, "decode_tok_s": 12.34},
            error=error,
        )

    async def hang_up(self, code: int) -> None:
        """Close the connection."""
        assert self._socket is not None
        await self._socket.close(code=code)

    async def _index(self, _request: web.Request) -> web.FileResponse:
        return web.FileResponse(PAGES / "index.html")

    async def _well_known(self, _request: web.Request) -> web.Response:
        return web.json_response({"server_id": SERVER_ID, "name": "Kitchen"})

    async def _serve(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(protocols=["inglenook.v1"], compress=False)
        await socket.prepare(request)
        self._socket = socket
        await socket.send_json({"type": "auth_required", "v": 1, "server_id": self.server_id})
        async for frame in socket:
            if frame.type is not WSMsgType.TEXT:
                break
            message = json.loads(frame.data)
            self._heard.put_nowait(message)
            self.kinds.append(message["type"])
            if message["type"] == "auth":
                state = {"level": "cool", "queued": 0, "model": "tiny-Q4_K_M.gguf"}
                await socket.send_json({"type": "auth_ok", "device_id": "d", "state": state})
            if message["type"] == "ping" and not self.mute:
                await socket.send_json({"type": "pong", "t": message["t"]})
        return socket


CHAT = f"inglenook.{SERVER_ID}.chat"

#: As the page stored an answer before its chat had a version.
ANSWER = {
    "key": "k1",
    "responseId": "r_1",
    "seq": 3,
    "answer": "Because \U0001f642.",
    "thinking": "",
    "points": {"answer": 10, "thinking": 0},
    "status": "completed",
    "sent": True,
    "stopping": False,
    "queue": None,
    "trimmed": 0,
    "problem": "",
    "tokens": 4,
    "tokensPerS": 2.5,
}
TURN = {"question": "Why?", "answer": ANSWER}


@asynccontextmanager
async def paired(browser: str, chat: str | None = None) -> AsyncIterator[tuple[Page, ScriptedBox]]:
    """A page that holds a token of a scripted box, maybe a chat, and has connected to it."""
    box = ScriptedBox()
    async with TestServer(box.app()) as server, open_page(browser) as page:
        await page.navigate(str(server.make_url("/icon.svg")))
        await page.wait_for("location.pathname === '/icon.svg'")
        await page.evaluate(f"localStorage.setItem('inglenook.{SERVER_ID}.token', 'token')")
        if chat is not None:
            await page.evaluate(f"localStorage.setItem('{CHAT}', {json.dumps(chat)})")
        await page.navigate(str(server.make_url("/")))
        await box.hear("auth")
        yield page, box


async def ask(page: Page, question: str = "Why?") -> None:
    """Type a question and send it."""
    await page.write("#question", question)
    await page.tap("#send")


async def test_a_wait_is_told_with_place_time_and_reason(browser: str) -> None:
    """Nobody looks at a spinner and wonders."""
    async with paired(browser) as (page, box):
        await ask(page)
        question = await box.hear("generate")
        await box.say(
            "response.queued",
            id=question["id"],
            response_id="r_1",
            position=2,
            eta_s=12.4,
            reason="thermal",
        )
        told = await page.wait_for(f"{WAITING}.includes('line') && {WAITING}")
        assert told == "2 in line, about 12 s: the box is cooling down"


async def test_thinking_is_folded_away_and_counted(browser: str) -> None:
    """Thoughts never mix with the answer; their length says that something is going on."""
    async with paired(browser) as (page, box):
        await ask(page)
        await box.begin()
        await box.delta(1, 0, "Hm. 🤔", channel="thinking")
        await box.delta(2, 0, "Because.")
        await box.done(3)
        await page.wait_for(READY)
        details = f"{LAST}.querySelector('details')"
        assert await page.evaluate(f"{details}.open") is False
        assert "5 characters" in await page.evaluate(f"{details}.innerText")
        assert await page.evaluate(f"{details}.querySelector('.thoughts').textContent") == "Hm. 🤔"
        assert await page.evaluate(TEXT) == "Because."


async def test_repeated_and_overlapping_text_is_taken_once(browser: str) -> None:
    """After a reconnection a merged frame may begin with what is already there."""
    async with paired(browser) as (page, box):
        await ask(page)
        await box.begin()
        await box.delta(1, 0, "🍲 Soup")
        await box.delta(1, 0, "🍲 Soup")
        await box.delta(3, 2, "Soup is good")
        await box.done(4)
        await page.wait_for(READY)
        assert await page.evaluate(TEXT) == "🍲 Soup is good"


async def test_missing_text_is_asked_for_again_from_the_start(browser: str) -> None:
    """A gap is never papered over."""
    async with paired(browser) as (page, box):
        await ask(page)
        await box.begin()
        await box.delta(1, 0, "One ")
        await box.delta(3, 8, "three")
        resume = await box.hear("resume")
        assert resume == {"type": "resume", "response_id": "r_1", "after": 0}
        await box.delta(3, 0, "One two three")
        await box.done(4)
        await page.wait_for(READY)
        assert await page.evaluate(TEXT) == "One two three"


async def test_a_rewound_answer_is_cut_and_goes_on(browser: str) -> None:
    """After a power cut the box writes the last words again, perhaps others."""
    async with paired(browser) as (page, box):
        await ask(page)
        await box.begin()
        await box.delta(1, 0, "Roses 🌹 ")
        await box.delta(2, 8, "are blue")
        await box.say(
            "response.rewound", response_id="r_1", seq=1, offsets={"answer": 8, "thinking": 0}
        )
        await box.delta(2, 8, "are red")
        await box.done(3)
        await page.wait_for(READY)
        assert await page.evaluate(TEXT) == "Roses 🌹 are red"


async def test_a_question_that_was_never_heard_of_again_is_sent_with_the_same_key(
    browser: str,
) -> None:
    """The connection dies between question and first frame: the box must be able to tell."""
    async with paired(browser) as (page, box):
        await ask(page)
        first = await box.hear("generate")
        await box.hang_up(1012)
        again = await box.begin()
        assert again == first
        await box.delta(1, 0, "Yes.")
        await box.done(2)
        await page.wait_for(READY)


async def test_stop_before_the_answer_has_a_name_is_kept(browser: str) -> None:
    """Stop pressed at once is sent as soon as the box says what to stop."""
    async with paired(browser) as (page, box):
        await ask(page)
        question = await box.hear("generate")
        await page.tap("#stop")
        await page.wait_for(f"{WAITING} === 'Stopping…'")
        await box.say(
            "response.queued",
            id=question["id"],
            response_id="r_1",
            position=1,
            eta_s=1,
            reason="busy",
        )
        assert await box.hear("cancel") == {"type": "cancel", "response_id": "r_1"}
        await box.done(1, "cancelled")
        await page.wait_for(f"{NOTE} === 'Stopped.'")


async def test_an_answer_the_box_no_longer_has_can_be_asked_again(browser: str) -> None:
    """What was read stays until the reader asks again, as a new question to the box."""
    async with paired(browser) as (page, box):
        await ask(page)
        first = await box.begin()
        await box.delta(1, 0, "Half an ans")
        await page.wait_for(TEXT)
        await box.hang_up(1012)
        await box.hear("resume")
        await box.say("resume_gone", response_id="r_1")
        await page.wait_for(f"{NOTE}.includes('lost')")
        assert await page.evaluate(TEXT) == "Half an ans"
        await page.tap(".turn:last-child .retry")
        second = await box.hear("generate")
        assert second["idempotency_key"] != first["idempotency_key"]
        assert second["request"] == first["request"]


@pytest.mark.parametrize(
    ("status", "problem", "note"),
    [
        ("incomplete length", None, "Stopped at the length limit."),
        ("incomplete repetition", None, REPETITION),
        ("cancelled", None, "Stopped."),
        ("failed", "The model stopped. Send it again.", "The model stopped. Send it again."),
    ],
)
async def test_every_end_says_why(
    browser: str, status: str, problem: str | None, note: str
) -> None:
    """An answer that stops short never looks finished."""
    async with paired(browser) as (page, box):
        await ask(page)
        await box.begin()
        await box.delta(1, 0, "So far")
        status, _, finish_reason = status.partition(" ")
        await box.done(2, status, problem, finish_reason or None)
        await page.wait_for(READY)
        assert await page.evaluate(NOTE) == note
        figures = await page.evaluate(f"{LAST}.querySelector('.figures').textContent")
        assert figures == "42 tokens · 12.3 tok/s"


async def test_a_busy_box_says_when_to_try_again(browser: str) -> None:
    """The box's own sentence, a time, and a button."""
    async with paired(browser) as (page, box):
        await ask(page)
        question = await box.hear("generate")
        await box.say(
            "error", id=question["id"], code="busy", message="The line is full.", retry_after_s=11.2
        )
        await page.wait_for(READY)
        assert await page.evaluate(NOTE) == "The line is full. Try again in about 12 s."
        await page.tap(".turn:last-child .retry")
        await box.begin()


async def test_a_question_too_large_is_not_sent_for_ever(browser: str) -> None:
    """Close code 4413 fails the question instead of sending it again at every reconnection."""
    async with paired(browser) as (page, box):
        await ask(page)
        await box.hear("generate")
        await box.hang_up(4413)
        await page.wait_for(f"{NOTE}.includes('too long')")
        await box.hear("auth")
        await ask(page, "Shorter?")
        assert (await box.begin())["request"]["messages"] == [
            {"role": "user", "content": "Shorter?"}
        ]


async def test_a_revoked_phone_is_told_and_forgets_its_token(browser: str) -> None:
    """Revoking closes live connections with 4401; the pairing screen opens with the reason."""
    async with paired(browser) as (page, box):
        await page.wait_for("document.querySelector('#status-text').innerText.includes('ready')")
        await box.hang_up(4401)
        await page.wait_for("!document.querySelector('#pairing').hidden")
        problem = await page.evaluate("document.querySelector('#pairing-problem').innerText")
        assert "no longer paired" in problem
        assert await page.evaluate(f"localStorage.getItem('inglenook.{SERVER_ID}.token')") is None


async def test_the_token_is_shown_to_no_other_box(browser: str) -> None:
    """Routers hand addresses on: another box at this address is not told the secret."""
    async with paired(browser) as (page, box):
        await page.wait_for("document.querySelector('#status-text').innerText.includes('ready')")
        box.server_id = "0ther"
        await box.hang_up(1012)
        await page.wait_for("document.querySelector('#notice').innerText.includes('Another box')")
        assert box.has_heard_nothing()


async def test_a_connection_that_died_in_silence_is_noticed_when_the_phone_wakes(
    browser: str,
) -> None:
    """Phones often never say that a socket is dead; the page asks, and gives it three seconds."""
    async with paired(browser) as (page, box):
        await ask(page)
        await box.begin()
        await box.delta(1, 0, "One ")
        await page.wait_for(TEXT)
        box.mute = True
        await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        await box.hear("ping")
        assert (await box.hear("resume"))["after"] == 1


async def test_the_whole_chat_goes_with_each_question_but_thoughts_stay(browser: str) -> None:
    """The model sees both sides in turn; a question without an answer is left out."""
    async with paired(browser) as (page, box):
        await ask(page, "First?")
        await box.begin()
        await box.delta(1, 0, "hidden", channel="thinking")
        await box.delta(2, 0, "Said.")
        await box.done(3)
        await page.wait_for(READY)
        await ask(page, "Second?")
        question = await box.hear("generate")
        await box.say("error", id=question["id"], code="busy", message="No.")
        await page.wait_for(READY)
        await ask(page, "Third?")
        assert (await box.begin())["request"]["messages"] == [
            {"role": "user", "content": "First?"},
            {"role": "assistant", "content": "Said."},
            {"role": "user", "content": "Third?"},
        ]


async def test_a_long_chat_stays_under_the_limit_of_one_frame(browser: str) -> None:
    """The oldest turns go first; what is stored and sent stays under 200 KiB."""
    async with paired(browser) as (page, box):
        for text in ("a" * 50_000, "b" * 50_000, "ü" * 50_000, "ü" * 40_000):
            await ask(page, text)
            await box.begin()
            await box.delta(1, 0, "Long.")
            await box.done(2)
            await page.wait_for(READY)
        await ask(page, "c")
        question = await box.hear("generate")
        assert question["request"]["messages"][0]["content"][0] == "ü"
        assert len(json.dumps(question, ensure_ascii=False).encode()) < 200 * 1024


async def test_an_answer_becomes_paragraphs_lists_and_code_while_it_is_written(
    browser: str,
) -> None:
    """Finished blocks are built once; what a model writes as markup stays text."""
    pieces = [
        "A **bold** `start` <b>\n",
        "\n1. one\n2. two\n\n``",
        "`py\nif a < b:\n\n    pass\n```\n",
        "# End\nplain 2 * 3 * 4",
    ]
    async with paired(browser) as (page, box):
        await ask(page)
        await box.begin()
        offset = 0
        for seq, piece in enumerate(pieces, start=1):
            await box.delta(seq, offset, piece)
            offset += len(piece)
        await box.done(9)
        await page.wait_for(READY)
        assert await page.evaluate(f"{LAST}.querySelector('.prose').innerHTML") == (
            '<p dir="auto">A <strong>bold</strong> <code>start</code> &lt;b&gt;</p>'
            '<ol><li dir="auto" value="1">one</li><li dir="auto" value="2">two</li></ol>'
            '<pre tabindex="0"><code>if a &lt; b:\n\n    pass</code></pre>'
            '<h4 dir="auto">End</h4><p dir="auto">plain 2 * 3 * 4</p>'
        )


def asked(*said: str) -> list[dict[str, str]]:
    """A conversation in which both sides have spoken in turn."""
    roles = ("user", "assistant")
    return [{"role": roles[n % 2], "content": content} for n, content in enumerate(said)]


async def type_on(page: Page, text: str) -> None:
    """Go on where the caret is; a tap on the field would move it."""
    await page.call("Input.insertText", text=text)


async def answered(page: Page, box: ScriptedBox, question: str = "First?") -> None:
    """One question, answered."""
    await ask(page, question)
    await answer(page, box)


async def answer(page: Page, box: ScriptedBox) -> None:
    """Answer the question that was asked."""
    await box.begin()
    await box.delta(1, 0, "Said.")
    await box.done(2)
    await page.wait_for(READY)


async def let_timers_fire(page: Page, *, at_once: bool) -> None:
    """Make every pause in typing long enough, or none."""
    fires = "(act) => { act(); return 0; }" if at_once else "() => 0"
    await page.evaluate(f"window.setTimeout = {fires}, null")


async def test_a_pause_in_typing_lets_the_box_read_ahead(browser: str) -> None:
    """As it stands in the field, once it is worth it; its id is never used twice."""
    async with paired(browser) as (page, box):
        await page.write("#question", QUESTION)
        first = await box.hear("prepare")
        await type_on(page, ", and of the ships upon it")
        second = await box.hear("prepare")

        assert first["request"] == {"messages": asked(QUESTION)}
        assert second["request"]["messages"] == asked(f"{QUESTION}, and of the ships upon it")
        assert first["id"] != second["id"]


async def test_the_end_of_a_word_will_do_for_those_who_never_pause(browser: str) -> None:
    """Without what stands after it."""
    async with paired(browser) as (page, box):
        await let_timers_fire(page, at_once=False)
        await page.write("#question", QUESTION)
        await type_on(page, " ")

        assert (await box.hear("prepare"))["request"]["messages"] == asked(QUESTION)


async def test_a_few_letters_are_not_worth_a_message(browser: str) -> None:
    """Neither at first nor after something was sent."""
    async with paired(browser) as (page, box):
        await let_timers_fire(page, at_once=True)
        await page.write("#question", "Tell me about")
        await type_on(page, QUESTION.removeprefix("Tell me about"))
        assert (await box.hear("prepare"))["request"]["messages"] == asked(QUESTION)
        await type_on(page, ", and ships")
        await page.tap("#send")
        await box.hear("generate")

        assert box.kinds.count("prepare") == 1


async def test_a_chat_that_is_opened_is_read_before_anything_is_typed(browser: str) -> None:
    """All of it, up to the last answer; and once more when there is an answer more."""
    async with paired(browser) as (page, box):
        await answered(page, box)
        after_answer = await box.hear("prepare")
        await page.reload()
        await box.hear("auth")
        after_reload = await box.hear("prepare")

        assert after_answer["request"] == after_reload["request"]
        assert after_reload["request"] == {"messages": asked("First?", "Said.")}


async def test_what_is_prepared_is_what_is_asked(browser: str) -> None:
    """Word for word: only then was it of use."""
    async with paired(browser) as (page, box):
        await answered(page, box)
        await box.hear("prepare")
        await page.write("#question", f" {QUESTION}?")
        prepared = await box.hear("prepare")
        await page.tap("#send")

        assert (await box.begin())["request"] == prepared["request"]


async def test_nothing_is_prepared_while_an_answer_is_written(browser: str) -> None:
    """The box has its hands full; what was typed meanwhile is sent when the answer has ended."""
    async with paired(browser) as (page, box):
        await ask(page, "First?")
        await box.begin()
        await box.delta(1, 0, "Said.")
        await page.wait_for(TEXT)
        await let_timers_fire(page, at_once=True)
        await page.write("#question", QUESTION)
        assert "prepare" not in box.kinds
        await box.done(2)

        messages = (await box.hear("prepare"))["request"]["messages"]
        assert messages == asked("First?", "Said.", QUESTION)


async def test_a_box_that_reads_nothing_ahead_troubles_nobody(browser: str) -> None:
    """Too busy, or of a version that does not know: nothing is shown, and asking works."""
    async with paired(browser) as (page, box):
        await page.write("#question", QUESTION)
        prepare = await box.hear("prepare")
        await box.say("error", id=prepare["id"], code="busy", message="No time.")
        await page.tap("#send")
        await box.begin()
        await box.say("prepared", id=prepare["id"], prompt_tokens=9, cached_tokens=9)
        await box.delta(1, 0, "Because.")
        await box.done(2)
        await page.wait_for(READY)

        assert await page.evaluate("document.querySelector('#notice').hidden")
        assert await page.evaluate(TEXT) == "Because."


async def test_what_no_frame_can_hold_is_not_prepared(browser: str) -> None:
    """The box would hang up over it, before anything was asked; asking leaves old turns out."""
    async with paired(browser) as (page, box):
        # Typed and sent in one go: with a pause in between it would be prepared, and has room.
        await page.evaluate(
            "{ const field = document.querySelector('#question'); field.value = 'ü'.repeat(60_000);"
            " field.dispatchEvent(new Event('input', {bubbles: true}));"
            " document.querySelector('#send').click(); }"
        )
        await answer(page, box)
        await box.hear("prepare")
        await let_timers_fire(page, at_once=True)
        await page.write("#question", "ü" * 60_000)
        await page.tap("#send")
        await box.hear("generate")

        assert box.kinds.count("prepare") == 1


def without(name: str) -> dict[str, Any]:
    """A turn of a version whose answers had less."""
    return TURN | {"answer": {key: value for key, value in ANSWER.items() if key != name}}


@pytest.mark.parametrize(
    ("stored", "shown", "damaged"),
    [
        ([TURN], 1, False),
        ([without("points"), without("trimmed")], 2, False),
        ([TURN | {"answer": ANSWER | {"points": None}}], 1, False),
        ({"version": 2, "turns": [TURN, TURN]}, 2, False),
        ({"version": 2, "turns": [TURN, TURN | {"answer": ANSWER | {"answer": 5}}]}, 1, True),
        ({"version": 2, "turns": [TURN | {"question": None}, None, 5]}, 0, True),
        ({"version": 2, "turns": [TURN | {"answer": ANSWER | {"status": "lost"}}]}, 0, True),
        ({"version": 2}, 0, True),
        ({"version": 3, "turns": [TURN]}, 0, True),
        (None, 0, True),
        ("text", 0, True),
        ("{cut off", 0, True),
    ],
)
async def test_an_earlier_or_damaged_chat_does_not_stop_the_page(
    browser: str, stored: object, shown: int, damaged: bool
) -> None:
    """Whole turns are shown and go on; what was damaged is still there."""
    text = stored if stored == "{cut off" else json.dumps(stored)
    assert isinstance(text, str)
    async with paired(browser, text) as (page, box):
        await page.wait_for(f"document.querySelector('#turns').childElementCount === {shown}")
        kept = await page.evaluate(f"localStorage.getItem('{CHAT}.damaged')")
        assert kept == (text if damaged else None)

        await ask(page, "And then?")
        question = await box.hear("generate")

        said = question["request"]["messages"] if "request" in question else question["messages"]
        assert [message["content"] for message in said] == [
            *["Why?", "Because \U0001f642."] * shown,
            "And then?",
        ]
        now = json.loads(await page.evaluate(f"localStorage.getItem('{CHAT}-2')"))
        assert now["version"] == 2
        assert len(now["turns"]) == shown + 1
