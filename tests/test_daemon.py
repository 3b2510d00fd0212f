"""The wiring, where it can be seen without running it all."""

from __future__ import annotations

from pathlib import Path

import pytest

from inglenook.config import Config, load_config
from inglenook.daemon import Daemon
from inglenook.daemon.loading import make_load, read_budget
from inglenook.engine.failures import ModelWontFitNow
from inglenook.engine.orders import LoadModel, PrefixCache
from inglenook.models.board_identity import read_board
from inglenook.models.inspect import inspect_model
from inglenook.models.preflight import Memory
from inglenook.models.tuning import Tuning, write_tuning
from tests.parts.gguf_files import small_model

MIB, GIB = 2**20, 2**30


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A board with 8 GiB of memory, 4 of them free."""
    write_meminfo(tmp_path / "board", 8 * GIB, 4 * GIB)
    return tmp_path / "board"


def write_meminfo(root: Path, total_bytes: int, available_bytes: int) -> None:
    (root / "proc").mkdir(parents=True, exist_ok=True)
    (root / "proc" / "meminfo").write_text(
        f"MemTotal: {total_bytes // 1024} kB\nMemAvailable: {available_bytes // 1024} kB\n"
    )


def config_of(root: Path, settings: str = "") -> Config:
    """Settings for that board and a model of a few kilobytes."""
    folder = root.parent
    (folder / "small.gguf").write_bytes(small_model())
    config = folder / "config.yaml"
    config.write_text(
        f"state_dir: {folder}\nmodel: {{path: small.gguf}}\ngovernor: {{root: {root}}}\n{settings}"
    )
    return load_config(config, {})


def load_of(config: Config) -> LoadModel:
    name, load, memory = make_load(config)
    assert name == "small"
    assert 0 < memory.mapped_bytes < memory.total_bytes
    return load


def test_the_model_is_named_before_it_is_read(tmp_path: Path) -> None:
    """A question that comes while it loads is put the way this model likes to be asked."""
    config = tmp_path / "config.yaml"
    config.write_text(f"state_dir: {tmp_path}\nmodel: {{path: /srv/SmolLM2-360M.gguf}}\n")

    assert Daemon(load_config(config, {})).engine_state.model == "SmolLM2-360M"


def test_without_a_path_it_is_the_starter(tmp_path: Path) -> None:
    """What `make up` runs."""
    config = tmp_path / "config.yaml"
    config.write_text(f"state_dir: {tmp_path}\n")

    assert Daemon(load_config(config, {})).engine_state.model == "SmolLM2-135M-Instruct.Q4_1"


def test_by_itself_everything_is_decided_from_the_board(root: Path) -> None:
    """The context from the model, the caches from what is free."""
    load = load_of(config_of(root))

    assert load.context_tokens == 256 * 8
    assert (load.kv_type, load.threads, load.speculate) == ("f16", None, False)
    assert load.prefix is not None
    assert load.prefix.folder == str(root.parent / "prefix")
    assert 800 * MIB < load.prefix.ram_bytes < GIB
    assert 0 < load.prefix.disk_bytes <= 4 * GIB


def test_what_is_set_is_handed_to_the_engine(root: Path) -> None:
    """As it is written."""
    settings = "engine: {speculation: auto, threads: 1}\ncache: {ram: 3MiB, disk: 0}\n"

    load = load_of(config_of(root, settings))

    assert load.prefix == PrefixCache(str(root.parent / "prefix"), 3 * MIB, 0)
    assert (load.speculate, load.threads) == (True, 1)


def test_what_was_measured_on_this_board_is_used(root: Path) -> None:
    """`inglenook tune` writes it; no setting names it."""
    config = config_of(root)
    info = inspect_model(root.parent / "small.gguf")
    write_tuning(root.parent, info, read_board(), Tuning(2, 64, "on", "q8_0"))

    load = load_of(config)

    assert (load.threads, load.ubatch_tokens, load.flash_attention) == (2, 64, "on")
    assert load.kv_type == "f16"


def test_a_board_without_room_refuses_until_there_is_some(root: Path) -> None:
    """The supervisor shows the sentence and asks again, which reads memory anew."""
    config = config_of(root)
    write_meminfo(root, 8 * GIB, 300 * MIB)

    with pytest.raises(ModelWontFitNow, match=r"needs .* MiB of memory .* and 300.0 MiB are free"):
        make_load(config)
    write_meminfo(root, 8 * GIB, GIB)
    assert load_of(config).context_tokens == 2048
    # The rest is mapped by another engine, or about to be taken by it.
    with pytest.raises(ModelWontFitNow, match=r"and 300.0 MiB are free"):
        make_load(config, held_bytes=724 * MIB)


@pytest.mark.parametrize(
    ("limit", "used", "budget"),
    [
        ("max", "1073741824", Memory(4 * GIB, 8 * GIB)),
        ("1073741824", "805306368", Memory(256 * MIB, GIB)),
        ("6442450944", "1073741824", Memory(4 * GIB, 6 * GIB)),
    ],
)
def test_a_control_group_may_leave_less(root: Path, limit: str, used: str, budget: Memory) -> None:
    """Its reserve is that of a small box, too."""
    group = root / "sys" / "fs" / "cgroup"
    group.mkdir(parents=True)
    (root / "proc" / "self").mkdir()
    (root / "proc" / "self" / "cgroup").write_text("0::/\n")
    (root / "proc" / "self" / "mountinfo").write_text(
        "30 23 0:26 / /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw\n"
    )
    (group / "memory.max").write_text(f"{limit}\n")
    (group / "memory.current").write_text(f"{used}\n")
    (group / "memory.stat").write_text("inactive_file 0\nactive_file 0\n")

    assert read_budget(root) == budget


def test_a_board_that_does_not_tell_is_not_refused(root: Path) -> None:
    """Without a number nothing can be said; the context is modest and nothing is kept in memory."""
    (root / "proc" / "meminfo").unlink()

    load = load_of(config_of(root))

    assert read_budget(root) is None
    assert load.prefix is not None
    assert (load.context_tokens, load.prefix.ram_bytes) == (2048, 0)
