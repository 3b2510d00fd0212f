from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inglenook.serving.queue import FairQueue

COST = 100.0


def drain(queue: FairQueue[str], cost: float = COST) -> list[str]:
    """Take everything, one after the other."""
    taken = []
    while (item := queue.take(cost)) is not None:
        taken.append(item)
    return taken


def jain(shares: list[float]) -> float:
    """Jain's fairness index: 1 when all are equal, 1/n when one has everything."""
    return sum(shares) ** 2 / (len(shares) * sum(share**2 for share in shares))


def test_one_device_is_served_in_the_order_it_asked() -> None:
    """A line is first in, first out."""
    queue: FairQueue[str] = FairQueue()
    for item in "abc":
        queue.put("ada", item)

    assert drain(queue) == ["a", "b", "c"]


def test_a_device_with_twenty_requests_does_not_delay_anothers_first() -> None:
    """Each of three newcomers goes before the big one's next."""
    queue: FairQueue[str] = FairQueue()
    for number in range(20):
        queue.put("big", f"big{number}")
    assert queue.take(COST) == "big0"
    for name in ("ada", "ben", "cy"):
        queue.put(name, name)

    assert drain(queue)[:4] == ["ada", "ben", "cy", "big1"]


def test_a_device_that_was_away_gets_no_credit_for_it() -> None:
    """It begins where the others are, and does not catch up on the hours it did not ask."""
    queue: FairQueue[str] = FairQueue()
    for number in range(10):
        queue.put("ada", f"a{number}")
    for _ in range(5):
        queue.take(COST)
    for number in range(3):
        queue.put("ben", f"b{number}")

    order = drain(queue)
    assert order[:6] == ["b0", "a5", "b1", "a6", "b2", "a7"]


def test_a_device_pays_for_long_answers_with_its_next_turn() -> None:
    """What counts is tokens, not questions."""
    queue: FairQueue[str] = FairQueue()
    for number in range(4):
        queue.put("long", f"long{number}")
        queue.put("short", f"short{number}")
    assert queue.take(COST) == "long0"
    queue.clock.charge("long", 300.0 - COST)

    assert drain(queue)[:4] == ["short0", "short1", "short2", "long1"]


def test_a_device_of_twice_the_weight_gets_twice_the_turns() -> None:
    """Over a long run, and spread out rather than in one go."""
    queue: FairQueue[str] = FairQueue()
    for _ in range(40):
        queue.put("admin", "admin", weight=2.0)
        queue.put("guest", "guest")

    first = [queue.take(COST) for _ in range(30)]
    assert Counter(first) == {"admin": 20, "guest": 10}
    assert all("guest" in first[at : at + 3] for at in range(0, 30, 3))


def test_in_order_tells_the_order_in_which_take_will_take() -> None:
    """The position a phone is told is the one it has, as far as anybody knows."""
    queue: FairQueue[str] = FairQueue()
    for device, count in (("ada", 5), ("ben", 1), ("cy", 3)):
        for number in range(count):
            queue.put(device, f"{device}{number}", weight=2.0 if device == "cy" else 1.0)

    foretold = list(queue.in_order(COST))
    assert foretold == drain(queue)


def test_an_item_can_be_taken_out_from_the_middle() -> None:
    """The rest keeps its order; what is not there is not taken out."""
    queue: FairQueue[str] = FairQueue()
    for item in "abc":
        queue.put("ada", item)

    assert queue.remove("ada", "b")
    assert not queue.remove("ada", "b")
    assert not queue.remove("nobody", "a")
    assert drain(queue) == ["a", "c"]
    assert not queue.remove("ada", "a")


def test_an_item_put_back_is_its_devices_next_and_is_not_given_credit() -> None:
    """It goes on where it was; the service it had stays charged."""
    queue: FairQueue[str] = FairQueue()
    for item in "ab":
        queue.put("ada", item)
    queue.put("ben", "x")
    assert queue.take(COST) == "a"
    queue.put_back("ada", "a", age=ord)

    assert drain(queue) == ["x", "a", "b"]


def test_items_put_back_in_any_order_go_on_in_the_order_of_their_age() -> None:
    """Several of one device that stand aside together may come back as they please."""
    queue: FairQueue[str] = FairQueue()
    for item in "abcd":
        queue.put("ada", item)
    for item in "abc":
        assert queue.take(COST) == item
    for item in "bca":
        queue.put_back("ada", item, age=ord)

    assert drain(queue) == ["a", "b", "c", "d"]


def test_clear_takes_everything_and_forgets_nobody() -> None:
    """Who had more than others before has to wait after, too."""
    queue: FairQueue[str] = FairQueue()
    queue.put("ada", "a")
    queue.put("ada", "b")
    queue.put("ben", "c")
    assert queue.take(COST) == "a"

    assert sorted(queue.clear()) == ["b", "c"]
    assert len(queue) == 0
    queue.put("ada", "d")
    queue.put("ben", "e")
    assert drain(queue) == ["e", "d"]


