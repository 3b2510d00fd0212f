"""A conversation keeps the time at which it began, whatever the clock does."""

from __future__ import annotations

import hashlib

import msgspec
from msgspec.structs import replace

from inglenook.engine.orders import ChatMessage
from inglenook.serving import conversation_dates as dates_module
from inglenook.serving.conversation_dates import ConversationDates, StartTime

HOUR_S, DAY_S = 3600.0, 86400.0

SYSTEM = ChatMessage("system", "Be brief.")
HI, MORE = ChatMessage("user", "Hi"), ChatMessage("user", "And?")
HELLO, HOWDY = ChatMessage("assistant", "Hello."), ChatMessage("assistant", "Howdy.")

#: Five minutes before midnight, and after it.
EVENING = StartTime(1.8e9, 1000.0, "A")
NIGHT = StartTime(1.8e9 + 600.0, 1600.0, "A")
NEXT_DAY = StartTime(1.8e9 + DAY_S, 1000.0 + DAY_S, "A")


def test_a_conversation_keeps_its_time() -> None:
    """In all its turns, and in what is typed between them."""
    dates = ConversationDates()
    assert dates.began([SYSTEM, HI], EVENING) == EVENING.wall_s
    assert dates.began([SYSTEM, HI, HELLO, MORE], NIGHT, typing=True) == EVENING.wall_s
    assert dates.began([SYSTEM, HI, HELLO, MORE], NIGHT) == EVENING.wall_s
    assert dates.began([SYSTEM, HI, HELLO, MORE, HOWDY, HI], NEXT_DAY) == EVENING.wall_s


def test_a_new_one_begins_now_though_it_begins_alike() -> None:
    """And the old one keeps its time: it was answered otherwise."""
    dates = ConversationDates()
    dates.began([HI], EVENING)
    dates.began([HI, HELLO, MORE], EVENING)

    assert dates.began([HI], NEXT_DAY) == NEXT_DAY.wall_s
    assert dates.began([HI, HOWDY, MORE], NEXT_DAY) == NEXT_DAY.wall_s
    assert dates.began([HI, HELLO, MORE, HELLO, HI], NEXT_DAY) == EVENING.wall_s


def test_what_is_typed_first_is_not_kept() -> None:
    """Each letter would be a beginning; and one that is asked tomorrow begins tomorrow."""
    dates = ConversationDates()
    assert dates.began([ChatMessage("user", "H")], EVENING, typing=True) == EVENING.wall_s
    assert len(dates) == 0
    assert dates.began([ChatMessage("user", "H")], NIGHT) == NIGHT.wall_s


def test_one_that_nobody_knows_begins_when_it_is_first_seen() -> None:
    """As after a purge, or of a client that brings a conversation from elsewhere."""
    dates = ConversationDates()
    assert dates.began([HI, HELLO, MORE], EVENING) == EVENING.wall_s
    assert dates.began([HI, HELLO, MORE, HOWDY, HI], NIGHT) == EVENING.wall_s


def test_an_answer_comes_first_in_some() -> None:
    """What counts is the first question, and the answer to that."""
    dates = ConversationDates()
    dates.began([HELLO, HI], EVENING)
    assert dates.began([HELLO, HI, HOWDY, MORE], NIGHT) == EVENING.wall_s
    assert dates.began([HOWDY, HI], NIGHT) == NIGHT.wall_s


def test_a_clock_that_was_wrong_is_made_up_for() -> None:
    """A board without a battery begins with a wrong date; it is an hour later when NTP answers."""
    dates = ConversationDates()
    wrong = StartTime(1.0e9, 100.0, "A")
    dates.began([HI], wrong)
    right = StartTime(1.8e9, 100.0 + HOUR_S, "A")

    assert dates.began([HI, HELLO, MORE], right) == right.wall_s - HOUR_S


def test_a_clock_that_goes_a_little_wrong_changes_nothing() -> None:
    """Or a conversation at midnight had now the one date and now the other."""
    dates = ConversationDates()
    dates.began([HI], EVENING)
    slow = StartTime(EVENING.wall_s + HOUR_S + 2.0, EVENING.boottime_s + HOUR_S, "A")

    assert dates.began([HI, HELLO, MORE], slow) == EVENING.wall_s


def test_a_clock_that_is_wrong_after_a_restart_says_nothing_of_what_was() -> None:
    """What was right before the board was started again stays so."""
    dates = ConversationDates()
    dates.began([HI], EVENING)
    wrong = StartTime(1.0e9, 20.0, "B")

    assert dates.began([HI, HELLO, MORE], wrong) == EVENING.wall_s


def test_they_outlast_a_life() -> None:
    """Those of this life count, if both know one; the latest used are kept."""
    before, dates = ConversationDates(), ConversationDates()
    before.began([HI], EVENING)
    before.began([SYSTEM, HI], EVENING)
    dates.began([HI], NIGHT)
    dates.add(before.kept())

    assert len(dates) == 2
    assert dates.began([HI, HELLO, MORE], NEXT_DAY) == NIGHT.wall_s
    assert dates.began([SYSTEM, HI, HELLO, MORE], NEXT_DAY) == EVENING.wall_s
    dates.forget()
    assert dates.kept() == []


def test_there_is_a_bound() -> None:
    """What was not used for longest goes; a script's questions cost no conversation its date."""
    dates = ConversationDates()
    dates.began([HI], EVENING)
    dates.began([HI, HELLO, MORE], EVENING)
    for number in range(2 * dates_module._KEPT):
        dates.began([ChatMessage("user", f"{number}")], NIGHT)

    assert len(dates) == len(dates.kept()) == dates_module._KEPT + 1
    assert dates.began([HI, HELLO, MORE], NEXT_DAY) == EVENING.wall_s
    assert dates.began([HI, HOWDY, MORE], NEXT_DAY) == NEXT_DAY.wall_s


def test_conversations_have_a_bound_too() -> None:
    """One that is gone on with stays."""
    dates = ConversationDates()
    for number in range(2 * dates_module._KEPT):
        dates.began([HI, HELLO, MORE], EVENING)
        dates.began([HI, ChatMessage("assistant", f"{number}"), MORE], NIGHT)

    assert len(dates) == dates_module._KEPT
    assert dates.began([HI, HELLO, MORE], NEXT_DAY) == EVENING.wall_s


def test_beginnings_that_were_stored_before_messages_had_tools_are_found() -> None:
    """Their digest is that of roles and texts alone."""
    plain = msgspec.msgpack.encode([["system", "Be brief."], ["user", "Hi"]])
    stored = hashlib.blake2b(plain, digest_size=len(dates_module._digest([HI]))).digest()
    called = replace(HI, tool_call_id="c1")

    assert dates_module._digest([SYSTEM, HI]) == stored
    assert dates_module._digest([SYSTEM, called]) != stored
