"""An exception nobody named, out of anything that can throw, ends in a log line and a working box.

What there is to throw is read from the source; `throwing_table` says of each when it is called. One
that is in no table fails the first test here, and so does one that is gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon.throwing_table import AFTER, AT, BEGINNING, ENDING, JOURNAL, NOT_HERE
from tests.parts.inner_box import STEPS, InnerBox, make_box
from tests.parts.throwing import Thrower, throwables

#: For what takes well below a second on an idle machine.
SOON_S = 20.0

#: What happens to a box may never come to its end if something in it was thrown.
STEP_S = 1.0


@pytest.fixture
def folder() -> Iterator[Path]:
    """Not pytest's own: the control socket's path may have 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="box") as folder:
        yield Path(folder)


@pytest.fixture
def thrower() -> Thrower:
    return Thrower()


@pytest.fixture
def inner_box(folder: Path, thrower: Thrower, monkeypatch: pytest.MonkeyPatch) -> InnerBox:
    return make_box(folder, monkeypatch, thrower)


@pytest.mark.slow
def test_everything_that_can_throw_is_in_the_table() -> None:
    """Once, and nothing else is."""
    listed = Counter(
        [
            *(name for names in AT.values() for name in names),
            *itertools.chain(*BEGINNING),
            *itertools.chain(*ENDING),
            *AFTER,
            *JOURNAL,
            *(name for names in NOT_HERE.values() for name in names),
        ]
    )
    there = {str(each) for each in throwables()}

    assert sorted(there - set(listed)) == [], "say in throwing_table.py when these are called"
    assert sorted(set(listed) - there) == [], "these are gone"
    assert [name for name, times in listed.items() if times > 1] == []
    assert set(AT) <= set(STEPS)


def was_told(thrower: Thrower, caplog: pytest.LogCaptureFixture, name: str) -> bool:
    """Whether the log has what that threw, as an error and with its trace."""
    return any(
        record.levelno >= logging.ERROR
        and record.exc_info is not None
        and thrower.is_thrown(record.exc_info[1], name)
        for record in caplog.records
    )


async def throw(box: InnerBox, thrower: Thrower, step: str, *names: str) -> None:
    """Have the first of these throw while that happens, whatever becomes of what happens.

    The others throw when they are called because of that.
    """
    thrower.arm(*names)
    try:
        async with asyncio.timeout(SOON_S):
            # Once is enough on an idle machine; on a busy one a state may pass before it is seen.
            while any(not thrower.thrown[name] for name in names):
                with contextlib.suppress(Exception):
                    async with asyncio.timeout(STEP_S):
                        await getattr(box, step)()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(STEP_S):
                        while any(not thrower.thrown[name] for name in names):  # noqa: ASYNC110
                            await asyncio.sleep(0.005)
    finally:
        thrower.disarm()


async def throw_and_check(
    box: InnerBox, thrower: Thrower, caplog: pytest.LogCaptureFixture, step: str, *names: str
) -> None:
    """As `throw`; then the box works, and its log tells of each."""
    caplog.clear()
    await throw(box, thrower, step, *names)
    await box.check()
    for name in names:
        assert was_told(thrower, caplog, name), f"nothing in the log of {name}"


@pytest.mark.slow
@pytest.mark.parametrize("step", AT)
async def test_what_is_thrown_while_the_box_runs_costs_one_call_or_one_job(
    step: str,
    inner_box: InnerBox,
    thrower: Thrower,
    caplog: pytest.LogCaptureFixture,
    subtests: pytest.Subtests,
) -> None:
    """A phone is answered, states are pushed, the governor looks on; and the box ends well."""
    async with inner_box.running():
        await inner_box.check()
        for name in AT[step]:
            with subtests.test(name):
                await throw_and_check(inner_box, thrower, caplog, step, name)


@pytest.mark.slow
async def test_what_the_journal_throws_is_told_and_it_begins_anew(
    inner_box: InnerBox,
    thrower: Thrower,
    caplog: pytest.LogCaptureFixture,
    subtests: pytest.Subtests,
) -> None:
    """One that failed is not used as if nothing had happened; it is written again."""
    async with inner_box.running():
        await inner_box.check()
        for name, step in JOURNAL.items():
            with subtests.test(name):
                await throw_and_check(inner_box, thrower, caplog, step, name)


@pytest.mark.slow
async def test_what_is_thrown_while_another_fault_is_dealt_with(
    inner_box: InnerBox,
    thrower: Thrower,
    caplog: pytest.LogCaptureFixture,
    subtests: pytest.Subtests,
) -> None:
    """It may cost one answer more, not the box."""
    async with inner_box.running():
        await inner_box.check()
        for name, (step, first) in AFTER.items():
            with subtests.test(name):
                await throw_and_check(inner_box, thrower, caplog, step, first, name)


@pytest.mark.parametrize("names", BEGINNING)
async def test_a_job_that_fails_as_it_begins_is_begun_again(
    names: tuple[str, ...],
    inner_box: InnerBox,
    thrower: Thrower,
    caplog: pytest.LogCaptureFixture,
    subtests: pytest.Subtests,
) -> None:
    """The box comes up all the same; each of these throws once."""
    thrower.arm(*names)
    async with inner_box.running():
        await inner_box.check()
        for name in names:
            with subtests.test(name):
                async with asyncio.timeout(SOON_S):
                    while not thrower.thrown[name]:  # noqa: ASYNC110  # it may be in a thread
                        await asyncio.sleep(0.005)
        await inner_box.check()
    for name in names:
        with subtests.test(name):
            assert was_told(thrower, caplog, name), "nothing in the log"


@pytest.mark.parametrize("names", ENDING)
async def test_what_is_thrown_as_the_box_ends_does_not_keep_it_from_ending(
    names: tuple[str, ...],
    inner_box: InnerBox,
    thrower: Thrower,
    caplog: pytest.LogCaptureFixture,
    subtests: pytest.Subtests,
) -> None:
    """In time, with nothing left behind; the log says what went wrong."""
    async with inner_box.running():
        await inner_box.check()
        thrower.arm(*names)
    for name in names:
        with subtests.test(name):
            assert thrower.thrown[name]
            assert was_told(thrower, caplog, name), "nothing in the log"
