"""A real Chromium, driven over its DevTools protocol as far as our tests need. Kind: hands."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from websockets.asyncio.client import ClientConnection, connect

CHROMIUM = "chromium"
START_S = 40.0
CALL_S = 30.0

# Headless and alone: no sandbox because tests run as root, nothing that phones home.
_FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-port=0",
]

_ANDROID = (
    "Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/140.0.0.0 Mobile Safari/537.36"
)


@dataclass(frozen=True, slots=True)
class Screen:
    """What the page is shown on; sizes in CSS pixels."""

    width: int = 390
    height: int = 844
    scale: float = 2.0
    touch: bool = True
    dark: bool = False


PHONE = Screen()
SMALL_PHONE = Screen(width=320, height=568)
DESKTOP = Screen(width=1280, height=800, scale=1.0, touch=False)


@contextmanager
def run_chromium(profile: Path) -> Iterator[str]:
    """Run one browser with a fresh profile; yields the URL of its DevTools WebSocket.

    The whole process group is killed at the end, whatever happened before.
    """
    process = subprocess.Popen(
        [CHROMIUM, *_FLAGS, f"--user-data-dir={profile}", "about:blank"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield _endpoint(profile / "DevToolsActivePort", process)
    finally:
        family = psutil.Process(process.pid).children(recursive=True)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=START_S)
        for child in family:  # some put themselves into a session of their own
            if child.is_running():
                child.kill()
        psutil.wait_procs(family, timeout=START_S)


def _endpoint(port_file: Path, process: subprocess.Popen[bytes]) -> str:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        lines = port_file.read_text().splitlines() if port_file.exists() else []
        if len(lines) == 2:
            return f"ws://127.0.0.1:{lines[0]}{lines[1]}"
        time.sleep(0.02)
    raise TimeoutError(f"{CHROMIUM} did not open its DevTools port (exit {process.poll()})")


@asynccontextmanager
async def open_page(endpoint: str, screen: Screen = PHONE) -> AsyncIterator[Page]:
    """Open an empty page in a context of its own: no storage is shared with other pages."""
    async with connect(endpoint, max_size=None, ping_interval=None, compression=None) as socket:
        browser = Page(socket, None, screen)
        context = await browser.call("Target.createBrowserContext")
        target = await browser.call(
            "Target.createTarget",
            url="about:blank",
            browserContextId=context["browserContextId"],
        )
        session = await browser.call(
            "Target.attachToTarget", targetId=target["targetId"], flatten=True
        )
        page = Page(socket, session["sessionId"], screen)
        try:
            await page.prepare()
            yield page
        finally:
            await browser.call(
                "Target.disposeBrowserContext", browserContextId=context["browserContextId"]
            )


class Page:
    """One tab. Events are read while a call waits for its answer, so there is no task behind it.

    Attributes:
        complaints: Errors and warnings of the console, uncaught exceptions, broken security rules.
        urls: Every address the page asked for, WebSockets included.
    """

    def __init__(self, socket: ClientConnection, session: str | None, screen: Screen) -> None:
        self.complaints: list[str] = []
        self.urls: list[str] = []
        self._socket = socket
        self._session = session
        self._screen = screen
        self._calls = 0

    async def prepare(self) -> None:
        """Become the screen asked for, and listen to what a page must not do."""
        screen = self._screen
        for domain in ("Page", "Runtime", "Log", "Network"):
            await self.call(f"{domain}.enable")
        await self.call(
            "Emulation.setDeviceMetricsOverride",
            width=screen.width,
            height=screen.height,
            deviceScaleFactor=screen.scale,
            mobile=screen.touch,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if screen.dark else "light"}
        await self.call("Emulation.setEmulatedMedia", features=[scheme])
        if screen.touch:
            await self.call("Emulation.setTouchEmulationEnabled", enabled=True, maxTouchPoints=5)
            await self.call("Emulation.setUserAgentOverride", userAgent=_ANDROID)

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Send one DevTools command and wait for its result.

        Raises:
            CommandError: If the browser refused it.
        """
        self._calls += 1
        message = {"id": self._calls, "method": method, "params": params}
        if self._session is not None:
            message["sessionId"] = self._session
        async with asyncio.timeout(CALL_S):
            await self._socket.send(json.dumps(message))
            while True:
                heard = json.loads(await self._socket.recv())
                if heard.get("sessionId") != self._session:
                    continue
                if heard.get("id") == self._calls:
                    break
                self._note(heard)
        if "error" in heard:
            raise CommandError(f"{method}: {heard['error']['message']}")
        result: dict[str, Any] = heard["result"]
        return result

    async def navigate(self, url: str) -> None:
        """Go to an address; does not wait for the page to load."""
        await self.call("Page.navigate", url=url)

    async def reload(self) -> None:
        """Load the page again, as a person would; returns once the old one is gone."""
        await self.evaluate("window.old = true, null")
        await self.call("Page.reload")
        await self.wait_for("!window.old")

    async def evaluate(self, expression: str) -> Any:
        """Compute a JavaScript expression in the page; promises are awaited.

        Raises:
            CommandError: If it threw, or the page went away meanwhile.
        """
        result = await self.call(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        if "exceptionDetails" in result:
            raise CommandError(f"{expression}: {_thrown(result['exceptionDetails'])}")
        return result["result"].get("value")

    async def wait_for(self, expression: str, deadline_s: float = 30.0) -> Any:
        """Wait until a JavaScript expression is truthy and return its value.

        Raises:
            TimeoutError: With the expression and what the page says instead.
        """
        watch = (
            "new Promise((seen) => { const look = () => { let value = null;"
            f" try {{ value = ({expression}); }} catch {{}}"
            " if (value) { clearInterval(timer); seen(value); } };"
            " const timer = setInterval(look, 15); look(); setTimeout(() => seen(null), 2000); })"
        )
        deadline = time.monotonic() + deadline_s
        while time.monotonic() < deadline:
            try:
                value = await self.evaluate(watch)
            except CommandError:
                continue  # the page was loading
            if value is not None:
                return value
        shown = await self.evaluate("document.body.innerText")
        raise TimeoutError(f"{expression} did not come true; the page says: {shown!r}")

    async def tap(self, selector: str) -> None:
        """Press the middle of an element: with a finger, or the mouse where there is no touch."""
        box = await self.wait_for(
            f"(() => {{ const element = document.querySelector({selector!r});"
            " element.scrollIntoViewIfNeeded(); const box = element.getBoundingClientRect();"
            " return box.width && !element.disabled"
            " && {x: box.x + box.width / 2, y: box.y + box.height / 2}; })()"
        )
        if self._screen.touch:
            await self.call("Input.dispatchTouchEvent", type="touchStart", touchPoints=[box])
            await self.call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
            return
        for kind in ("mousePressed", "mouseReleased"):
            await self.call(
                "Input.dispatchMouseEvent", type=kind, **box, button="left", clickCount=1
            )

    async def write(self, selector: str, text: str) -> None:
        """Put text into a field as a keyboard would, after what is there."""
        await self.tap(selector)
        await self.wait_for(f"document.activeElement === document.querySelector({selector!r})")
        await self.call("Input.insertText", text=text)

    async def press_enter(self, modifiers: int = 0) -> None:
        """Press Enter; ``modifiers`` 8 is Shift."""
        key = {"key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13, "text": "\r"}
        await self.call("Input.dispatchKeyEvent", type="keyDown", modifiers=modifiers, **key)
        await self.call("Input.dispatchKeyEvent", type="keyUp", modifiers=modifiers, **key)

    async def screenshot(self) -> bytes:
        """What is visible now, as PNG."""
        result = await self.call("Page.captureScreenshot", format="png")
        return base64.b64decode(result["data"])

    def _note(self, event: dict[str, Any]) -> None:
        params = event["params"]
        match event["method"]:
            case "Runtime.exceptionThrown":
                self.complaints.append(_thrown(params["exceptionDetails"]))
            case "Runtime.consoleAPICalled" if params["type"] in {"error", "warning", "assert"}:
                said = [str(arg.get("value", arg.get("description"))) for arg in params["args"]]
                self.complaints.append(" ".join(said))
            case "Log.entryAdded" if params["entry"]["level"] in {"error", "warning"}:
                self.complaints.append(params["entry"]["text"])
            case "Network.requestWillBeSent":
                self.urls.append(params["request"]["url"])
            case "Network.webSocketCreated":
                self.urls.append(params["url"])
            case _:
                pass


class CommandError(Exception):
    """The browser refused a command, or an expression threw."""


def _thrown(details: dict[str, Any]) -> str:
    return str(details.get("exception", {}).get("description", details["text"]))
