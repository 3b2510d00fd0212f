"""Finds and reads the control groups this process is in. Kind: hands.

A limit of any group on the way up holds for all below it: of the service, of its slice, of the
container. In a container the way ends where the container's own file system begins.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from inglenook.governor.sensors.files import number_of, parse_table, text_of

#: Version 1 says "no limit" by the largest number of pages; no box has this much.
_NO_LIMIT_BYTES = 2**60


@dataclass(frozen=True, slots=True)
class _Names:
    """What one version calls its files."""

    limits: tuple[str, ...]
    current: str
    events: str
    dropped: tuple[str, ...]
    mapped: str


_V1 = _Names(
    ("memory.limit_in_bytes",),
    "memory.usage_in_bytes",
    "memory.oom_control",
    ("total_inactive_file", "total_active_file"),
    "total_mapped_file",
)
# At `high` the kernel begins to take memory away and to hold the group up.
_V2 = _Names(
    ("memory.max", "memory.high"),
    "memory.current",
    "memory.events",
    ("inactive_file", "active_file"),
    "file_mapped",
)


@dataclass(frozen=True, slots=True)
class Group:
    """One control group, with memory under control.

    Attributes:
        folder: Its files.
        version: 1 or 2.
    """

    folder: str
    version: int


@dataclass(frozen=True, slots=True)
class GroupMemory:
    """A group's limit.

    Attributes:
        group: Whose it is.
        limit_bytes: What it may use.
        used_bytes: What it uses, less the file cache it could drop. Mapped files are used: without
            the weights in memory, every token would be read from the disk.
    """

    group: Group
    limit_bytes: int
    used_bytes: int


def find_groups(root: Path) -> list[Group]:
    """List the groups this process is in, the innermost first; empty without memory control."""
    version, path = _membership(root)
    if version == 0:
        return []
    mounted_root, mount = _mount(root, version)
    inside = PurePosixPath(path)
    # A path that leads out of the mounted part is the host's; the mounted part is ours then.
    if inside.is_relative_to(mounted_root) and ".." not in inside.parts:
        inside = inside.relative_to(mounted_root)
    else:
        inside = PurePosixPath()
    current = (_V1 if version == 1 else _V2).current
    folders = [mount / inside, *(mount / parent for parent in inside.parents)]
    return [Group(str(folder), version) for folder in folders if (folder / current).exists()]


def read_tightest(groups: list[Group]) -> GroupMemory | None:
    """Read the group that leaves us least; None if none has a limit."""
    limited = [memory for group in groups if (memory := _read(group)) is not None]
    return min(limited, key=lambda memory: memory.limit_bytes - memory.used_bytes, default=None)


def read_oom_kills(groups: list[Group]) -> int | None:
    """Read how many processes of the innermost group the kernel has killed for memory."""
    if not groups:
        return None
    events = (_V1 if groups[0].version == 1 else _V2).events
    return parse_table(text_of(f"{groups[0].folder}/{events}")).get("oom_kill")


def _read(group: Group) -> GroupMemory | None:
    names = _V1 if group.version == 1 else _V2
    limits = [number_of(f"{group.folder}/{name}") for name in names.limits]
    limit_bytes = min(
        (limit for limit in limits if limit is not None and limit < _NO_LIMIT_BYTES), default=None
    )
    # The other files take the kernel some adding up.
    if limit_bytes is None:
        return None
    current_bytes = number_of(f"{group.folder}/{names.current}")
    if current_bytes is None:
        return None
    table = parse_table(text_of(f"{group.folder}/memory.stat"))
    cached_bytes = sum(table.get(name, 0) for name in names.dropped)
    # Shared memory is mapped, too, but is no cache.
    dropped_bytes = max(0, cached_bytes - table.get(names.mapped, 0))
    return GroupMemory(group, limit_bytes, max(0, current_bytes - dropped_bytes))


def _membership(root: Path) -> tuple[int, str]:
    """Which version controls our memory, and our path in it; version 0 if none does."""
    unified = ""
    for line in text_of(root / "proc/self/cgroup").splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if "memory" in controllers.split(","):
            return 1, path
        if number == "0" and not controllers:
            unified = path
    return (2, unified) if unified else (0, "")


def _mount(root: Path, version: int) -> tuple[str, Path]:
    """What part of the hierarchy is mounted, and where."""
    try:
        # May be longer than what is read in one go, where many containers run.
        lines = (root / "proc/self/mountinfo").read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    for line in lines:
        before, _, after = line.partition(" - ")
        mount, kind = before.split(), after.split()
        wanted = (
            kind[:1] == ["cgroup2"]
            if version == 2
            else kind[:1] == ["cgroup"] and "memory" in kind[-1].split(",")
        )
        if wanted and len(mount) > 4:
            return mount[3], root / mount[4].lstrip("/")
    return "/", root / ("sys/fs/cgroup" if version == 2 else "sys/fs/cgroup/memory")
