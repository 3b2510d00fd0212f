"""How this very program is called from a shell, so that commands in messages work as they stand.

Messages name commands as `inglenook ...` and `sudo inglenook ...`. That is found where a link or
``PATH`` leads to this installation, and nowhere after ``make up`` at a fresh login; and sudo looks
only into the folders of its ``secure_path``, whatever the caller's ``PATH`` is.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path

#: The command of this very installation.
COMMAND = Path(sys.prefix) / "bin" / "inglenook"

#: What sudo searches on Debian (``secure_path`` in sudoers), and root's own shell anyway.
_ROOT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def command() -> str:
    """What to type for ``inglenook``: the name if ``PATH`` leads here, else the whole path."""
    return _typed(os.environ.get("PATH", ""))


def root_command() -> str:
    """What to type to have root run it; without ``sudo`` if this is root already."""
    called = _typed(_ROOT_PATH)
    return called if os.geteuid() == 0 else f"sudo {called}"


def as_typed(text: str) -> str:
    """Give a message with the commands in it as they work here."""
    if "`" not in text:
        return text
    text = text.replace("`sudo inglenook ", f"`{root_command()} ")
    return text.replace("`inglenook ", f"`{command()} ")


def _typed(path: str) -> str:
    found = shutil.which("inglenook", path=path)
    if found is not None and Path(found).resolve() == COMMAND.resolve():
        return "inglenook"
    if COMMAND.exists():
        return shlex.quote(str(COMMAND))
    return f"{shlex.quote(sys.executable)} -m inglenook"
