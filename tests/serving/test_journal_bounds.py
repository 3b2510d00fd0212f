"""What the journal does not keep."""

from __future__ import annotations

from pathlib import Path

from inglenook.engine.orders import ChatMessage, Sampling, StartJob
from inglenook.serving.journal.journal import Journal
from inglenook.serving.journal.moments import Moment
from inglenook.serving.journal.saved import ResponseOpening
from inglenook.serving.response_parts import Change, Ending, Outcome, Status

SECRET = "what the phone asked, " * 1000


def opening(number: int) -> ResponseOpening:
    sampling = Sampling(0, 0, 1, 0, 1, 0, 0, 64, 0)
    start = StartJob(0, (ChatMessage("user", SECRET),), sampling, None, (), False)
    return ResponseOpening(f"r_{number}", "device", None, "model", start)


def ending(number: int) -> Change:
    return Change(f"r_{number}", False, (), (), Ending(1, Status.CANCELLED, Outcome()))


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


def test_a_question_that_was_taken_back_at_once_is_not_kept(tmp_path: Path) -> None:
    """Or one phone could fill the disk by asking and cancelling."""
    journal = Journal(tmp_path / "journal.db")
    journal.load()
    before = size(tmp_path)
    for number in range(100):
        journal.write([opening(number)], [ending(number)], now=Moment(0.0))

    assert size(tmp_path) - before < len(SECRET) * 20
    journal.close()
    assert SECRET[:40].encode() not in (tmp_path / "journal.db").read_bytes()


def test_an_answered_question_leaves_the_journal(tmp_path: Path) -> None:
    """Its place is used again, so the file does not grow with every question ever asked."""
    journal = Journal(tmp_path / "journal.db")
    journal.load()
    for number in range(100):
        journal.write([opening(number)], [], now=Moment(0.0))
        journal.write([], [ending(number)], now=Moment(0.0))
    journal.close()

    assert (tmp_path / "journal.db").stat().st_size < len(SECRET) * 10
    assert SECRET[:40].encode() not in (tmp_path / "journal.db").read_bytes()
