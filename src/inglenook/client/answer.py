"""One answer as a client follows it over any number of connections, without I/O. Kind: rules."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeAlias

Message: TypeAlias = dict[str, Any]


@dataclass
class FollowedAnswer:
    """The state that a client needs to resume, cancel and show an answer; see docs/protocol.md.

    Attributes:
        response_id: Empty until the box has named the response.
        seq: The last frame that was received.
        texts: The text so far, by channel.
        request: An OpenAI chat body.
        request_id: The client's own id for the request.
        idempotency_key: Sent again after a lost connection, it makes the box attach the client to
            the answer that it already generates.
        cancelled: The client no longer wants it.
        done: The ``response.done`` message.
    """

    response_id: str = ""
    seq: int = 0
    texts: dict[str, str] = field(default_factory=lambda: {"answer": "", "thinking": ""})
    request: Message = field(default_factory=dict)
    request_id: str = "q"
    idempotency_key: str = ""
    cancelled: bool = False
    done: Message | None = None

    def first_message(self) -> Message:
        """The message to send on a new connection: `generate`, or `resume` once it has an id."""
        if self.response_id:
            return {"type": "resume", "response_id": self.response_id, "after": self.seq}
        return {
            "type": "generate",
            "id": self.request_id,
            "idempotency_key": self.idempotency_key,
            "request": self.request,
        }

    def cancel_message(self) -> Message | None:
        """The message that ends an unwanted answer; None as long as it has no id, or is wanted."""
        if not self.cancelled or not self.response_id:
            return None
        return {"type": "cancel", "response_id": self.response_id}

    def refuses(self, message: Message) -> bool:
        """Whether a message is the box's refusal of this request."""
        asked = message.get("id", self.request_id)
        return bool(message["type"] == "error" and asked == self.request_id)

    def take(self, message: Message) -> None:
        """Take one message of the box; those that do not concern the answer change nothing."""
        kind = message["type"]
        if kind.startswith("response.") and not self.response_id:
            self.response_id = message.get("response_id", "")
        if kind == "response.delta":
            channel = message["channel"]
            # What was sent twice, or replaced after a power cut, is overwritten.
            before = self.texts.get(channel, "")
            self.texts[channel] = before[: message["offset"]] + message["text"]
            self.seq = message["seq"]
        elif kind == "response.rewound":
            self.seq = message["seq"]
            for channel, offset in message["offsets"].items():
                self.texts[channel] = self.texts.get(channel, "")[:offset]
        elif kind == "response.done":
            self.seq = message.get("seq", self.seq)
            self.done = message
