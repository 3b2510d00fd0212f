"""Looks at model, board and disk, and says how the engine is to load. Kind: hands."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

from inglenook.common.errors import StartupError
from inglenook.common.units import format_bytes
from inglenook.config import Config
from inglenook.engine.failures import ModelWontFitNow
from inglenook.engine.interface import ModelMemory
from inglenook.engine.orders import LoadModel, PrefixCache
from inglenook.engine.prefix_files import BLOCK_SUFFIX, cache_files, folder_bytes
from inglenook.engine.settings import PREFIX_FOLDER
from inglenook.governor.memory.cgroup import find_groups
from inglenook.governor.memory.memory import read_memory
from inglenook.models.board_identity import read_board
from inglenook.models.footprint import Running, footprint
from inglenook.models.inspect import can_map, inspect_model, resolve_model
from inglenook.models.loading import LoadSettings, plan_load
from inglenook.models.preflight import Memory, NoRoomError, auto_disk_bytes
from inglenook.models.tuning import read_tuning

log = logging.getLogger(__name__)


def model_path(config: Config) -> Path:
    """Which file the settings mean, whether it is there or not."""
    return resolve_model(config.model.path, config.state_dir / "models")


def make_load(config: Config, held_bytes: int = 0) -> tuple[str, LoadModel, ModelMemory]:
    """Check the model and work out how to load it; blocks.

    Args:
        config: All settings.
        held_bytes: Memory of other models that the kernel says is available.

    Returns:
        The model's short name, the order, and what it will take.

    Raises:
        NotNow: If there is no room for it at the moment.
        StartupError: If it cannot be used.
    """
    engine = config.engine
    info = inspect_model(model_path(config))
    settings = _settings(config)
    tuning = read_tuning(config.state_dir, info, read_board())
    try:
        plan = plan_load(info, settings, tuning, read_budget(config.governor.root, held_bytes))
    except NoRoomError as exc:
        raise ModelWontFitNow(str(exc)) from exc
    if plan.sequences < engine.max_sequences:
        each = format_bytes(info.state_bytes)
        log.info("%d answers at once: a running state of this model takes %s", plan.sequences, each)
    load = LoadModel(
        path=str(info.path),
        chat_template=info.chat_template,
        context_tokens=plan.context_tokens,
        kv_type=plan.kv_type,
        sequences=plan.sequences,
        threads=plan.threads,
        step_budget_s=engine.step_budget_s,
        ubatch_tokens=plan.ubatch_tokens,
        flash_attention=plan.flash_attention,
        speculate=engine.speculation == "auto",
        prefix=PrefixCache(
            folder=str(config.state_dir / PREFIX_FOLDER),
            ram_bytes=plan.cache_ram_bytes,
            disk_bytes=_cache_disk_bytes(config),
        ),
        use_mmap=_can_map(info.path),
    )
    need = footprint(info, running_as(load), plan.context_tokens)
    mapped_bytes = need.weights_bytes if load.use_mmap else 0
    memory = ModelMemory(need.total_bytes + plan.cache_ram_bytes, mapped_bytes)
    return info.path.stem, load, memory


def running_as(load: LoadModel) -> Running:
    """How a model is run that is loaded so, as far as it takes memory."""
    return Running(
        load.sequences,
        load.kv_type,
        load.ubatch_tokens,
        load.flash_attention != "off" or load.kv_type != "f16",
        load.speculate,
    )


def _settings(config: Config) -> LoadSettings:
    engine = config.engine
    return LoadSettings(
        sequences=engine.max_sequences,
        context_tokens=engine.context_tokens,
        kv_type=engine.kv_type,
        threads=engine.threads,
        cache_ram_bytes=config.cache.ram_bytes,
        speculate=engine.speculation == "auto",
    )


def _can_map(path: Path) -> bool:
    # The plan is the same: weights count in full, mapped or read.
    mappable = can_map(path)
    if not mappable:
        log.info("%s is read into memory: its file system cannot map files", path)
    return mappable


def read_budget(root: Path, held_bytes: int = 0) -> Memory | None:
    """What a model may take: of the box, or of the tightest control group; None if unknown.

    Args:
        root: Where ``proc`` and ``sys`` stand.
        held_bytes: As of `make_load`.
    """
    memory = read_memory(root, find_groups(root))
    if memory.left_bytes is None:
        return None
    totals = [total for total in (memory.total_bytes, memory.limit_bytes) if total is not None]
    return Memory(max(0, memory.left_bytes - held_bytes), min(totals, default=None))


def remove_blocks(state_dir: Path) -> int:
    """Remove the prefix cache's files beside an engine, which keeps its folder and may lose a file.

    Returns:
        How many bytes they had.

    Raises:
        OSError: If one cannot be removed.
    """
    freed_bytes = 0
    for path, status in cache_files(state_dir / PREFIX_FOLDER):
        if path.suffix == BLOCK_SUFFIX:
            path.unlink(missing_ok=True)
            freed_bytes += status.st_size
    return freed_bytes


def _cache_disk_bytes(config: Config) -> int:
    if config.cache.disk_bytes is not None:
        return config.cache.disk_bytes
    try:
        kept_bytes = sum(folder_bytes(config.state_dir / PREFIX_FOLDER).values())
        return auto_disk_bytes(shutil.disk_usage(config.state_dir).free, kept_bytes)
    except OSError as exc:
        raise StartupError(f"{exc.filename}: cannot be read: {exc.strerror}") from exc
