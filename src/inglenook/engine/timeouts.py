"""How long an engine, and what stands between two, may be silent. Kind: words."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Silence, in seconds, after which an engine counts as hung and is killed.

    Attributes:
        hello_s: From its start to its first word; Python and the library come from a slow card.
        load_s: Between two signs of progress while loading; the warm-up after the last one reads
            the whole model once, and a 1 GB model from a 20 MB/s card takes 50 s.
        step_s: Between two steps while jobs run. A step is planned to stay below a second; the
            first on an unmeasured, swapping or throttled board may be far over.
        close_s: From being told to go to being killed.
        between_s: For what is done between two engines, each by itself: a look at the model's file,
            on a drive that may have to spin up or be mounted first; a process to be started; a
            killed one to be gone. None of these can be killed, so who waits for them is overdue.
    """

    hello_s: float = 60.0
    load_s: float = 180.0
    step_s: float = 90.0
    close_s: float = 2.0
    between_s: float = 90.0
