"""Control groups of both versions, in containers and under systemd."""

from __future__ import annotations

from pathlib import Path

import pytest

from inglenook.governor.memory.cgroup import find_groups, read_oom_kills, read_tightest

V2_MOUNT = "30 23 0:26 {root} /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw"
V1_MOUNT = "35 31 0:32 {root} /sys/fs/cgroup/memory rw shared:9 - cgroup cgroup rw,memory"
OTHER_MOUNT = "32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu"
SERVICE = "/system.slice/inglenook.service"


class Groups:
    """A root with control groups in it."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def write(self, path: str, text: str | int) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{text}\n")

    def member(self, *lines: str, mounts: tuple[str, ...]) -> None:
        self.write("proc/self/cgroup", "\n".join(lines))
        if mounts:
            self.write("proc/self/mountinfo", "\n".join((OTHER_MOUNT, *mounts)))

    def v2(self, path: str, limit: str | int, current: int, *, high: str | int = "max") -> None:
        folder = f"sys/fs/cgroup{path}"
        self.write(f"{folder}/memory.max", limit)
        self.write(f"{folder}/memory.high", high)
        self.write(f"{folder}/memory.current", current)

    def v1(self, path: str, limit: int, current: int) -> None:
        folder = f"sys/fs/cgroup/memory{path}"
        self.write(f"{folder}/memory.limit_in_bytes", limit)
        self.write(f"{folder}/memory.usage_in_bytes", current)

    def tightest(self) -> tuple[str, int, int] | None:
        """Folder below the root, limit and use."""
        memory = read_tightest(find_groups(self.root))
        if memory is None:
            return None
        folder = Path(memory.group.folder).relative_to(self.root / "sys/fs/cgroup")
        return str(folder), memory.limit_bytes, memory.used_bytes


@pytest.fixture
def groups(tmp_path: Path) -> Groups:
    return Groups(tmp_path)


@pytest.fixture
def service(groups: Groups) -> Groups:
    """A service under systemd, in groups of version 2 without a limit."""
    groups.member(f"0::{SERVICE}", mounts=(V2_MOUNT.format(root="/"),))
    groups.v2("/system.slice", "max", 900)
    groups.v2(SERVICE, "max", 300)
    return groups


def test_max_is_no_limit(service: Groups) -> None:
    """And the root of all groups has no files for it."""
    assert service.tightest() is None


@pytest.mark.parametrize(
    ("slice_limit", "limit", "high", "tightest"),
    [
        ("max", 1000, "max", ("system.slice/inglenook.service", 1000, 300)),
        ("max", 1000, 500, ("system.slice/inglenook.service", 500, 300)),
        ("max", "max", 500, ("system.slice/inglenook.service", 500, 300)),
        (1000, "max", "max", ("system.slice", 1000, 900)),
        (1000, 350, "max", ("system.slice/inglenook.service", 350, 300)),
        (1000, 500, "max", ("system.slice", 1000, 900)),
        (2000, 1000, "max", ("system.slice/inglenook.service", 1000, 300)),
    ],
)
def test_the_group_that_leaves_least_counts(
    service: Groups,
    slice_limit: str | int,
    limit: str | int,
    high: str | int,
    tightest: tuple[str, int, int],
) -> None:
    """Be it ours or one above it."""
    service.v2("/system.slice", slice_limit, 900)
    service.v2(SERVICE, limit, 300, high=high)

    assert service.tightest() == tightest


def test_cache_that_can_be_dropped_is_not_used(service: Groups) -> None:
    """Shared memory is in `file`, and cannot."""
    service.v2(SERVICE, 1000, 900)
    stat = "anon 100\nfile 700\nshmem 200\ninactive_file 300\nactive_file 200"
    service.write(f"sys/fs/cgroup{SERVICE}/memory.stat", stat)

    assert service.tightest() == ("system.slice/inglenook.service", 1000, 400)


def test_mapped_files_are_used(service: Groups) -> None:
    """The model's weights: they could be dropped, and would be read again for every token."""
    service.v2(SERVICE, 1000, 900)
    stat = "anon 100\nfile 700\nfile_mapped 450\ninactive_file 300\nactive_file 200"
    service.write(f"sys/fs/cgroup{SERVICE}/memory.stat", stat)

    assert service.tightest() == ("system.slice/inglenook.service", 1000, 850)


def test_mapped_shared_memory_is_counted_once(service: Groups) -> None:
    """It is among what is mapped, and is no cache."""
    service.v2(SERVICE, 1000, 900)
    stat = "shmem 800\nfile_mapped 800\ninactive_file 30\nactive_file 20"
    service.write(f"sys/fs/cgroup{SERVICE}/memory.stat", stat)

    assert service.tightest() == ("system.slice/inglenook.service", 1000, 900)