def test_an_idle_device_is_forgotten_but_not_one_that_is_ahead_or_being_served() -> None:
    """Or a long answer would be free for whoever asks one at a time."""
    queue: FairQueue[str] = FairQueue()
    queue.put("long", "a")
    queue.take(COST)
    for _ in range(5):
        queue.put("busy", "b")
    for _ in range(5):
        queue.take(COST)
    # The others have passed it by: by its charge in advance alone it would be forgotten.
    queue.clock.forget_idle({"long"})
    queue.clock.charge("long", 900.0)
    queue.clock.forget_idle(())
    queue.put("long", "late")
    queue.put("busy", "first")

    assert drain(queue) == ["first", "late"]


def test_who_is_forgotten_begins_again_where_the_others_are() -> None:
    """Forgetting changes nothing but memory."""
    queue: FairQueue[str] = FairQueue()
    queue.put("ada", "a")
    queue.take(1.0)
    queue.put("ben", "b")
    queue.put("ben", "c")
    queue.take(COST)
    queue.take(COST)
    queue.clock.forget_idle(())

    assert queue.clock.times.keys() == {"ben"}
    queue.clock.charge("ada", 5.0)
    queue.put("ada", "d")
    queue.put("ben", "e")
    assert drain(queue) == ["d", "e"]


@st.composite
def lines(draw: st.DrawFn) -> list[tuple[str, float]]:
    """Who asks, in which order, and how long each answer gets."""
    ask = st.tuples(st.sampled_from("abcd"), st.floats(min_value=1, max_value=1000))
    return draw(st.lists(ask, min_size=1, max_size=60))


@given(lines())
def test_everybody_is_served_once_and_each_in_their_own_order(
    asked: list[tuple[str, float]],
) -> None:
    """Nothing is lost, doubled, or starved, however long the answers turn out."""
    queue: FairQueue[tuple[str, int]] = FairQueue()
    for number, (device_id, _cost) in enumerate(asked):
        queue.put(device_id, (device_id, number))
    assert len(queue) == len(asked)

    served = []
    while (item := queue.take(COST)) is not None:
        served.append(item)
        queue.clock.charge(item[0], asked[item[1]][1] - COST)
    assert sorted(number for _device, number in served) == list(range(len(asked)))
    for device_id in "abcd":
        own = [number for device, number in served if device == device_id]
        assert own == sorted(own)
    assert len(queue) == 0


@given(lines())
def test_while_all_wait_nobody_gets_more_than_one_answer_ahead(
    asked: list[tuple[str, float]],
) -> None:
    """The bound of start-time fair queueing: two that wait differ by the longest answer."""
    queue: FairQueue[int] = FairQueue()
    devices = sorted({device_id for device_id, _cost in asked})
    costs = {device_id: [cost for d, cost in asked if d == device_id] for device_id in devices}
    for device_id in devices:
        for number in range(len(costs[device_id])):
            queue.put(device_id, number)
    got = dict.fromkeys(devices, 0.0)
    longest = max(cost for _device, cost in asked)
    while all(queue.waiting(device_id) for device_id in devices):
        turn = queue.next_device()
        assert turn is not None
        taken = queue.take(COST)
        assert taken is not None
        got[turn] += costs[turn][taken]
        queue.clock.charge(turn, costs[turn][taken] - COST)
        assert max(got.values()) - min(got.values()) <= longest + 1e-6


@pytest.mark.parametrize("slots", [1, 4])
def test_service_over_a_long_run_is_fair(slots: int) -> None:
    """Five devices that always want more, of 20 to 2,000 tokens each: Jain at least 0.95."""
    rng = random.Random(7)
    means = {"a": 20.0, "b": 100.0, "c": 400.0, "d": 1000.0, "e": 2000.0}
    queue: FairQueue[str] = FairQueue()
    for device_id in means:
        for _ in range(3):
            queue.put(device_id, device_id)
    got = dict.fromkeys(means, 0.0)
    guess = COST
    # What is being served: when each ends, in tokens of time.
    serving: list[tuple[float, str, float, float]] = []
    now = 0.0
    for _ in range(5000):
        while len(serving) < slots:
            turn = queue.take(guess)
            assert turn is not None
            tokens = rng.expovariate(1 / means[turn])
            serving.append((now + tokens, turn, tokens, guess))
            queue.put(turn, turn)
        serving.sort()
        now, device_id, tokens, advance = serving.pop(0)
        queue.clock.charge(device_id, tokens - advance)
        queue.clock.forget_idle({*queue.devices, *(device for _end, device, *_costs in serving)})
        got[device_id] += tokens
        guess += 0.2 * (tokens - guess)

    assert jain(list(got.values())) >= 0.95, got
