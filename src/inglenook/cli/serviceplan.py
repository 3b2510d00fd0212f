"""What ``inglenook service install`` is going to do: with which settings, program and model."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import inglenook
from inglenook.auth.files import read_private
from inglenook.cli.placing import Place
from inglenook.cli.servicefiles import (
    CONFIG_FILE,
    STATE_DIR,
    File,
    MemoryLimits,
    Program,
    announcement,
    config_file,
    memory_limits,
    polkit_file,
    sysusers_file,
    unit_files,
)
from inglenook.config import Config, load_config
from inglenook.daemon.loading import make_load, read_budget
from inglenook.discovery.interfaces import wired_mac
from inglenook.errors import StartupError
from inglenook.models.catalogue import resolve_model
from inglenook.models.footprint import Running, footprint
from inglenook.models.inspect import inspect_model

#: Stands for the box's id where there is none yet, or it may not be read.
_NO_ID = "00000000"


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be installed.

    Attributes:
        before: The settings in use so far.
        config: Those of the service.
        settings: Their file, which is written if there is none.
        model: The model's file, once everything is in place.
        program: This installation.
    """

    before: Config
    config: Config
    settings: File
    model: Path
    program: Program


def make_plan(given: Path | None, place: Place) -> Plan:
    """Read the settings, and find out what this installation is made of.

    Args:
        given: The settings named on the command line, if any were.
        place: Where the service has its own, if it has been installed before.

    Raises:
        ConfigError: If there is something wrong with either.
        StartupError: If they are not those of a service.
    """
    # Tools that set machines up may leave HOME out.
    environ = {"HOME": str(Path.home()), **os.environ}
    before = load_config(given, environ)
    source, target = given or CONFIG_FILE, place.at(CONFIG_FILE)
    if target.exists():
        if given is not None and not target.samefile(given):
            text = f"the service has settings in {target} already; change those, or remove them"
            raise StartupError(text)
        config = load_config(target, environ)
        settings = File(CONFIG_FILE, target.read_text(encoding="utf-8-sig"))
        if config.state_dir != STATE_DIR:
            text = f"the service keeps its state in {STATE_DIR}; say 'state_dir: {STATE_DIR}' in"
            raise StartupError(f"{text} {target}")
    else:
        config = replace(before, state_dir=STATE_DIR)
        written = source.read_text(encoding="utf-8-sig") if source.exists() else ""
        settings = config_file(before, written)
    model = resolve_model(config.model.path, STATE_DIR / "models")
    return Plan(before, config, settings, model, _program())


def _program() -> Program:
    package = Path(inglenook.__file__).parent
    packaged = package / "cli" / "systemd"
    # In a checkout they stand beside `src`.
    templates = packaged if packaged.is_dir() else package.parents[1] / "systemd"
    folders = (Path(sys.prefix), Path(sys.base_prefix), package.parent)
    return Program(Path(sys.executable), folders, templates)


def planned_files(plan: Plan, place: Place, box_id: str) -> Iterator[File]:
    """Give every file that is written anew at each install.

    Raises:
        StartupError: If systemd could not do what the settings say.
    """
    config, program = plan.config, plan.program
    yield from unit_files(config, program, plan.model, _limits(plan))
    yield sysusers_file(program)
    if place.at(Path("/etc/polkit-1")).exists():
        yield polkit_file(program)
    mac = wired_mac() if config.discovery.mac else None
    if config.discovery.enabled:
        yield announcement(config, program, box_id, mac)


def _limits(plan: Plan) -> MemoryLimits | None:
    # Before the install, the starter model may be where it was used so far.
    usual = resolve_model(plan.before.model.path, plan.before.state_dir / "models")
    path = next((path for path in (plan.model, usual) if os.access(path, os.R_OK)), plan.model)
    # What goes to the disk does not matter here, and its folder may not be there yet.
    config = replace(
        plan.config,
        model=replace(plan.config.model, path=path),
        cache=replace(plan.config.cache, disk_bytes=0),
    )
    try:
        info = inspect_model(path)
        _name, load = make_load(config)
    except StartupError as exc:
        print(f"no memory limits, which follow from the model: {exc}", file=sys.stderr)
        return None
    flash = load.flash_attention != "off" or load.kv_type != "f16"
    running = Running(load.sequences, load.kv_type, load.ubatch_tokens, flash)
    need = footprint(info, running, load.context_tokens)
    memory = read_budget(config.governor.root)
    is_auto = None in (config.engine.context_tokens, config.cache.ram_bytes)
    total_bytes = memory.total_bytes if memory is not None and is_auto else None
    cache_bytes = load.prefix.ram_bytes if load.prefix else 0
    return memory_limits(need, cache_bytes, total_bytes)


def known_id(place: Place) -> str:
    """The box's id, if it has one that may be read; for showing only."""
    try:
        return read_private(place.at(STATE_DIR / "server_id")).decode().strip()
    except (OSError, UnicodeDecodeError):
        return _NO_ID
