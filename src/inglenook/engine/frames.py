"""Length-prefixed frames between the daemon and its engine. Kind: rules.

One frame is a 4-byte big-endian length and that many bytes of msgpack. Both sides run on the same
machine and come from the same release, so the limits are there to notice a broken engine at once,
not to negotiate.
"""

from __future__ import annotations

from inglenook.common.errors import EngineError

HEADER_BYTES = 4

#: Daemon to engine: a whole conversation (a phone may send 256 KiB of JSON; msgpack is no larger)
#: and, to go on after a death, the tokens of its answer: 5 bytes each, in the longest contexts.
ORDER_BYTES_MAX = 4 * 1024 * 1024

#: Engine to daemon: one step's text, a few KiB; or, after a death, all text of one answer.
EVENT_BYTES_MAX = 4 * 1024 * 1024


class BadFrame(EngineError):
    """The other side of the pipe sent something that is not a frame of ours."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what

    def __str__(self) -> str:
        return f"the engine's pipe carried nonsense: {self.what}"


def frame(payload: bytes, limit_bytes: int) -> bytes:
    """Prefix ``payload`` with its length.

    Raises:
        ValueError: If the payload is empty or over ``limit_bytes``; a bug on our side.
    """
    if not 0 < len(payload) <= limit_bytes:
        raise ValueError(f"frame of {len(payload)} bytes; 1 to {limit_bytes} allowed")
    return len(payload).to_bytes(HEADER_BYTES) + payload


class FrameReader:
    """Cuts a byte stream back into payloads; holds at most one unfinished frame."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Take the next bytes of the stream and return every payload they complete.

        Raises:
            BadFrame: If a length is zero or over the limit. The stream is lost from then on.
        """
        self._buffer += data
        payloads = []
        start = 0
        while len(self._buffer) - start >= HEADER_BYTES:
            length = int.from_bytes(self._buffer[start : start + HEADER_BYTES])
            if not 0 < length <= self._limit_bytes:
                raise BadFrame(f"a frame of {length} bytes; at most {self._limit_bytes} allowed")
            end = start + HEADER_BYTES + length
            if len(self._buffer) < end:
                break
            payloads.append(bytes(self._buffer[start + HEADER_BYTES : end]))
            start = end
        del self._buffer[:start]
        return payloads
