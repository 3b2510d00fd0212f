"""A conversation, as it is sent to the model and saved to a file."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from inglenook.common.errors import StartupError
from inglenook.common.units import format_bytes
from inglenook.protocol.codec import FRAME_BYTES_MAX

Message = dict[str, str]


@dataclass
class Conversation:
    """Questions with their answers; unanswered questions are left out.

    Many templates refuse two messages of one side in a row, and messages without content.
    """

    messages: list[Message] = field(default_factory=list)
    files: list[tuple[str, str]] = field(default_factory=list)

    def asking(self, question: str) -> list[Message]:
        """The messages of a new question; files added since the last one are put before it."""
        parts = [f"{name}:\n\n```\n{text}\n```" for name, text in self.files]
        self.files = []
        return [*self.messages, {"role": "user", "content": "\n\n".join([*parts, question])}]

    def answered(self, asked: list[Message], answer: str) -> None:
        """Add a question and its answer, unless the answer is empty."""
        if answer.strip():
            self.messages = [*asked, {"role": "assistant", "content": answer}]

    def clear(self) -> None:
        """Start a new conversation."""
        self.messages, self.files = [], []

    def add_file(self, path: Path) -> int:
        """Add a text file to the next question; returns its size in bytes.

        Raises:
            StartupError: If it cannot be read, is no text, or is too long to be sent.
        """
        try:
            found = path.expanduser()
            if found.exists() and not found.is_file():
                raise StartupError(f"{path} is no file")
            with found.open("rb") as file:
                data = file.read(FRAME_BYTES_MAX + 1)
        except (OSError, RuntimeError) as exc:  # RuntimeError: a home of an unknown user
            reason = exc.strerror if isinstance(exc, OSError) else exc
            raise StartupError(f"{path} cannot be read: {reason}") from exc
        if len(data) > FRAME_BYTES_MAX:
            raise StartupError(f"{path} is longer than {format_bytes(FRAME_BYTES_MAX)}")
        try:
            text = data.decode()
        except UnicodeDecodeError:
            text = "\0"
        if "\0" in text:
            raise StartupError(f"{path} is no UTF-8 text")
        self.files.append((path.name, text.strip("\n")))
        return len(data)

    def save(self, path: Path) -> None:
        """Write the conversation to a new file, for this user only.

        Raises:
            StartupError: If the file exists, or it cannot be written.
        """
        heads = {"user": "Question", "assistant": "Answer"}
        text = "\n\n".join(f"## {heads[m['role']]}\n\n{m['content']}" for m in self.messages)
        try:
            target = path.expanduser()
            target.touch(mode=0o600, exist_ok=False)
            target.write_text(f"{text}\n", encoding="utf-8", errors="replace")
        except FileExistsError as exc:
            raise StartupError(f"{path} exists already; choose another name") from exc
        except (OSError, RuntimeError) as exc:
            reason = exc.strerror if isinstance(exc, OSError) else exc
            raise StartupError(f"{path} cannot be written: {reason}") from exc
