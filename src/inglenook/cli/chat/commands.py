"""The slash commands of `inglenook chat`."""

from __future__ import annotations

import re
from enum import Enum, auto
from pathlib import Path

from inglenook.cli.chat.conversation import Conversation
from inglenook.common.errors import StartupError
from inglenook.common.units import format_bytes

HELP = """\
  /new         start a new conversation; the old one is forgotten here
  /file PATH   send a text file along with the next question
  /save FILE   write the conversation to a new file
  /quit        end, as Ctrl-D does
  /help        this list
Ctrl-C stops an answer.
To ask a question that begins with a slash, type two slashes."""

#: A question may begin with a path, such as /etc/fstab.
_COMMAND = re.compile(r"/([a-z]+)(?:\s+(.*))?", re.DOTALL)


class After(Enum):
    """The next step after a typed line."""

    ASK = auto()
    NEXT_LINE = auto()
    QUIT = auto()


def run_command(line: str, conversation: Conversation) -> tuple[After, str]:
    """Run a line, if it is a command.

    Returns:
        The next step, and the question to send or the text to print.
    """
    match = _COMMAND.fullmatch(line)
    if match is None:
        return After.ASK, line[1:] if line.startswith("//") else line
    name, argument = match[1], (match[2] or "").strip()
    if name in ("quit", "exit"):
        return After.QUIT, ""
    try:
        return After.NEXT_LINE, _message(name, argument, conversation)
    except StartupError as exc:
        return After.NEXT_LINE, str(exc)


def _message(name: str, argument: str, conversation: Conversation) -> str:
    if name == "help":
        return HELP
    if name == "new":
        conversation.clear()
        return "A new conversation."
    if name not in ("file", "save"):
        return f"There is no command /{name}; /help lists them."
    if not argument:
        return f"Which file? Write /{name} and its path."
    path = Path(argument)
    if name == "file":
        size_bytes = conversation.add_file(path)
        return f"{path.name} ({format_bytes(size_bytes)}) goes along with the next question."
    if not conversation.messages:
        return "There is nothing to save yet."
    conversation.save(path)
    return f"Saved as {path}."
