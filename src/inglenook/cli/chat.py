"""``inglenook chat``: talk to a box from a terminal."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from typing import Any

import aiohttp

from inglenook.auth.allowlist import Allowlist
from inglenook.auth.devices import NAME_CHARACTERS_MAX, Scope
from inglenook.auth.identity import server_id
from inglenook.cli.hello import Hello, who_answers
from inglenook.cli.keyring import Keyring
from inglenook.cli.knownboxes import announced, paired, remember
from inglenook.cli.wire import Wire
from inglenook.config import load_config
from inglenook.discovery.browse import find_boxes
from inglenook.errors import Code, InglenookError, Problem, StartupError

_LOOK_S = 3.0
_ASK_S = 10.0

_DIM, _PLAIN = "\x1b[2m", "\x1b[0m"


def chat(args: argparse.Namespace) -> int:
    """Find a box, pair if need be, and talk until end of input."""
    return asyncio.run(_chat(args))


async def _chat(args: argparse.Namespace) -> int:
    url = _with_scheme(args.url) if args.url else await _find(args)
    wire = Wire(url, args.token or "")
    if args.token:
        hello = await wire.open()
    else:
        wire, hello = await _open_paired(url, args)
    try:
        if sys.stdin.isatty():
            model = hello["state"].get("model") or "the box"
            print(f"Talking to {model}. Ctrl-C stops an answer, Ctrl-D ends.", file=sys.stderr)
        return await _converse(wire)
    finally:
        await wire.close()


def _with_scheme(url: str) -> str:
    return (url if "://" in url else f"http://{url}").rstrip("/")


async def _find(args: argparse.Namespace) -> str:
    """This machine's own box if one runs here, else the first on the network."""
    config = await asyncio.to_thread(load_config, args.config, os.environ)
    local = f"http://127.0.0.1:{config.listen.port}"
    if config.listen.port and await who_answers(local, _ASK_S) is not None:
        return local
    boxes = await find_boxes(_LOOK_S, until=lambda _box: True)
    if not boxes:
        raise StartupError("no box found on this network; name one with --url")
    await asyncio.to_thread(remember, os.environ, map(announced, boxes))
    print(f"found {boxes[0].name} at {boxes[0].url}", file=sys.stderr)
    return boxes[0].url


async def _open_paired(url: str, args: argparse.Namespace) -> tuple[Wire, dict[str, Any]]:
    """Connect with the token kept for that box; get one first if there is none."""
    box = await who_answers(url, _ASK_S)
    if box is None:
        raise StartupError(f"no box answers at {url}")
    keyring = Keyring(os.environ)
    token = await asyncio.to_thread(keyring.get, box.server_id)
    if token is not None:
        try:
            wire = Wire(url, token)
            return wire, await wire.open()
        except Problem as exc:
            print(exc.text, file=sys.stderr)
            await asyncio.to_thread(keyring.drop, box.server_id)
    token = await _pair(url, box, args)
    await asyncio.to_thread(keyring.put, box.server_id, token)
    wire = Wire(url, token)
    return wire, await wire.open()


async def _pair(url: str, box: Hello, args: argparse.Namespace) -> str:
    """Get a token: on the box itself from its device list, elsewhere for a code somebody types."""
    # A host's name may be as long as a device's alone.
    name = f"Terminal on {socket.gethostname()}"[:NAME_CHARACTERS_MAX]
    token = await asyncio.to_thread(_let_oneself_in, box.server_id, name, args)
    if token is not None:
        return token
    if not sys.stdin.isatty():
        text = "this terminal is not paired; give --token, or run `inglenook chat` by hand once"
        raise StartupError(text)
    print("This terminal is not paired yet. On the box, run `inglenook pair`.", file=sys.stderr)
    code = await _type("Code: ") or ""
    body = {"code": code, "device_name": name, "platform": "terminal"}
    timeout = aiohttp.ClientTimeout(total=_ASK_S)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.post(f"{url}/pair", json=body) as answer,
        ):
            result = await answer.json()
    except (aiohttp.ClientError, TimeoutError) as exc:
        raise StartupError(f"the box at {url} went away in the middle of this") from exc
    if "error" in result:
        raise Problem(Code(result["error"]["code"]), result["error"]["message"])
    await asyncio.to_thread(remember, os.environ, [paired(box.name, result)])
    return str(result["token"])


