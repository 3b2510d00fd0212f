"""A streamed answer in a terminal: its text on stdout, everything else on stderr."""

from __future__ import annotations

import os
import shutil
import sys
from typing import Any

from inglenook.cli.terminal.word_wrap import WordWrap, printable

_DIM, _PLAIN = "\x1b[2m", "\x1b[0m"

#: Printed after an answer that was cut off, by its ``finish_reason``.
_CUT_SHORT = {
    "length": "(the answer was cut off at the length limit)",
    "repetition": "(stopped: the answer only repeated itself; asking in other words often helps)",
}


class AnswerView:
    """Prints the messages of one answer, and holds its text."""

    def __init__(self) -> None:
        self.answer = ""
        self.done: dict[str, Any] = {}
        self._channel = ""
        # Pipes and files get the text unwrapped.
        self._wrap = WordWrap(_columns)
        self._wraps = sys.stdout.isatty()
        self._thinks_aloud = sys.stderr.isatty()
        dims = self._thinks_aloud and os.environ.get("TERM") != "dumb"
        self._dim, self._plain = (_DIM, _PLAIN) if dims else ("", "")

    def show(self, message: dict[str, Any]) -> None:
        """Take a ``response.*`` message."""
        match message["type"]:
            case "response.queued":
                waiting = f"{message['position']} in line, about {message['eta_s']:.0f} s"
                print(waiting, file=sys.stderr)
            case "response.delta" if message["channel"] == "answer":
                self.answer += message["text"]
                self._switch("answer")
                text = message["text"]
                print(self._wrap.feed(text) if self._wraps else text, end="", flush=True)
            case "response.delta" if self._thinks_aloud:
                self._switch(message["channel"])
                self._dimmed(self._wrap.feed(message["text"]))
            case "response.rewound":
                self.answer = self.answer[: message["offsets"]["answer"]]
                self._switch("")
                print("(the box lost power; its last words are sent again)", file=sys.stderr)
            case "response.done":
                self.done = message
                self.end()
                if message["error"] is not None:
                    print(printable(message["error"]["message"]), file=sys.stderr)
                elif (reason := message.get("finish_reason")) in _CUT_SHORT:
                    print(_CUT_SHORT[reason], file=sys.stderr)
            case _:
                # A pipe does not get thoughts; other messages have nothing to print.
                pass

    def pause(self) -> None:
        """Print the incomplete word: no text has arrived for a while."""
        if self._channel == "thinking":
            self._dimmed(self._wrap.pause())
        elif self._wraps:
            print(self._wrap.pause(), end="", flush=True)

    def end(self) -> None:
        """End the current line, unless it is empty; a pipe or file always gets a line feed."""
        self._switch("")
        if not self._wraps:
            print(flush=True)

    def _switch(self, channel: str) -> None:
        """Begin a new line for text of another channel."""
        if channel == self._channel:
            return
        if self._channel == "thinking":
            self._dimmed(self._wrap.finish())
            self._begin_line(sys.stderr)
        elif self._channel == "answer" and self._wraps:
            print(self._wrap.finish(), end="", flush=True)
            self._begin_line(sys.stdout)
        self._channel = channel

    def _begin_line(self, stream: Any) -> None:
        if not self._wrap.at_line_start:
            print(file=stream, flush=True)
        self._wrap = WordWrap(_columns)

    def _dimmed(self, text: str) -> None:
        if text:
            print(f"{self._dim}{text}{self._plain}", end="", file=sys.stderr, flush=True)


def _columns() -> int:
    return shutil.get_terminal_size().columns
