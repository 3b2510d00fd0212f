"""The mounts that the service waits for, so that a slow disk is mounted first.

Its own folders are *required* (``RequiresMountsFor=``): without its state folder it would begin as
another box. The model is only *waited for* (``Wants=`` and ``After=`` the mounts on its path): with
a required mount, a drive that is missing at boot would keep the whole box off, and unplugging it
would stop the box, while the daemon itself reports a missing model and looks for it again. systemd
has that as ``WantsMountsFor=`` since version 256, and Debian 12 has 252.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from inglenook.cli.service.files import CONFIG_DIR, SERVICE, STATE_DIR, File, drop_in, quoted

#: systemd's ``UNIT_NAME_MAX``; longer mounts are not named after their path.
_UNIT_NAME_MAX = 255

_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:_.")


def mounts_file(folders: Sequence[Path], state: Sequence[Path], model: Sequence[Path]) -> File:
    """Return the drop-in that waits for mounts.

    Args:
        folders: The program's folders.
        state: The targets of the state and settings folders, if they are links.
        model: The model's file, and its target.
    """
    required = list(dict.fromkeys((STATE_DIR, CONFIG_DIR, *state, *folders)))
    on_the_way = {place for path in required for place in (path, *path.parents)}
    mounts = [mount_unit(place) for place in _places(model) if place not in on_the_way]
    wanted = " ".join(name for name in mounts if len(name) <= _UNIT_NAME_MAX)
    lines = [f"RequiresMountsFor={' '.join(map(quoted, required))}"]
    if wanted:
        lines += [
            "# The model is waited for, and missed: with RequiresMountsFor= a box whose drive is",
            "# not there would not even say so.",
            f"Wants={wanted}",
            f"After={wanted}",
        ]
    return drop_in(SERVICE, "10-mounts.conf", "Unit", lines)


def mount_unit(place: Path) -> str:
    """The unit's name of a mount point; see systemd.unit(5), "String escaping"."""
    text = str(place).strip("/")
    escaped = "".join(_escaped(text, index) for index in range(len(text)))
    return f"{escaped or '-'}.mount"


def _escaped(text: str, index: int) -> str:
    char = text[index]
    if char == "/":
        return "-"
    if char in _PLAIN and not (char == "." and index == 0):
        return char
    return "".join(f"\\x{byte:02x}" for byte in char.encode(errors="surrogateescape"))


def _places(paths: Iterable[Path]) -> Iterator[Path]:
    """The parent folders of files, the outermost first, each once."""
    found = dict.fromkeys(
        place for path in paths if ".." not in path.parts for place in reversed(path.parents)
    )
    return (place for place in found if place != Path("/"))
