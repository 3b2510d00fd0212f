"""Store of responses, and how long each stays. Kind: rules."""

from __future__ import annotations

from collections.abc import Iterator

from inglenook.serving.response import Response

#: All text kept for finished responses, oldest dropped first.
KEPT_BYTES_MAX = 16 * 1024 * 1024

#: Grace of an answer that nobody reads while others wait for its place, seconds: long enough for a
#: phone that changes from Wi-Fi to Wi-Fi.
CROWDED_GRACE_S = 10.0


class ResponseStore:
    """Responses by id, oldest first, and by the keys their devices gave them."""

    def __init__(self, resume_ttl_s: float, unread_grace_s: float) -> None:
        """Take how long a response stays after its end, and goes on unread, in seconds."""
        self._resume_ttl_s = resume_ttl_s
        self._unread_grace_s = unread_grace_s
        self._responses: dict[str, Response] = {}
        self._by_key: dict[tuple[str, str], str] = {}
        self._key_of: dict[str, tuple[str, str]] = {}

    def __len__(self) -> int:
        return len(self._responses)

    def __iter__(self) -> Iterator[Response]:
        return iter(self._responses.values())

    def add(self, response: Response, idempotency_key: str | None) -> None:
        """Keep a response."""
        self._responses[response.response_id] = response
        if idempotency_key is not None:
            key = (response.device_id, idempotency_key)
            self._by_key[key] = response.response_id
            self._key_of[response.response_id] = key

    def get(self, response_id: str) -> Response | None:
        """The response of that id, whoever it belongs to."""
        return self._responses.get(response_id)

    def find(self, device_id: str, response_id: str) -> Response | None:
        """The response of that id, if it belongs to that device."""
        response = self._responses.get(response_id)
        return response if response is not None and response.device_id == device_id else None

    def find_by_key(self, device_id: str, idempotency_key: str) -> Response | None:
        """The response that a device's earlier request with this key made."""
        return self._responses.get(self._by_key.get((device_id, idempotency_key), ""))

    def key_of(self, response: Response) -> str | None:
        """The idempotency key that a response was asked for with."""
        key = self._key_of.get(response.response_id)
        return None if key is None else key[1]

    def drop(self, response: Response) -> None:
        """Keep a response no longer."""
        del self._responses[response.response_id]
        key = self._key_of.pop(response.response_id, None)
        # The device may have used the key again since.
        if key is not None and self._by_key.get(key) == response.response_id:
            del self._by_key[key]

    def outdated(self, now: float) -> list[Response]:
        """Finished responses that are too old, or whose text exceeds the bound."""
        outdated = []
        held_bytes = 0
        # Newest first, so that it is the oldest that do not fit.
        for response in reversed(self._responses.values()):
            if response.ended_at is None:
                continue
            held_bytes += response.held_bytes
            if now - response.ended_at > self._resume_ttl_s or held_bytes > KEPT_BYTES_MAX:
                outdated.append(response)
        return outdated

    def abandoned(self, now: float, *, crowded: bool) -> list[Response]:
        """Unfinished responses that were unread for too long; for less if it is ``crowded``."""
        grace_s = self._unread_grace_s
        if crowded:
            grace_s = min(grace_s, CROWDED_GRACE_S)
        return [
            response
            for response in self._responses.values()
            if response.ended_at is None
            and response.unread_since is not None
            and now - response.unread_since > grace_s
        ]
