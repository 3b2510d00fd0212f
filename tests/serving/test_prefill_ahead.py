"""What a phone is about to ask is read ahead once, as it last was, and for nobody's account."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

from inglenook.common.errors import Code
from inglenook.engine.events import JobRefused, Refusal
from inglenook.engine.interface import EnginePhase
from inglenook.engine.orders import ChatMessage, Prefill
from inglenook.serving.prefill_ahead import PACE_S, PendingPrefill, SpeculativePrefill
from tests.fakes.engine import PROMPT_TOKENS, FakeEngine


class Clock:
    """Goes when it is told to."""

    def __init__(self) -> None:
        self._now = 0.0
        self._due: list[tuple[float, Callable[[], None]]] = []

    def call_later(self, delay: float, callback: Callable[[], None], /) -> None:
        self._due.append((self._now + delay, callback))

    def go_on(self, seconds: float) -> None:
        self._now += seconds
        due = [callback for at, callback in self._due if at <= self._now]
        self._due = [(at, callback) for at, callback in self._due if at > self._now]
        for callback in due:
            callback()


class Typing:
    """Phones whose owners type, and the engine that reads along."""

    def __init__(self, devices_max: int = 4, *, phase: EnginePhase = EnginePhase.READY) -> None:
        self.engine = FakeEngine()
        self.engine.tell(phase)
        self.over: list[PendingPrefill] = []
        self.clock = Clock()
        self.ahead = SpeculativePrefill(self.engine, itertools.count(1), lambda: self.clock)
        self.ahead.allow(devices_max)

    def types(self, device_id: str, text: str = "Why") -> PendingPrefill:
        preparations: list[PendingPrefill] = []
        order = Prefill(0, (ChatMessage("user", text),))
        tell = lambda: self.over.extend(preparations)  # noqa: E731
        preparations.append(self.ahead.take(device_id, order, tell))
        return preparations[0]

    def is_ready(self) -> None:
        """The engine has its model."""
        self.engine.tell(EnginePhase.READY)
        self.ahead.allow(4)

    @property
    def texts(self) -> list[str]:
        """What the engine was ever told to read."""
        return [prepare.messages[-1].content for prepare in self.engine.prepares]


def test_what_is_typed_is_read_and_its_phone_hears_how_far() -> None:
    """Under a number of its own, once."""
    typing = Typing()
    preparation = typing.types("ada")
    [job] = typing.engine.reading
    assert not preparation.over
    typing.engine.have_read(job, tokens=7)

    assert preparation.over
    assert (preparation.prompt_tokens, preparation.cached_tokens) == (PROMPT_TOKENS, 7)
    assert typing.over == [preparation]
    assert typing.ahead.devices == []
    assert preparation.order.messages == ()


def test_a_newer_one_ends_the_older_which_keeps_what_it_has() -> None:
    """The engine has one of a device at a time."""
    typing = Typing()
    older, newer = typing.types("ada", "Wh"), typing.types("ada", "Why")
    assert typing.texts == ["Wh"]
    assert typing.engine.cancels == [older.order.job]
    typing.engine.step()
    typing.clock.go_on(PACE_S)

    assert older.over
    assert older.cached_tokens == PROMPT_TOKENS // 2
    assert typing.texts == ["Wh", "Why"]
    assert not newer.over


def test_a_thousand_newer_ones_cost_the_engine_two_orders_and_one_cancel() -> None:
    """All between are over at once, with nothing read; the last is the one that is read."""
    typing = Typing()
    typed = [typing.types("ada", str(number)) for number in range(1000)]
    assert all(preparation.over for preparation in typed[1:-1])
    assert len(typing.engine.cancels) == 1
    typing.engine.step()
    typing.clock.go_on(PACE_S)

    assert typing.texts == ["0", "999"]
    assert {preparation.cached_tokens for preparation in typed[1:-1]} == {0}
    assert typing.over == [*typed[1:-1], typed[0]]


def test_however_often_a_device_sends_its_latest_is_read_at_a_steady_pace() -> None:
    """Also where each is over at once, as what is too long is; another device need not wait."""
    typing = Typing()
    texts = [str(number) for number in range(31)]
    for text in texts:
        preparation = typing.types("ada", text)
        if preparation.order.job:
            preparation.refused(JobRefused(0, Refusal.CONTEXT_TOO_LONG, 5000, 4096))
        typing.clock.go_on(PACE_S / 10)
        for job in list(typing.engine.reading):
            typing.engine.have_read(job, tokens=0)
    typing.types("ben", "Why")

    assert typing.texts == ["0", "9", "19", "29", "Why"]


def test_devices_do_not_disturb_each_other() -> None:
    """Each has its own."""
    typing = Typing()
    own, others = typing.types("ada"), typing.types("ben")
    typing.ahead.stop(own)
    typing.engine.step()

    assert own.over
    assert not others.over
    assert typing.ahead.devices == ["ben"]


def test_there_is_room_for_so_many_devices_and_for_what_follows_of_theirs() -> None:
    """A newer one of the same device takes no more room."""
    typing = Typing(devices_max=2)
    assert typing.ahead.may_take("ada")
    for device_id in ("ada", "ben"):
        typing.types(device_id)

    assert [typing.ahead.may_take(device_id) for device_id in ("ada", "ben", "cy")] == [
        True,
        True,
        False,
    ]


def test_less_room_ends_the_newest_and_more_room_brings_nothing_back() -> None:
    """Who began first has the most to lose."""
    typing = Typing()
    typed = [typing.types(device_id) for device_id in ("ada", "ben", "cy")]
    typing.ahead.allow(1)
    typing.ahead.allow(1)
    typing.engine.step()

    assert [preparation.over for preparation in typed] == [False, True, True]
    assert len(typing.engine.cancels) == 2
    typing.ahead.allow(4)
    assert typing.ahead.devices == ["ada"]
    assert len(typing.engine.prepares) == 3


def test_one_that_ends_slowly_keeps_its_place_until_it_has_ended() -> None:
    """The engine never has more at once than were allowed."""
    typing = Typing(devices_max=1)
    typing.ahead.stop(typing.types("ada"))
    assert typing.ahead.may_take("ben")
    typing.types("ben")
    assert len(typing.engine.reading) == 1
    typing.engine.step()

    assert typing.texts == ["Why", "Why"]
    assert len(typing.engine.reading) == 1


@pytest.mark.parametrize("act", ["stop", "asked", "forget"])
def test_what_ends_it_ends_what_waits_behind_it_as_well(act: str) -> None:
    """Once, however often it is said."""
    typing = Typing()
    older, newer = typing.types("ada", "Wh"), typing.types("ada", "Why")
    for _twice in range(2):
        if act == "stop":
            typing.ahead.stop(newer)
        elif act == "asked":
            typing.ahead.asked("ada")
        else:
            typing.ahead.forget("ada")
    typing.engine.step()

    assert older.over
    assert newer.over
    assert typing.over == [newer, older]
    assert typing.engine.cancels == [older.order.job]
    assert typing.texts == ["Wh"]


def test_while_the_model_loads_the_latest_of_each_device_is_kept() -> None:
    """The box wakes to them."""
    typing = Typing(phase=EnginePhase.LOADING)
    older, newer = typing.types("ada", "Wh"), typing.types("ada", "Why")
    typing.types("ben", "Who")
    assert older.over
    assert not newer.over
    assert typing.texts == []
    typing.is_ready()

    assert typing.texts == ["Why", "Who"]


def test_what_cannot_be_a_prompt_says_why() -> None:
    """As its question would."""
    typing = Typing()
    preparation = typing.types("ada")
    preparation.refused(JobRefused(1, Refusal.CONTEXT_TOO_LONG, 5000, 4096))

    assert preparation.over
    assert preparation.problem is not None
    assert preparation.problem.code is Code.CONTEXT_TOO_LONG


def test_after_an_engine_died_over_it_nothing_more_is_read_before_the_question() -> None:
    """Whoever types what an engine cannot bear must not end it at every word."""
    typing = Typing()
    preparation = typing.types("ada")
    typing.engine.die()
    typing.is_ready()
    assert preparation.over
    assert not typing.ahead.may_take("ada")
    assert typing.ahead.may_take("ben")
    typing.ahead.asked("ada")

    assert typing.ahead.may_take("ada")


def test_an_engine_that_was_killed_did_not_die_of_it() -> None:
    """The kernel was short of memory, or somebody restarted it."""
    typing = Typing()
    preparation = typing.types("ada")
    typing.engine.die(killed=True)
    typing.is_ready()

    assert preparation.over
    assert typing.ahead.may_take("ada")


def test_what_was_read_for_when_the_model_was_unloaded_is_over() -> None:
    """It may be sent again, and is read when the model is back."""
    typing = Typing()
    preparation = typing.types("ada")
    typing.engine.unload()

    assert preparation.over
    assert preparation.problem is None
    assert typing.ahead.may_take("ada")


@pytest.mark.parametrize("ending", ["step", "death"])
def test_what_ends_after_its_device_was_forgotten_is_not_kept(ending: str) -> None:
    """The engine keeps what it has read when it ends, so it has to be told after that."""
    typing = Typing()
    typing.types("ada")
    typing.ahead.forget("ada")
    assert typing.engine.purges == 0
    if ending == "step":
        typing.engine.step()
    else:
        typing.engine.die()

    assert typing.engine.purges == 1
