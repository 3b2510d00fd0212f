"""What the operator may set about the queue and the answers kept. Kind: words."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ServingSettings:
    """How much waits, and for how long an answer is kept.

    Attributes:
        queue: Questions that may wait; one more is told when to come back.
        resume_ttl_s: How long an answer stays to be resumed after its end, seconds.
        unread_grace_s: How long an answer goes on while nobody reads it, seconds.
        journal: Keep unfinished answers on disk, so that they survive a power cut.
        thinking: Whether the model thinks where neither a request nor its device says so:
            ``auto``, ``on``, ``off``, or most tokens of thought.
        shared_cache: Devices share the cached tokens of prompts that begin alike.
    """

    queue: int = 64
    resume_ttl_s: float = 600.0
    unread_grace_s: float = 60.0
    journal: bool = True
    thinking: str = "auto"
    shared_cache: bool = True

    def namespace(self, device_id: str) -> bytes:
        """The namespace of a device's cached tokens, see `StartJob.namespace`."""
        return b"" if self.shared_cache else device_id.encode()
