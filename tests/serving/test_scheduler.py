"""Who goes to the engine, who stands aside, and what is left for reading ahead."""

from __future__ import annotations

import itertools

import pytest

from inglenook.common.errors import Code, Problem
from inglenook.engine.events import Finish, JobEnded, JobStarted
from inglenook.serving.job import Job
from inglenook.serving.limits import ServingLimits
from inglenook.serving.response import Response
from inglenook.serving.response_parts import WaitReason
from inglenook.serving.scheduler import Scheduler, SchedulerLoad
from tests.serving.test_job import ORDER, Owner

HOT = Problem(Code.TOO_HOT, "Too hot.")


class House:
    """Jobs named after their devices and counted: ``ada1``, ``ada2``, ``ben1``."""

    def __init__(self, max_active: int, active: str = "", waiting: str = "") -> None:
        self.places = Scheduler(max_active)
        self.numbers = itertools.count(1)
        self.clock = itertools.count()
        self.names: dict[Job, str] = {}
        for device_id in active.split():
            self.begin(device_id)
        for device_id in waiting.split():
            self.places.put(self.job(device_id), weight=1.0)

    def job(self, device_id: str, *, requeued: bool = False) -> Job:
        """A new job of a device."""
        count = 1 + sum(name.startswith(device_id) for name in self.names.values())
        name = f"{device_id}{count}"
        response = Response(name, device_id, "tiny", now=0.0)
        job = Job(ORDER, response, lambda: next(self.clock), Owner(), Owner(), requeued=requeued)
        self.names[job] = name
        return job

    def begin(self, device_id: str, *, requeued: bool = False) -> Job:
        """A job of a device that the engine has."""
        job = self.job(device_id, requeued=requeued)
        self.places.active[job.response.response_id] = job
        job.attempt(next(self.numbers))
        job.started(JobStarted(1, 10))
        return job

    def next(self) -> str | None:
        """Who would go to the engine now; it goes."""
        job = self.places.next()
        if job is None:
            return None
        self.places.active[job.response.response_id] = job
        job.attempt(next(self.numbers))
        return self.names[job]

    def stand_aside(self) -> list[str]:
        """Who has to; they do, together, as an engine reports them at the end of its step."""
        jobs: list[Job] = []
        while more := self.places.to_preempt():
            for job in more:
                job.preempting = True
            jobs += more
        for job in jobs:
            self.places.preempted(job)
        return [self.names[job] for job in jobs]

    def fill(self) -> list[str]:
        """Everybody who goes to the engine now."""
        names: list[str] = []
        while (name := self.next()) is not None:
            names.append(name)
        return names


@pytest.mark.parametrize(
    ("active", "waiting", "limit", "aside"),
    [
        ("ada ben", "", 2, []),
        ("ada ben cy", "", 2, ["cy1"]),
        ("ada ben ada ben", "", 1, ["ben1", "ada2", "ben2"]),
        ("ada ben", "", 0, ["ada1", "ben1"]),
        ("", "ada", 0, []),
        ("ada ada", "ben", 2, ["ada2"]),
        ("ada ada", "ben", 3, []),
        ("ada ada", "ada", 2, []),
        ("ada ben", "cy", 2, []),
        ("ada ben ada", "cy", 3, ["ada2"]),
        ("ada ben ben ben", "cy", 3, ["ben3", "ben2"]),
    ],
)
def test_the_newest_stand_aside_for_a_limit_or_for_who_has_nothing(
    active: str, waiting: str, limit: int, aside: list[str]
) -> None:
    """As many as it takes, and none for a device that has a place already."""
    house = House(8, active, waiting)
    house.places.limits = ServingLimits(limit)

    assert house.stand_aside() == aside


def test_those_who_stood_aside_go_on_in_the_order_they_began() -> None:
    """Nobody waits behind an answer that was begun after his own."""
    house = House(4, "ada ada ada ben")
    house.places.limits = ServingLimits(0)
    assert len(house.stand_aside()) == 4
    assert house.places.load == SchedulerLoad(0, 4, 0)
    assert house.fill() == []
    order = []
    for limit in (1, 2, 3, 4):
        house.places.limits = ServingLimits(limit)
        order += house.fill()

    assert [name for name in order if name.startswith("ada")] == ["ada1", "ada2", "ada3"]
    assert "ben1" in order[:2]


