"""A line that begins with a slash is for the terminal, not for the model."""

from __future__ import annotations

import stat
from pathlib import Path

from tests.parts.standin import StandIn, talking


def test_commands_are_answered_and_not_asked(other: StandIn, tmp_path: Path) -> None:
    """Each says what it did; paths and doubled slashes are questions."""
    saved = tmp_path / "saved.md"
    # So wide that a sentence stands in one line, however long the path in it is.
    with talking(other, tmp_path, columns=400) as talk:
        for line, answer in (
            ("/help", "/quit"),
            ("/nonsense", "There is no command /nonsense"),
            ("/save x", "nothing to save yet"),
            ("/etc/fstab?", "Yes."),
            ("//help", "Yes."),
            (f"/save {saved}", "Saved as"),
            (f"/save {saved}", "exists already"),
            ("/new", "A new conversation."),
            ("again", "Yes."),
        ):
            talk.wait_for("> ")
            talk.type(f"{line}\n")
            talk.wait_for(answer)
        talk.wait_for("> ")
        talk.type("/exit\n")
        assert talk.wait_ended() == 0

    asked = [[message["content"] for message in messages] for messages in other.asked]
    assert asked == [["/etc/fstab?"], ["/etc/fstab?", "Yes.", "/help"], ["again"]]
    assert saved.read_text().count("## Question") == 2
    assert stat.S_IMODE(saved.stat().st_mode) == 0o600
