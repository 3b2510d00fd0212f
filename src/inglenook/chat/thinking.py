"""Tells what a model thinks from what it answers. Kind: rules."""

from __future__ import annotations

from enum import StrEnum

_OPEN = "<think>"
_CLOSE = "</think>"


class Channel(StrEnum):
    """Which part of a response a piece of text belongs to."""

    ANSWER = "answer"
    THINKING = "thinking"


class ThinkSplitter:
    """Splits a stream of text at ``<think>`` and ``</think>``, wherever its pieces are cut.

    ``<think>`` counts only where models put it, before anything else: further on it may be part of
    an answer about such tags. White space next to the tags belongs to neither part; where there
    are none, an answer begins with the white space it has: without it, a model that begins with a
    space would be told back other words than it wrote, and read them all again.
    """

    def __init__(self, *, thinking: bool) -> None:
        """Say whether the prompt has already opened ``<think>``."""
        self._channel = Channel.THINKING if thinking else Channel.ANSWER
        self._may_open = not thinking
        self._beside_tag = thinking
        self._held = ""

    def push(self, text: str) -> list[tuple[Channel, str]]:
        """Take more text; return what is sure, in order."""
        parts: list[tuple[Channel, str]] = []
        text = self._held + text
        self._held = ""
        while text:
            start = text.lstrip()
            if self._may_open and start.startswith(_OPEN[: len(start)]):
                if len(start) < len(_OPEN):
                    self._held = text
                    break
                self._enter(Channel.THINKING)
                text = start[len(_OPEN) :]
                continue
            if self._beside_tag:
                text = start
            if self._channel is Channel.THINKING and _CLOSE in text:
                thought, text = text.split(_CLOSE, 1)
                _add(parts, self._channel, thought.rstrip())
                self._enter(Channel.ANSWER)
            else:
                self._add_sure(parts, text)
                break
        return parts

    def finish(self) -> list[tuple[Channel, str]]:
        """Return what was held back, now that nothing more comes."""
        parts: list[tuple[Channel, str]] = []
        held = self._held.rstrip() if self._channel is Channel.THINKING else self._held
        _add(parts, self._channel, held)
        self._held = ""
        return parts

    def _enter(self, channel: Channel) -> None:
        self._channel = channel
        self._may_open = False
        self._beside_tag = True

    def _add_sure(self, parts: list[tuple[Channel, str]], text: str) -> None:
        """Add all of ``text`` but an end that may yet turn out to be a tag, or space before one."""
        sure = text
        if self._channel is Channel.THINKING:
            for length in range(min(len(text), len(_CLOSE) - 1), 0, -1):
                if text.endswith(_CLOSE[:length]):
                    sure = text[:-length]
                    break
            sure = sure.rstrip()
        self._held = text[len(sure) :]
        if sure:
            _add(parts, self._channel, sure)
            self._beside_tag = False
            self._may_open = False


def _add(parts: list[tuple[Channel, str]], channel: Channel, text: str) -> None:
    if text:
        parts.append((channel, text))
