"""Restores responses from a journal, and lists all of them for a new one. Kind: hands."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import msgspec

from inglenook.common.guarded import Guard
from inglenook.serving.engine_registry import EngineRegistry
from inglenook.serving.job import Job
from inglenook.serving.job_outcome import JobPublisher
from inglenook.serving.journal.moments import Moment, age_s
from inglenook.serving.journal.saved import NO_START, ResponseOpening, SavedResponse
from inglenook.serving.response import Response
from inglenook.serving.response_parts import Change, Ending, Status
from inglenook.serving.response_store import ResponseStore

#: When an answer goes on after a restart, so many frame numbers at most are left out, and half as
#: many at least. Text shown between the last sync and a power cut had numbers too; they must not
#: come back with other text, not even if the power is cut again before the next sync. So how many
#: is drawn at random. JavaScript counts exactly up to 2**53, which leaves a million restarts.
_SKIPPED_SEQS_MAX = 2**33


@dataclass(slots=True)
class RestoredResponses:
    """The responses of a journal, restored.

    Attributes:
        jobs: Unfinished answers, which go on.
        dropped: Responses that are not brought back.
        unwelcome: Some of these belonged to devices that are not paired any more.
    """

    jobs: list[Job] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    unwelcome: bool = False


class Restorer:
    """Turns responses into `SavedResponse`s, and back."""

    def __init__(
        self,
        shelf: ResponseStore,
        engines: EngineRegistry,
        publisher: JobPublisher,
        now: Callable[[], float],
        resume_ttl_s: float,
    ) -> None:
        """Look after the responses on ``shelf``; their jobs go back to ``engines``."""
        self._shelf = shelf
        self._engines = engines
        self._publisher = publisher
        self._now = now
        self._resume_ttl_s = resume_ttl_s
        self._jobs: dict[str, Job] = {}
        self._restoring = Guard("bringing back an answer")

    def add(self, job: Job) -> None:
        """A job is new."""
        self._jobs[job.response.response_id] = job

    def tidy(self) -> None:
        """Drop jobs whose readers know the end, or whose responses are no longer kept."""
        self._jobs = {
            response_id: job
            for response_id, job in self._jobs.items()
            if not job.response.status.over and self._shelf.get(response_id) is job.response
        }

    def bring_back(
        self,
        saved: Iterable[SavedResponse],
        last: Moment,
        now: Moment,
        is_welcome: Callable[[str], bool],
    ) -> RestoredResponses:
        """Put what an earlier life left on the shelf; what is there already stays as it is.

        Args:
            saved: What it left.
            last: When it was last there.
            now: The present.
            is_welcome: Says of a device's id whether it is still paired.
        """
        restored = RestoredResponses()
        down_s = age_s(last, last, now)
        for item in saved:
            opening = item.opening
            if self._shelf.get(opening.response_id) is not None:
                continue
            old_s = down_s if item.ended_at is None else age_s(item.ended_at, last, now)
            welcome = is_welcome(opening.device_id)
            if old_s > self._resume_ttl_s or not welcome:
                restored.dropped.append(opening.response_id)
                restored.unwelcome = restored.unwelcome or not welcome
                continue
            # One that does not fit together must not keep the box from starting.
            with self._restoring:
                self._bring_back(item, self._now() - old_s, restored)
                continue
            restored.dropped.append(opening.response_id)
        return restored

    def everything(self, now: Moment) -> list[SavedResponse]:
        """All responses as their readers know them, in the order they came in."""
        return [
            self._saved(response, now)
            for response in self._shelf
            # A response without a job must not keep the others from the disk.
            if response.opened
            and (response.outcome is not None or response.response_id in self._jobs)
        ]

    def _bring_back(
        self, item: SavedResponse, ended_at: float, restored: RestoredResponses
    ) -> None:
        opening = item.opening
        response = Response(opening.response_id, opening.device_id, opening.model, self._now())
        begun = bool(item.pieces) or (
            item.ending is not None and item.ending.status not in (Status.CANCELLED, Status.FAILED)
        )
        change = Change(opening.response_id, begun, item.pieces, item.tokens, item.ending)
        response.apply(change, ended_at)
        response.opened = True
        if item.ending is None:
            skipped = _SKIPPED_SEQS_MAX // 2 + secrets.randbelow(_SKIPPED_SEQS_MAX // 2)
            response.skip_to(response.next_seq + skipped)
            start = msgspec.structs.replace(opening.start, produced=item.tokens)
            owner = self._engines.find(opening.model)
            job = Job(
                start,
                response,
                self._now,
                owner,
                self._publisher,
                requeued=True,
                model_id=item.model_id,
            )
            self.add(job)
            restored.jobs.append(job)
        self._shelf.add(response, opening.idempotency_key)

    def _saved(self, response: Response, now: Moment) -> SavedResponse:
        job = self._jobs.get(response.response_id)
        start, model_id, tokens = NO_START, "", tuple[int, ...]()
        ending = ended_at = None
        if response.outcome is not None:
            ending = Ending(response.last_seq, response.status, response.outcome)
            assert response.ended_at is not None
            ended_at = now.before(self._now() - response.ended_at)
        else:
            assert job is not None
            start = msgspec.structs.replace(job.start, job=0, produced=())
            tokens, model_id = job.attempts.told_tokens, job.attempts.model_id
        key = self._shelf.key_of(response)
        opening = ResponseOpening(
            response.response_id, response.device_id, key, response.model, start
        )
        return SavedResponse(opening, response.pieces, tokens, ending, ended_at, model_id)
