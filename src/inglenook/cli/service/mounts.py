"""Which mounts the service waits for, so that a disk that comes late is there first.

What it cannot run without is *required* (``RequiresMountsFor=``): without its state folder it would
begin as another box. The model is only *waited for* (``Wants=`` and ``After=`` the mounts on its
way): with a required mount, a drive that is missing at boot keeps the whole box away, and one that
is unplugged stops it, while the daemon itself says what is missing and looks for it again. systemd
has that as ``WantsMountsFor=`` since version 256, and Debian 12 has 252.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from inglenook.cli.service.files import CONFIG_DIR, SERVICE, STATE_DIR, File, drop_in, quoted

#: systemd's ``UNIT_NAME_MAX``; what would be longer is not called by its path.
_UNIT_NAME_MAX = 255

_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:_.")


def mounts_file(folders: Sequence[Path], state: Sequence[Path], model: Sequence[Path]) -> File:
    """Give the drop-in that waits for mounts.

    Args:
        folders: What the program is made of.
        state: Where the folders of state and settings lead, if links do; empty if none does.
        model: The model's file, and where it leads.
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
    """Name the unit of what is mounted there; see systemd.unit(5), "String escaping"."""
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
    """Every folder on the way to a file, the outermost first, each once."""
    found = dict.fromkeys(
        place for path in paths if ".." not in path.parts for place in reversed(path.parents)
    )
    return (place for place in found if place != Path("/"))
