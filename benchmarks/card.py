"""What streaming writes to the card: the real journal, an hour in seconds. Kind: hands."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from inglenook.chat.thinking import Channel
from inglenook.engine.orders import ChatMessage, Sampling, StartJob
from inglenook.serving.journal.journal import Journal
from inglenook.serving.journal.moments import Moment
from inglenook.serving.journal.recorder import LOG_STEP_BYTES, SYNC_EVERY_S
from inglenook.serving.journal.saved import ResponseOpening
from inglenook.serving.response_parts import Change, Ending, Outcome, Status, TextPiece
from inglenook.serving.settings import ServingSettings

#: Some 250 words: what a small model says to a plain question.
_ANSWER_FRAMES = 320

#: A token is some four letters of English.
_TOKEN = " word"

_QUESTION = "A question of some length, as people ask them. " * 5

_SAMPLING = Sampling(0.7, 40, 0.95, 0.05, 1.0, 0.0, 0.0, 64, 1)


@dataclass(frozen=True, slots=True)
class Written:
    """What an hour wrote.

    Attributes:
        shown_bytes: Text that phones were shown.
        handed_bytes: What was handed to the kernel.
        card_bytes: What the kernel sent on to the disk.
    """

    shown_bytes: int
    handed_bytes: int
    card_bytes: int


def write_hour(folder: Path, *, frames_s: int, duration_s: int = 3600) -> Written:
    """Stream one answer after the other, a token a frame, forgotten when nobody may resume them."""
    with tempfile.TemporaryDirectory(dir=folder, prefix="card") as scratch:
        journal = Journal(Path(scratch) / "journal.db")
        journal.load()
        resume_ttl_s = ServingSettings().resume_ttl_s
        handed, card = _written()
        kept: list[tuple[float, str]] = []
        shown_bytes = place = 0
        for frame in range(frames_s * duration_s):
            now = frame / frames_s
            moment = Moment(now, now, "boot")
            response_id = f"r_{frame // _ANSWER_FRAMES:016d}"
            place = frame % _ANSWER_FRAMES
            if place == 0:
                journal.write([_opening(response_id)], [], moment)
            journal.write([], [_change(response_id, place)], moment)
            shown_bytes += len(_TOKEN)
            if place == _ANSWER_FRAMES - 1:
                kept.append((now, response_id))
            # As the desk does, which looks for old answers once a second.
            if frame % frames_s == 0 and kept and now - kept[0][0] > resume_ttl_s:
                journal.forget([kept.pop(0)[1]])
            # As the recorder does, on a card that is quick enough between two frames.
            if frame % round(SYNC_EVERY_S * frames_s) == 0 and journal.sync() >= LOG_STEP_BYTES:
                journal.checkpoint()
                journal.truncate()
        journal.sync()
        handed_after, card_after = _written()
        journal.close()
    return Written(shown_bytes, handed_after - handed, card_after - card)


def _opening(response_id: str) -> ResponseOpening:
    messages = (ChatMessage("system", "You are kind."), ChatMessage("user", _QUESTION))
    return ResponseOpening(
        response_id,
        "abcdefgh",
        "k" * 36,
        "model",
        StartJob(0, messages, _SAMPLING, None, (), False),
    )


def _change(response_id: str, place: int) -> Change:
    piece = TextPiece(place + 1, Channel.ANSWER, place * len(_TOKEN), _TOKEN)
    ending = None
    if place == _ANSWER_FRAMES - 1:
        ending = Ending(place + 2, Status.COMPLETED, Outcome("stop", 60, _ANSWER_FRAMES))
    return Change(response_id, place == 0, (piece,), (20_000 + place,), ending)


def _written() -> tuple[int, int]:
    """Bytes this process has handed to the kernel, and has caused to be sent to a disk."""
    lines = Path("/proc/self/io").read_text().splitlines()
    counts = {name: int(value) for name, value in (line.split(": ") for line in lines)}
    return counts["wchar"], counts["write_bytes"]
