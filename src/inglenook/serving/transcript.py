"""Text of one answer, gathered from its engines until its readers are shown it. Kind: rules."""

from __future__ import annotations

from inglenook.chat.thinking import Channel
from inglenook.serving.response import Response
from inglenook.serving.response_parts import TextPiece


class Transcript:
    """New text of a response; what an engine tells again is left out."""

    def __init__(self, response: Response) -> None:
        """Go on after the text that ``response`` has."""
        self._response = response
        self._parts: list[tuple[Channel, str]] = []
        # Code points of each channel that were passed on; how many of them are to come again.
        self._told = {channel: response.length(channel) for channel in Channel}
        self._known = dict(self._told)

    def __bool__(self) -> bool:
        return bool(self._parts)

    def begin_again(self) -> None:
        """The next engine tells all text again, from the first character."""
        self._known = dict(self._told)

    def append(self, answer: str, thinking: str) -> bool:
        """Take what an engine has told; says whether any of it is new."""
        news = False
        for channel, text in ((Channel.THINKING, thinking), (Channel.ANSWER, answer)):
            again = min(self._known[channel], len(text))
            self._known[channel] -= again
            new = text[again:]
            if not new:
                continue
            news = True
            self._told[channel] += len(new)
            if self._parts and self._parts[-1][0] is channel:
                self._parts[-1] = (channel, self._parts[-1][1] + new)
            else:
                self._parts.append((channel, new))
        return news

    def take(self) -> list[TextPiece]:
        """What was gathered, as the next entries of the response."""
        pieces = []
        seq = self._response.next_seq
        lengths = {channel: self._response.length(channel) for channel in Channel}
        for channel, text in self._parts:
            pieces.append(TextPiece(seq, channel, lengths[channel], text))
            lengths[channel] += len(text)
            seq += 1
        self._parts = []
        return pieces
