"""The plan of ``inglenook service install``: settings, program and model."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import inglenook
from inglenook.cli.service.earlier import Earlier, callers_environ, earlier_box
from inglenook.cli.service.files import (
    CONFIG_DIR,
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
from inglenook.cli.service.installed_files import InstalledFiles
from inglenook.cli.service.mounts import mounts_file
from inglenook.cli.terminal.output import note
from inglenook.common.errors import StartupError
from inglenook.common.private_files import read_private
from inglenook.config import Config, load_config, settings_file
from inglenook.config.edit import with_setting
from inglenook.daemon.loading import make_load, read_budget, running_as
from inglenook.discovery.interfaces import wired_mac
from inglenook.models.footprint import footprint
from inglenook.models.inspect import inspect_model, resolve_model

#: In place of the box's id, if there is none yet or it may not be read.
_NO_ID = "00000000"


@dataclass(frozen=True, slots=True)
class ServicePlan:
    """Everything that an install writes and starts.

    Attributes:
        before: The settings in use so far.
        config: Those of the service.
        settings: Their file, as it will be.
        amended: That file exists, and lacks the service's state folder.
        earlier: The box that the service continues, if there was one.
        model: The model's file after the install.
        program: This installation.
    """

    before: Config
    config: Config
    settings: File
    amended: bool
    model: Path
    program: Program
    earlier: Earlier | None


def make_plan(given: Path | None, place: InstalledFiles) -> ServicePlan:
    """Read the settings, and make the plan.

    Args:
        given: The settings file of the command line, if one was given.
        place: The system, with the service's own settings if it was installed before.

    Raises:
        ConfigError: If either settings are wrong.
        StartupError: If they are not those of a service.
    """
    environ = callers_environ(os.environ)
    before = load_config(given, environ)
    source, target = given or settings_file(environ), place.at(CONFIG_FILE)
    if target.exists():
        if given is not None and not target.samefile(given):
            text = f"the service has settings in {target} already; change those, or remove them"
            raise StartupError(text)
        config, settings = _own_settings(target, environ)
        amended = settings.text != _text_of(target)
    else:
        amended = False
        config = replace(before, state_dir=STATE_DIR)
        settings = _first_settings(before, source)
    model = resolve_model(config.model.path, STATE_DIR / "models")
    earlier = earlier_box(before.state_dir, place.at(STATE_DIR))
    return ServicePlan(before, config, settings, amended, model, _program(), earlier)


def _own_settings(target: Path, environ: Mapping[str, str]) -> tuple[Config, File]:
    """Return the existing settings, with the service's state folder if they name none."""
    text = _text_of(target)
    config = load_config(target, environ)
    if config.state_dir == STATE_DIR:
        return config, File(CONFIG_FILE, text)
    unset = {**environ, "STATE_DIRECTORY": str(STATE_DIR)}
    if load_config(target, unset).state_dir != STATE_DIR:
        raise StartupError(
            f"the service keeps its state in {STATE_DIR}; say 'state_dir: {STATE_DIR}' in {target}"
        )
    return replace(config, state_dir=STATE_DIR), File(
        CONFIG_FILE, _changed(target, lambda: with_setting(text, "state_dir", str(STATE_DIR)))
    )


def _first_settings(before: Config, source: Path | None) -> File:
    written = "" if source is None else _text_of(source)
    text = _changed(source, lambda: config_file(before, written).text)
    return File(CONFIG_FILE, text)


def _text_of(path: Path) -> str:
    # With its own line ends.
    return path.read_bytes().decode("utf-8-sig")


def _changed(source: Path | None, change: Callable[[], str]) -> str:
    try:
        return change()
    except ValueError as exc:
        text = f"{source}: {exc}; write 'state_dir: {STATE_DIR}' into {CONFIG_FILE} by hand"
        raise StartupError(text) from exc


def _program() -> Program:
    package = Path(inglenook.__file__).parent
    packaged = package / "cli" / "systemd"
    # In a checkout they are beside `src`.
    templates = packaged if packaged.is_dir() else package.parents[1] / "systemd"
    folders = (Path(sys.prefix), Path(sys.base_prefix), package.parent)
    return Program(Path(sys.executable), folders, templates)


def planned_files(plan: ServicePlan, place: InstalledFiles, box_id: str) -> Iterator[File]:
    """Yield every file that is rewritten at each install.

    Raises:
        StartupError: If systemd does not support the settings.
    """
    config, program = plan.config, plan.program
    yield from unit_files(config, program, plan.model, _limits(plan))
    yield _mounts(plan)
    yield sysusers_file(program)
    if place.at(Path("/etc/polkit-1")).exists():
        yield polkit_file(program)
    mac = wired_mac() if config.discovery.mac else None
    if config.discovery.enabled:
        yield announcement(config, program, box_id, mac)


def _mounts(plan: ServicePlan) -> File:
    program = plan.program
    folders = [program.python.parent, *program.folders]
    led = [path.resolve() for path in (STATE_DIR, CONFIG_DIR)]
    return mounts_file(
        [*folders, *(path.resolve() for path in folders)], led, (plan.model, plan.model.resolve())
    )


def _limits(plan: ServicePlan) -> MemoryLimits | None:
    # Before the install, the starter model may be where it was used so far.
    usual = resolve_model(plan.before.model.path, plan.before.state_dir / "models")
    path = next((path for path in (plan.model, usual) if os.access(path, os.R_OK)), plan.model)
    # The disk cache does not matter here, and its folder may be missing.
    config = replace(
        plan.config,
        model=replace(plan.config.model, path=path),
        cache=replace(plan.config.cache, disk_bytes=0),
    )
    try:
        info = inspect_model(path)
        _name, load, _memory = make_load(config)
    except StartupError as exc:
        note(f"no memory limits, which follow from the model: {exc}")
        return None
    need = footprint(info, running_as(load), load.context_tokens)
    memory = read_budget(config.governor.root)
    is_auto = None in (config.engine.context_tokens, config.cache.ram_bytes)
    total_bytes = memory.total_bytes if memory is not None and is_auto else None
    cache_bytes = load.prefix.ram_bytes if load.prefix else 0
    return memory_limits(need, cache_bytes, total_bytes)


def known_id(place: InstalledFiles) -> str:
    """The box's id, if this user may read it; for printing only."""
    try:
        return read_private(place.at(STATE_DIR / "server_id")).decode().strip()
    except (OSError, UnicodeDecodeError):
        return _NO_ID