def test_those_who_return_go_one_by_one_before_all_others() -> None:
    """The next when the one before has a token: then it is clear who was not to blame."""
    house = House(4, waiting="cy")
    for device_id in ("ada", "ben"):
        house.places.requeue(house.job(device_id, requeued=True))
    assert house.fill() == ["ada1"]
    [ada] = house.places.active.values()
    ada.added("a", (1,))

    assert house.fill() == ["ben1"]


@pytest.mark.parametrize(
    ("places", "active", "waiting", "room"),
    [
        (8, "", "", 4),
        (8, "ada ben cy di", "", 4),
        (8, "ada ben cy di eve flo", "", 2),
        (8, "ada ben cy di eve flo", "gus", 1),
        (2, "ada", "", 1),
        (2, "ada ben", "", 0),
        (2, "ada ben", "cy", 0),
        (1, "", "", 1),
        (1, "ada", "", 0),
        (1, "", "ada", 0),
    ],
)
def test_what_is_read_ahead_has_the_places_nobody_wants_and_half_at_most(
    places: int, active: str, waiting: str, room: int
) -> None:
    """While the model loads, those who wait for it have their places already."""
    assert House(places, active, waiting).places.room_ahead() == room


@pytest.mark.parametrize(
    ("limits", "room"),
    [
        (ServingLimits(8), 4),
        (ServingLimits(3), 2),
        (ServingLimits(1), 0),
        (ServingLimits(0), 0),
        (ServingLimits(8, refuse=HOT), 0),
        (ServingLimits(8, read_ahead=HOT), 0),
    ],
)
def test_reading_ahead_is_the_first_thing_a_hot_box_leaves_undone(
    limits: ServingLimits, room: int
) -> None:
    """One answer is being written here."""
    house = House(8, "ada")
    house.places.limits = limits

    assert house.places.room_ahead() == room


@pytest.mark.parametrize("where", ["waiting", "with the engine"])
def test_nothing_is_read_ahead_while_an_answer_is_suspected_of_killing_engines(where: str) -> None:
    """If the engine died again, nobody could tell of what."""
    house = House(8)
    if where == "waiting":
        house.places.requeue(house.job("ada", requeued=True))
    else:
        house.begin("ada", requeued=True)

    assert house.places.room_ahead() == 0


@pytest.mark.parametrize(
    ("loading", "reason"), [(False, WaitReason.THERMAL), (True, WaitReason.LOADING)]
)
def test_who_waits_hears_the_reason_of_the_limit_unless_it_is_for_an_engine(
    loading: bool, reason: WaitReason
) -> None:
    """A model that is not there is the first thing to wait for."""
    house = House(2, "ada", "ben ben")
    house.places.limits = ServingLimits(1, WaitReason.THERMAL)
    house.places.tell_places(loading=loading)

    places = [job.response.place for job in house.names]
    assert [place and (place.position, place.reason) for place in places] == [
        None,
        (1, reason),
        (2, reason),
    ]


def test_a_response_is_found_wherever_it_waits() -> None:
    """And only there."""
    house = House(1, "ada", "ben")
    house.places.requeue(house.job("cy", requeued=True))
    found = [house.places.take_waiting(job.response) for job in house.names]

    assert [job and house.names[job] for job in found] == [None, "ben1", "cy1"]
    assert house.places.load == SchedulerLoad(1, 0, 1)
    assert house.places.take_all_waiting() == []


def test_what_an_answer_took_is_charged_to_its_device_at_its_end() -> None:
    """The next turn is another's."""
    house = House(1, waiting="ada ada ben")
    assert house.next() == "ada1"
    [job] = house.places.active.values()
    job.started(JobStarted(1, 5000))
    job.ended(JobEnded(1, Finish.STOP, "", 0, 0, 0.0, 0.0))
    house.places.over(job, now=1.0)

    assert house.places.load == SchedulerLoad(0, 2, 1)
    assert house.next() == "ben1"
