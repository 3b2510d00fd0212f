"""What time it is in a conversation: that of its first turn. Kind: rules.

Some templates tell the model the date, at the head of the prompt. If that changed at midnight,
all that was read of a conversation would be worth nothing. So a conversation keeps the time at
which it began. Clients send all of it each time, and it has no name; it is known by its beginning.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from inglenook.engine.orders import ChatMessage

#: Beginnings of each kind that are kept in mind; 60 bytes each on the disk.
_KEPT: Final = 1024

#: Clocks that NTP keeps are corrected by less.
_SET_S: Final = 60.0

_DIGEST_BYTES: Final = 16

_encode = msgspec.msgpack.Encoder().encode


class StartTime(msgspec.Struct, frozen=True, array_like=True):
    """A point in time by two clocks, as `Moment`, which has the rest."""

    wall_s: float
    boottime_s: float
    boot_id: str


class StartTimes(msgspec.Struct, frozen=True, array_like=True):
    """When the conversations began that begin so.

    Attributes:
        beginning: Digest of the first messages.
        answered: The first answer is among them.
    """

    beginning: bytes
    answered: bool
    when: StartTime


class ConversationDates:
    """When conversations began, by their beginnings."""

    def __init__(self) -> None:
        # Apart: many are opened and never continued, as by a script.
        self._opened: OrderedDict[bytes, StartTime] = OrderedDict()
        self._answered: OrderedDict[bytes, StartTime] = OrderedDict()

    def __len__(self) -> int:
        """How many beginnings there are."""
        return len(self._opened) + len(self._answered)

    def began(
        self, messages: Sequence[ChatMessage], now: StartTime, *, typing: bool = False
    ) -> float:
        """When a conversation began, by the clock as it is now, seconds since 1970.

        One that has its first question only begins now, even if the same was asked before.

        Args:
            messages: All of it.
            now: The present.
            typing: Its last message is being typed.
        """
        opened, answered = _beginnings(messages)
        if answered is not None:
            # Two may have been opened alike on different days, but they were answered otherwise.
            then = self._answered.get(answered) or self._opened.get(opened) or now
            _keep(self._answered, answered, then)
            return _wall_s(then, now)
        if not typing:
            _keep(self._opened, opened, now)
        return now.wall_s

    def forget(self) -> None:
        """Know of none any more."""
        self._opened.clear()
        self._answered.clear()

    def kept(self) -> list[StartTimes]:
        """All of them, of each kind the latest used last."""
        return [
            StartTimes(beginning, answered, when)
            for answered, known in ((False, self._opened), (True, self._answered))
            for beginning, when in known.items()
        ]

    def add(self, kept: Iterable[StartTimes]) -> None:
        """Know of these as well; of those that there are already, nothing changes."""
        own = self.kept()
        for each in [*kept, *own]:
            _keep(self._answered if each.answered else self._opened, each.beginning, each.when)


def _keep(known: OrderedDict[bytes, StartTime], beginning: bytes, then: StartTime) -> None:
    known[beginning] = then
    known.move_to_end(beginning)
    while len(known) > _KEPT:
        known.popitem(last=False)


def _wall_s(then: StartTime, now: StartTime) -> float:
    """When that was by the board's clock as it goes now, seconds since 1970.

    It is what the clock said then, unless it was set meanwhile: by NTP after a start, or by hand.
    """
    if then.boot_id and then.boot_id == now.boot_id:
        right_s = now.wall_s - (now.boottime_s - then.boottime_s)
        if abs(right_s - then.wall_s) > _SET_S:
            return right_s
    return then.wall_s


def _beginnings(messages: Sequence[ChatMessage]) -> tuple[bytes, bytes | None]:
    """Digests of all up to the first question, and up to the first answer if there is one."""
    roles = [message.role for message in messages]
    asked = roles.index("user") + 1 if "user" in roles else len(roles)
    opened = _digest(messages[:asked])
    if "assistant" not in roles[asked:]:
        return opened, None
    return opened, _digest(messages[: roles.index("assistant", asked) + 1])


def _digest(messages: Sequence[ChatMessage]) -> bytes:
    # Without tool calls in the form that dates were stored by before messages could have any.
    plain = [m if m.tool_calls or m.tool_call_id else (m.role, m.content) for m in messages]
    return hashlib.blake2b(_encode(plain), digest_size=_DIGEST_BYTES).digest()