def test_a_container_sees_itself_as_the_root(groups: Groups) -> None:
    """With a namespace of its own, and the limit in the root's own files."""
    groups.member("0::/", mounts=(V2_MOUNT.format(root="/"),))
    groups.v2("", 1000, 300)

    assert groups.tightest() == (".", 1000, 300)


def test_a_container_may_see_its_hosts_path(groups: Groups) -> None:
    """Version 1 mounts the container's part only, and names it in full."""
    path = "/docker/0123abcd"
    groups.member(f"4:memory:{path}", "0::/", mounts=(V1_MOUNT.format(root=path),))
    groups.v1("", 1000, 300)

    assert groups.tightest() == ("memory", 1000, 300)


def test_a_group_below_the_mounted_part_is_found(groups: Groups) -> None:
    """systemd in a container of version 1."""
    path = "/docker/0123abcd"
    groups.member(f"4:memory:{path}/init.scope", mounts=(V1_MOUNT.format(root=path),))
    groups.v1("", 1000, 300)
    groups.v1("/init.scope", 500, 300)

    assert groups.tightest() == ("memory/init.scope", 500, 300)


@pytest.mark.parametrize("path", ["/../../user.slice", "/somewhere/else"])
def test_a_path_that_leads_outside_is_not_followed(groups: Groups, path: str) -> None:
    """What is mounted is what there is."""
    groups.member(f"0::{path}", mounts=(V2_MOUNT.format(root="/lxc/box"),))
    groups.v2("", 1000, 300)
    groups.write("user.slice/memory.current", 1)

    assert groups.tightest() == (".", 1000, 300)


def test_version_1_says_no_limit_by_a_huge_number(groups: Groups) -> None:
    """The largest number of pages."""
    groups.member("4:memory:/user.slice", mounts=(V1_MOUNT.format(root="/"),))
    groups.v1("/user.slice", 9223372036854771712, 300)
    groups.v1("", 9223372036854771712, 900)

    assert groups.tightest() is None


def test_version_1_counts_what_is_below_too(groups: Groups) -> None:
    """In the lines that begin with `total_`; and it may share the box with version 2."""
    groups.member(
        "9:name=systemd:/", "4:cpu,memory:/a", "0::/a", mounts=(V1_MOUNT.format(root="/"),)
    )
    groups.v1("/a", 1000, 900)
    stat = "inactive_file 1\ntotal_inactive_file 200\ntotal_active_file 100\ntotal_mapped_file 50"
    groups.write("sys/fs/cgroup/memory/a/memory.stat", stat)

    assert groups.tightest() == ("memory/a", 1000, 650)


def test_without_mountinfo_the_usual_places_count(groups: Groups) -> None:
    """A folder that stands for a board may leave it out."""
    groups.member(f"0::{SERVICE}", mounts=())
    groups.v2(SERVICE, 1000, 300)

    assert groups.tightest() == ("system.slice/inglenook.service", 1000, 300)


@pytest.mark.parametrize("text", ["", "0::", "4:cpu:/", "garbage", "0::/nowhere"])
def test_without_memory_control_there_is_no_group(groups: Groups, text: str) -> None:
    """Off in the kernel, as on many boards, or not to be seen."""
    groups.write("proc/self/cgroup", text)

    assert find_groups(groups.root) == []
    assert read_oom_kills([]) is None


def test_a_limit_without_use_says_nothing(service: Groups) -> None:
    """A file that comes and goes with its group."""
    service.v2(SERVICE, 1000, 300)
    found = find_groups(service.root)
    (service.root / f"sys/fs/cgroup{SERVICE}/memory.current").unlink()

    assert read_tightest(found) is None


def test_kills_are_counted(service: Groups) -> None:
    """Ours: the innermost group's."""
    found = find_groups(service.root)
    assert read_oom_kills(found) is None
    service.write(f"sys/fs/cgroup{SERVICE}/memory.events", "max 9\noom 4\noom_kill 2")
    service.write("sys/fs/cgroup/system.slice/memory.events", "oom_kill 7")

    assert read_oom_kills(found) == 2


def test_this_machines_groups_can_be_read() -> None:
    """Whatever they are."""
    for group in find_groups(Path("/")):
        assert group.version in (1, 2)
        assert Path(group.folder).is_dir()
    tightest = read_tightest(find_groups(Path("/")))
    assert tightest is None or tightest.used_bytes >= 0
