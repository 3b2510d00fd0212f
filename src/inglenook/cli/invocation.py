"""The command that runs this installation from a shell, so that commands in messages work.

Messages name commands as `inglenook ...` and `sudo inglenook ...`. These work only if ``PATH`` or a
link leads to this installation, which is not so after ``make up`` at a fresh login; and sudo
searches only the folders of its ``secure_path``, whatever the caller's ``PATH`` is.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path

#: The command of this very installation.
COMMAND = Path(sys.prefix) / "bin" / "inglenook"

#: The folders that sudo searches on Debian (``secure_path`` in sudoers), as root's shell does.
_ROOT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def command() -> str:
    """The command for ``inglenook``: the name if ``PATH`` leads here, else the whole path."""
    return _typed(os.environ.get("PATH", ""))


def root_command() -> str:
    """The command to run it as root; without ``sudo`` if this user is root."""
    called = _typed(_ROOT_PATH)
    return called if os.geteuid() == 0 else f"sudo {called}"


def as_typed(text: str) -> str:
    """Rewrite the commands in a message as they work here."""
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
