"""``inglenook chat``: talk to a box from a terminal."""

from __future__ import annotations

import argparse
import contextlib
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import wait
from typing import Any

from inglenook.cli.chat.answer_view import AnswerView
from inglenook.cli.chat.commands import After, run_command
from inglenook.cli.chat.conversation import Conversation, Message
from inglenook.cli.connect import box_choice, open_connection
from inglenook.cli.terminal.interrupts import Interrupts
from inglenook.cli.terminal.loop_thread import LoopThread
from inglenook.cli.terminal.output import note
from inglenook.cli.terminal.terminal import Terminal, read_secret
from inglenook.cli.terminal.word_wrap import printable
from inglenook.client.connection import BoxConnection
from inglenook.common.errors import Code, InglenookError, Problem

#: Limit of cancelling and closing at the end, seconds.
_GOODBYE_S = 3.0

#: An incomplete word is printed after this time. Words take less. Seconds.
_PAUSE_S = 0.5

#: What a shell reports for a program ended by Ctrl-C.
_INTERRUPTED = 128 + signal.SIGINT


def chat(args: argparse.Namespace) -> int:
    """Find a box, pair if necessary, and answer questions until end of input."""
    choice = box_choice(args, read_secret(args.token, "Token"))
    with contextlib.ExitStack() as held:
        terminal = held.enter_context(Terminal()) if sys.stdin.isatty() else None
        loop = held.enter_context(LoopThread())
        connection, greeting = open_connection(choice, loop, lambda: _code(terminal))
        held.callback(_hang_up, connection, loop)
        interrupts = held.enter_context(Interrupts(loop))
        talk = Talk(connection, loop, interrupts, terminal)
        if terminal is None:
            return talk.answer_pipe()
        model = printable(greeting["state"].get("model") or "the box")
        note(f"Talking to {model}. /help lists commands; Ctrl-C stops an answer, Ctrl-D ends.")
        return talk.answer_person(terminal)


class Talk:
    """Questions and answers over one connection."""

    def __init__(
        self,
        connection: BoxConnection,
        loop: LoopThread,
        interrupts: Interrupts,
        terminal: Terminal | None,
    ) -> None:
        self._connection = connection
        self._loop = loop
        self._interrupts = interrupts
        self._terminal = terminal
        self._conversation = Conversation()

    def answer_pipe(self) -> int:
        """Send the whole of stdin as one question; returns the exit code."""
        with self._interrupts.asking():
            question = sys.stdin.buffer.read().decode(errors="replace").strip()
        return self._answer(question) if question else 0

    def answer_person(self, terminal: Terminal) -> int:
        """Send each typed line as a question, until end of input; returns the exit code."""
        code = 0
        for line in _lines(terminal, self._interrupts):
            after, text = run_command(line, self._conversation)
            if after is After.QUIT:
                break
            if after is After.NEXT_LINE:
                note(text)
                continue
            with terminal.holding_keys():
                code = self._answer(text)
                if code == 0:
                    # The next prompt has no thoughts, so it is new to the box: prefill it now.
                    self._loop.call(self._connection.prepare(self._conversation.messages))
        return code

    def _answer(self, question: str) -> int:
        """Send a question and print its answer; returns the exit code if it is the last one."""
        view = AnswerView()
        asked = self._conversation.asking(question)
        try:
            with self._interrupts.answering(lambda: self._loop.start(self._connection.cancel())):
                self._follow(asked, view)
        except InglenookError as exc:
            view.end()
            note(printable(exc.text if isinstance(exc, Problem) else str(exc)))
            self._advise(exc.code if isinstance(exc, Problem) else None)
            return 1
        except BaseException:
            # Else the box would go on generating for a while.
            with contextlib.suppress(Exception):
                self._loop.call(self._connection.cancel(), _GOODBYE_S)
            raise
        self._conversation.answered(asked, view.answer)
        self._advise((view.done["error"] or {}).get("code"))
        if view.done["status"] == "cancelled" and self._terminal is None:
            return _INTERRUPTED
        return 1 if view.done["status"] == "failed" else 0

    def _follow(self, asked: list[Message], view: AnswerView) -> None:
        answer = self._connection.ask(asked)
        while True:
            coming = self._loop.start(_next(answer))
            if wait([coming], _PAUSE_S).not_done:
                view.pause()
            message = coming.result()
            if message is None:
                return
            view.show(message)

    def _advise(self, code: str | None) -> None:
        """Print the remedy if the conversation is too long for the model."""
        if code != Code.CONTEXT_TOO_LONG or self._terminal is None:
            return
        if self._conversation.messages:
            note("The question is left out again; /new starts anew.")
        else:
            note("Ask something shorter.")


def _lines(terminal: Terminal, interrupts: Interrupts) -> Iterator[str]:
    """Typed lines, until end of input or Ctrl-C twice in a row."""
    interrupted = False
    while True:
        try:
            with interrupts.asking():
                line = terminal.ask("> ")
        except KeyboardInterrupt:
            print(file=sys.stderr)
            if interrupted:
                raise
            interrupted = True
            note("Ctrl-C again ends this, and so does Ctrl-D.")
            continue
        interrupted = False
        if line is None:
            print(file=sys.stderr)
            return
        if line:
            yield line


def _code(terminal: Terminal | None) -> str | None:
    return None if terminal is None else terminal.ask("Code: ", recall=False)


async def _next(answer: AsyncIterator[dict[str, Any]]) -> dict[str, Any] | None:
    return await anext(answer, None)


def _hang_up(connection: BoxConnection, loop: LoopThread) -> None:
    with contextlib.suppress(Exception):
        loop.call(connection.close(), _GOODBYE_S)
