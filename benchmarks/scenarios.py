"""What can go wrong between a phone and its answer, done on purpose. Kind: hands.

Each scenario returns a `Tally`: counts, not times. The tests run them small, ``benchmarks.faults``
runs them at full size.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

from benchmarks.follower import Follower, Told, counting, whole_text
from benchmarks.household import Box

#: An engine that was killed is started again after 0.2 s, 0.4 s and so on: some deaths, then the
#: daemon is restarted as well, or the later pauses would be all that is measured.
_DEATHS_PER_LIFE = 3

_STREAMS = 4


@dataclass
class Tally:
    """How a scenario went.

    Attributes:
        fault: What was done.
        times: How often.
        answers: How many answers it was done to.
        lost: Answers that did not end, or lost text that a phone had not been told to cut.
        repeated: Answers of which a phone was told something twice.
        as_expected: Answers that ended as they would have undisturbed.
        notes: Other figures.
    """

    fault: str
    times: int = 0
    answers: int = 0
    lost: int = 0
    repeated: int = 0
    as_expected: int = 0
    notes: dict[str, object] = field(default_factory=dict)

    @property
    def good(self) -> bool:
        """Whether nothing was lost or repeated."""
        return self.lost == self.repeated == 0 and self.as_expected == self.answers > 0

    def count(self, told: Told, *, expected: bool) -> None:
        """Count one answer."""
        self.answers += 1
        repeated = any("repeated" in b or "after" in b or "twice" in b for b in told.breaches)
        self.repeated += repeated
        self.lost += not told.ends or (bool(told.breaches) and not repeated)
        self.as_expected += expected and not told.breaches and len(told.ends) == 1
        if told.breaches:
            self.notes.setdefault("breaches", told.breaches)


async def cut_sockets(box: Box, tokens: int) -> Tally:
    """Cut the socket after every frame of an answer in turn, and resume.

    What is to be expected is the whole text of the same answer, read at once when it is over.
    Another answer's will not do, even to the same question and with the likeliest token always:
    how a prompt is cut into steps goes by the clock, and rounds sums otherwise.
    """
    token = await asyncio.to_thread(box.pair, "cut")
    question = counting(tokens)
    uncut = await Follower(box.url, token, question).follow()
    tally = Tally("socket cut after each frame")
    tally.count(uncut, expected=whole(uncut, tokens))
    cuts = [(frame,) for frame in range(uncut.frames + 1)]
    middle = max(uncut.frames // 2, 2)
    for cut in [*cuts, (1, middle), (middle - 1, middle)]:
        phone = Follower(box.url, token, question)
        for frames in cut:
            await phone.follow(lambda told, frames=frames: _has(told, frames))  # type: ignore[misc]
        told = await phone.follow()
        tally.times += len(cut)
        text = await whole_text(box.url, token, told.response_id)
        tally.count(told, expected=told.text == text and whole(told, tokens))
    for seq in range(uncut.seq):
        rest = await Follower(
            box.url, token, {}, told=Told(uncut.response_id, seq, texts=_up_to(uncut, seq))
        ).follow()
        tally.times += 1
        tally.count(rest, expected=uncut.text.endswith(rest.text) and len(rest.ends) == 1)
    await _resume_on_two(box, token, question, tally)
    tally.notes["frames"] = uncut.frames
    return tally


async def _resume_on_two(box: Box, token: str, question: dict[str, Any], tally: Tally) -> None:
    """One socket is cut; two others resume the answer at the same time."""
    phone = Follower(box.url, token, question)
    seen = await phone.follow(lambda told: _has(told, 2))
    twin = Told(seen.response_id, seen.seq, texts=dict(seen.texts))
    both = await asyncio.gather(
        phone.follow(), Follower(box.url, token, question, told=twin).follow()
    )
    text = await whole_text(box.url, token, seen.response_id)
    tally.times += 1
    for told in both:
        tally.count(told, expected=told.text == text)


def _has(told: Told, frames: int) -> bool:
    return told.over or (bool(told.response_id) and told.frames >= frames)


def _up_to(uncut: Told, seq: int) -> dict[str, str]:
    """What a phone has that has seen frames up to ``seq``."""
    kept = {"answer": "", "thinking": ""}
    for end, channel, text in uncut.deltas:
        if end <= seq:
            kept[channel] += text
    return kept


def whole(told: Told, tokens: int) -> bool:
    """Whether an answer ended as one of exactly so many tokens does."""
    if len(told.ends) != 1:
        return False
    end = told.ends[0]
    made: int = end["usage"]["completion_tokens"]
    return (end["status"], end["finish_reason"], made) == ("incomplete", "length", tokens)


Victim = Literal["engine", "daemon"]


async def kills(box: Box, victim: Victim, times: int, *, tokens: int, seed: int) -> Tally:
    """Kill the engine or the daemon at random moments under four streams.

    Args:
        box: A fresh one; it runs at the end.
        victim: Who is killed.
        times: How often.
        tokens: Length of each answer; a phone asks the next when one has ended.
        seed: Of the random moments.
    """
    rng = random.Random(seed)
    tally = Tally(f"{victim} killed")
    done = asyncio.Event()
    tokens_of = [await asyncio.to_thread(box.pair, f"phone {n}") for n in range(_STREAMS)]
    shown: list[Told] = []
    snapshots: list[tuple[Told, str]] = []

    async def ask_on(token: str, number: int) -> None:
        while not done.is_set():
            question = counting(tokens, f"Tell me story {number}.")
            phone = Follower(box.url, token, question)
            shown.append(phone.told)
            await phone.follow()
            text = await whole_text(box.url, token, phone.told.response_id)
            same = text == phone.told.text
            tally.count(phone.told, expected=whole(phone.told, tokens) and same)

    async with asyncio.TaskGroup() as tasks:
        for number, token in enumerate(tokens_of):
            tasks.create_task(ask_on(token, number), name=f"phone-{number}")
        for time in range(1, times + 1):
            await _some_text(shown)
            await asyncio.sleep(rng.uniform(0.0, 0.5))
            snapshots += [(told, told.text) for told in shown]
            if victim == "daemon":
                await asyncio.to_thread(_kill_daemon, box)
            else:
                await asyncio.to_thread(_kill_engine, box)
                if time % _DEATHS_PER_LIFE == 0 and time < times:
                    await asyncio.to_thread(_restart, box)
            tally.times += 1
        done.set()
    tally.lost += sum(not told.text.startswith(text) for told, text in snapshots)
    return tally


async def power_cuts(box: Box, times: int, *, tokens: int) -> Tally:
    """Put the journal back to an earlier moment, as a power cut does with what was not synced."""
    tally = Tally("power cut")
    journal = [box.state_dir / name for name in ("journal.db", "journal.db-wal")]
    for time in range(times):
        token = await asyncio.to_thread(box.pair, f"cut {time}")
        phones = [Follower(box.url, token, counting(tokens, f"Story {n}.")) for n in range(2)]
        shown = [phone.told for phone in phones]
        async with asyncio.TaskGroup() as tasks:
            for number, phone in enumerate(phones):
                tasks.create_task(phone.follow(), name=f"phone-{number}")
            await _frames(shown, 3)
            synced = [await asyncio.to_thread(path.read_bytes) for path in journal]
            await _frames(shown, max(told.frames for told in shown) + 3)
            await asyncio.to_thread(_cut_power, box, dict(zip(journal, synced, strict=True)))
        tally.times += 1
        for told in shown:
            same = told.text == await whole_text(box.url, token, told.response_id)
            tally.count(told, expected=whole(told, tokens) and same and told.rewinds == 1)
    return tally


def _cut_power(box: Box, synced: dict[Path, bytes]) -> None:
    box.kill()
    for path, content in synced.items():
        path.write_bytes(content)
    (box.state_dir / "journal.db-shm").unlink(missing_ok=True)
    box.start()
    box.wait_ready()


async def _frames(shown: list[Told], frames: int) -> None:
    """Wait until every phone has so many frames."""
    async with asyncio.timeout(60):
        while min(told.frames for told in shown) < frames:  # noqa: ASYNC110 phones tell nobody
            await asyncio.sleep(0.005)


async def _some_text(shown: list[Told]) -> None:
    """Wait until some phone hears again: killed before that, an engine does nothing but start."""
    frames = sum(told.frames for told in shown)
    async with asyncio.timeout(60):
        while sum(told.frames for told in shown) == frames:  # noqa: ASYNC110 phones tell nobody
            await asyncio.sleep(0.01)


def _kill_engine(box: Box) -> None:
    os.kill(box.engine_pid(), signal.SIGKILL)


def _kill_daemon(box: Box) -> None:
    box.kill()
    box.start()
    box.wait_ready()


def _restart(box: Box) -> None:
    box.stop()
    box.start()
    box.wait_ready()


async def same_key(box: Box, sockets: int, tokens: int) -> Tally:
    """Send one request with one key from several sockets at once."""
    token = await asyncio.to_thread(box.pair, "same key")
    before = (await asyncio.to_thread(box.log)).count("answer r_")
    phones = [Follower(box.url, token, counting(tokens), key="the same") for _ in range(sockets)]
    told = await asyncio.gather(*(phone.follow() for phone in phones))
    tally = Tally("same key from sockets at once", sockets)
    for one in told:
        tally.count(one, expected=whole(one, tokens) and one.text == told[0].text)
    tally.notes["responses"] = len({one.response_id for one in told})
    tally.notes["generations"] = (await asyncio.to_thread(box.log)).count("answer r_") - before
    return tally


#: A newcomer gets a place within a step, but answers that have begun may not have spoken yet.
OVERTAKEN_MAX = 4


async def crowd(box: Box, big: int, small: int, *, places: int, tokens: int) -> Tally:
    """One phone asks much and has all places, then others ask one question each.

    ``overtaken`` is how many of the big phone's answers got their first text between a small
    phone's question and its first text, at most. In order of arrival it would be all that waited;
    the fair share of a phone that has nothing is `OVERTAKEN_MAX`.
    """
    names = ["big", *(f"small {number}" for number in range(small))]
    tokens_of = {name: await asyncio.to_thread(box.pair, name) for name in names}
    spoken: list[str] = []
    asked_at: dict[str, int] = {}

    async def ask(name: str) -> Told:
        phone = Follower(
            box.url,
            tokens_of[name],
            counting(tokens),
            on_asked=partial(_note, asked_at, name, spoken),
        )
        await phone.follow(lambda told: told.frames > 0 or told.over)
        spoken.append(name)
        return await phone.follow()

    tally = Tally("20 requests of one phone, 1 of others", 1)
    async with asyncio.TaskGroup() as tasks:
        asked = [tasks.create_task(ask("big"), name="big") for _ in range(big)]
        async with asyncio.timeout(60):
            while len(spoken) < places:  # noqa: ASYNC110 phones tell nobody
                await asyncio.sleep(0.01)
        asked += [tasks.create_task(ask(name), name=name) for name in names[1:]]
    for task in asked:
        tally.count(task.result(), expected=whole(task.result(), tokens))
    overtaken = [spoken[asked_at[name] : spoken.index(name)].count("big") for name in names[1:]]
    tally.notes["overtaken"] = max(overtaken)
    return tally


def _note(asked_at: dict[str, int], name: str, spoken: list[str]) -> None:
    """Note how many had spoken when ``name`` first asked."""
    asked_at.setdefault(name, len(spoken))


async def long_run(box: Box, duration_s: float) -> Tally:
    """Three phones that always want more, short and long answers; Jain's index of their tokens."""
    lengths = {"short": 4, "middle": 12, "long": 36}
    tokens_of = {name: await asyncio.to_thread(box.pair, name) for name in lengths}
    got = dict.fromkeys(lengths, 0.0)
    tally = Tally("three phones that always want more", 1)
    until = asyncio.get_running_loop().time() + duration_s

    async def ask_on(name: str) -> None:
        while asyncio.get_running_loop().time() < until:
            told = await Follower(box.url, tokens_of[name], counting(lengths[name])).follow()
            if asyncio.get_running_loop().time() < until:
                usage = told.ends[0]["usage"]
                got[name] += usage["prompt_tokens"] + usage["completion_tokens"]
            tally.count(told, expected=whole(told, lengths[name]))

    async with asyncio.TaskGroup() as tasks:
        for name in lengths:
            for _ in range(4):
                tasks.create_task(ask_on(name), name=name)
    shares = list(got.values())
    index = sum(shares) ** 2 / (len(shares) * sum(share**2 for share in shares))
    tally.notes["jain"] = round(index, 3)
    return tally
