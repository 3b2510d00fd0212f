"""Who hears of which job of the engine. Kind: rules."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from inglenook.common.guarded import Guard
from inglenook.engine.events import JobEnded, JobRefused, JobStarted, Output, PrefillDone
from inglenook.engine.frames import BadFrame
from inglenook.engine.interface import PrefillSink, Sink


class Sinks:
    """The sinks of all jobs an engine has. One that fails costs its own job only."""

    def __init__(self, cancel: Callable[[int], None]) -> None:
        """Take charge of none yet; ``cancel`` has the engine end a job whose sink has failed."""
        self._cancel = cancel
        self._writing: dict[int, Sink] = {}
        self._reading: dict[int, PrefillSink] = {}
        #: Jobs whose sink has failed, while the engine may still tell of them.
        self._broken: set[int] = set()
        self._telling = Guard("news of an answer")

    def __bool__(self) -> bool:
        return bool(self._writing or self._reading)

    def __contains__(self, job: int) -> bool:
        return job in self._writing or job in self._reading

    def write(self, job: int, sink: Sink) -> None:
        """The engine has an answer to write."""
        self._writing[job] = sink

    def read(self, job: int, sink: PrefillSink) -> None:
        """The engine has something to read ahead."""
        self._reading[job] = sink

    def added(self, output: Output) -> None:
        """Pass on more of an answer; of one that is unknown, nobody hears."""
        sink = self._writing.get(output.job)
        news = output.text, output.tokens, output.thinking
        if sink is not None and not self._told(sink.added, *news):
            self._break_off(output.job, sink)

    def heard(self, event: JobStarted | JobEnded | PrefillDone | JobRefused) -> None:
        """Pass on how a job goes.

        Raises:
            BadFrame: If it is of a job that the engine was never given.
        """
        job = event.job
        if job in self._broken:
            if not isinstance(event, JobStarted):
                self._broken.discard(job)
            return
        sink = self._writing.get(job) or self._reading.get(job)
        if sink is not None and not self._told(self._hearer(event), event):
            self._break_off(job, sink)
        elif sink is None:
            raise _unknown(job)

    def lose(self, *, killed: bool) -> None:
        """The engine has died under all of them; see `Sink.lost`."""
        for sink in self._take_all():
            if not self._told(partial(sink.lost, killed=killed)):
                self._told(sink.broken)

    def unload(self) -> None:
        """The engine was ended on purpose under all of them; see `Sink.unloaded`."""
        for sink in self._take_all():
            if not self._told(sink.unloaded):
                self._told(sink.broken)

    def _hearer(
        self, event: JobStarted | JobEnded | PrefillDone | JobRefused
    ) -> Callable[..., None]:
        """What is to be called with the event; whoever hears an end is let go."""
        job = event.job
        match event:
            case JobStarted() if job in self._writing:
                return self._writing[job].started
            case JobEnded() if job in self._writing:
                return self._writing.pop(job).ended
            case PrefillDone() if job in self._reading:
                return self._reading.pop(job).prepared
            case JobRefused() if job in self._writing:
                return self._writing.pop(job).refused
            case JobRefused() if job in self._reading:
                return self._reading.pop(job).refused
            case _:
                raise _unknown(job)

    def _told(self, call: Callable[..., None], *args: object) -> bool:
        """Call; say whether that went well."""
        with self._telling:
            call(*args)
            return True
        return False

    def _break_off(self, job: int, sink: Sink | PrefillSink) -> None:
        """Nothing more is told to this one, and the engine need not go on."""
        if job in self:
            self._broken.add(job)
            self._writing.pop(job, None)
            self._reading.pop(job, None)
            self._cancel(job)
        self._told(sink.broken)

    def _take_all(self) -> list[Sink | PrefillSink]:
        taken: list[Sink | PrefillSink] = [*self._writing.values(), *self._reading.values()]
        self._writing, self._reading, self._broken = {}, {}, set()
        return taken


def _unknown(job: int) -> BadFrame:
    return BadFrame(f"an event for job {job}, which it was never given")