def _let_oneself_in(box_id: str, name: str, args: argparse.Namespace) -> str | None:
    """On the box itself, whoever may write its device list needs no code; None elsewhere."""
    state_dir = load_config(args.config, os.environ).state_dir
    try:
        if not state_dir.is_dir() or server_id(state_dir) != box_id:
            return None
        allowlist = Allowlist(state_dir / "devices.json")
        allowlist.load()
        return allowlist.add(name, (Scope.CHAT,), platform="terminal")[1]
    except (StartupError, OSError):
        return None


async def _converse(wire: Wire) -> int:
    messages: list[dict[str, str]] = []
    ended_well = True
    async for text in _lines():
        messages.append({"role": "user", "content": text})
        try:
            answer, ended_well = await _show_answer(wire, messages)
            messages.append({"role": "assistant", "content": answer})
            if sys.stdin.isatty():
                # Without its thoughts the answer is new to the model, and there is time now.
                await wire.prepare(messages)
        except Problem as exc:
            messages.pop()
            ended_well = False
            print(exc.text, file=sys.stderr)
    return 0 if ended_well else 1


async def _lines() -> AsyncIterator[str]:
    """What the person types, a line a question; or all that is piped in, as one."""
    if not sys.stdin.isatty():
        data = await asyncio.to_thread(sys.stdin.buffer.read)
        text = data.decode(errors="replace").strip()
        if text:
            yield text
        return
    while (text_or_end := await _type("> ")) is not None:
        if text_or_end:
            yield text_or_end
    print(file=sys.stderr)


async def _type(prompt: str) -> str | None:
    """Ask for a line; None at the end of input. Ctrl-C ends the program, unlike with `input`.

    A terminal hands out whole lines, so the read itself does not wait.
    """
    print(prompt, end="", flush=True)
    loop = asyncio.get_running_loop()
    typed = asyncio.Event()
    loop.add_reader(sys.stdin, typed.set)
    try:
        await typed.wait()
    finally:
        loop.remove_reader(sys.stdin)
    line = sys.stdin.readline()
    return line.strip() if line else None


async def _show_answer(wire: Wire, messages: list[dict[str, str]]) -> tuple[str, bool]:
    """Print an answer as it comes; Ctrl-C ends the answer, not the program."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGINT, stop.set)
    answer: list[str] = []
    done: dict[str, Any] = {}
    trouble: InglenookError | None = None
    async with asyncio.TaskGroup() as tasks:
        stopper = tasks.create_task(_cancel_on(stop, wire), name="stopper")
        try:
            async for message in wire.ask(messages):
                _show(message)
                if message["type"] == "response.done":
                    done = message
                elif message["type"] == "response.rewound":
                    answer = ["".join(answer)[: message["offsets"]["answer"]]]
                elif message.get("channel") == "answer":
                    answer.append(message["text"])
        except InglenookError as exc:
            trouble = exc
        finally:
            stopper.cancel()
            loop.remove_signal_handler(signal.SIGINT)
    if trouble is not None:
        raise trouble
    return "".join(answer), done["status"] != "failed"


def _show(message: dict[str, Any]) -> None:
    match message["type"]:
        case "response.queued":
            waiting = f"{message['position']} in line, about {message['eta_s']:.0f} s"
            print(waiting, file=sys.stderr)
        case "response.delta" if message["channel"] == "answer":
            print(message["text"], end="", flush=True)
        case "response.delta" if sys.stderr.isatty():
            thought = f"{_DIM}{message['text']}{_PLAIN}"
            print(thought, end="", file=sys.stderr, flush=True)
        case "response.rewound":
            print("\n(the box lost its power; its last words come again)", file=sys.stderr)
        case "response.done":
            print()
            if message["error"] is not None:
                print(message["error"]["message"], file=sys.stderr)
        case _:
            # What is thought is of no interest to a pipe, and the rest to nobody.
            pass


async def _cancel_on(stop: asyncio.Event, wire: Wire) -> None:
    await stop.wait()
    await wire.cancel()
