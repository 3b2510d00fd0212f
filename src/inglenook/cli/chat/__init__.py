"""The chat in a terminal."""

from __future__ import annotations

from inglenook.cli.parser import Commands, add_token_options


def register(command: Commands) -> None:
    """Add ``inglenook chat``."""
    chat = command("chat", "chat.chat:chat", "talk to a box from this terminal")
    chat.add_argument("--url", help="the box's address, such as http://kitchen-ab12.local:8377")
    chat.add_argument(
        "--pair", action="store_true", help="pair anew, such as with a box that has a new key"
    )
    add_token_options(chat)
