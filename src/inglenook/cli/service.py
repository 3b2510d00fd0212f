"""``inglenook service``: the box as a systemd service, put in place and taken away."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import inglenook
from inglenook.auth.files import read_private
from inglenook.cli.placing import Place
from inglenook.cli.servicefiles import (
    CONFIG_DIR,
    CONFIG_FILE,
    LIVE_ANNOUNCEMENT,
    PORTS,
    SERVICE,
    STATE_DIR,
    SYSUSERS,
    WAKE,
    File,
    MemoryLimits,
    Program,
    announcement,
    config_file,
    covered_paths,
    memory_limits,
    polkit_file,
    sysusers_file,
    unit_files,
)
from inglenook.cli.servicehome import Home
from inglenook.cli.systemctl import last_words, require_systemd, run, systemctl
from inglenook.config import Config, load_config
from inglenook.daemon.loading import make_load, read_budget
from inglenook.discovery.interfaces import wired_mac
from inglenook.errors import StartupError
from inglenook.gateway.listen import bind
from inglenook.models.catalogue import resolve_model
from inglenook.models.footprint import Running, footprint
from inglenook.models.inspect import inspect_model

_LINK = Path("/usr/local/bin/inglenook")

#: Stands for the box's id where there is none yet, or it may not be read.
_NO_ID = "00000000"


@dataclass(frozen=True, slots=True)
class _Plan:
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


def install(args: argparse.Namespace) -> None:
    """Put the service in place and start it; or show what would be written, or only write it."""
    place = Place(args.root or Path("/"))
    plan = _plan(args.config, place)
    if args.dry_run:
        for file in (plan.settings, *_files(plan, place, _known_id(place))):
            print(f"# {file.path}\n{file.text}")
        return
    os.umask(0o022)  # what is written here is for everybody to read
    if args.root is not None:
        _say(place.create(plan.settings))
        _say(place.put([*_files(plan, place, _known_id(place))]))
        return
    _require_root("install")
    require_systemd()
    _install(plan, place)


def uninstall(args: argparse.Namespace) -> None:
    """Take away what `install` has put in place; with ``--purge`` all that came with it, too."""
    place = Place(args.root or Path("/"))
    staged = args.root is not None
    if not staged:
        _require_root("uninstall")
        require_systemd()
        if place.was_installed:
            systemctl("disable", "--now", PORTS, *_wake_unit(place), SERVICE)
            print("stopped the service")
    _say(place.take_away())
    place.at(LIVE_ANNOUNCEMENT).unlink(missing_ok=True)
    _unlink_command(place)
    if args.purge:
        _purge(place)
    else:
        print(f"{STATE_DIR} and {CONFIG_FILE} stay; --purge removes them")
    if not staged:
        systemctl("daemon-reload")


def _install(plan: _Plan, place: Place) -> None:
    if place.was_installed:
        # And with it the rest: what the service uses counts as free then.
        systemctl("stop", PORTS)
    for sock in [sock for group in bind(plan.config.listen) for sock in group]:
        sock.close()
    home = Home(plan.program.templates / SYSUSERS)
    if plan.config.model.path is None:
        _say(home.bring_starter(plan.before))
    _check_readable(plan, home)
    _say(place.create(plan.settings))
    _say(place.put([*_files(plan, place, home.server_id())]))
    _say(_link_command(place))
    _start(place)
    print("next: `sudo inglenook pair` lets a phone in, `inglenook service status` shows how it is")


def _plan(given: Path | None, place: Place) -> _Plan:
    before = load_config(given, os.environ)
    source, target = given or CONFIG_FILE, place.at(CONFIG_FILE)
    if target.exists():
        if given is not None and not target.samefile(given):
            text = f"the service has settings in {target} already; change those, or remove them"
            raise StartupError(text)
        config = load_config(target, os.environ)
        settings = File(CONFIG_FILE, target.read_text(encoding="utf-8-sig"))
        if config.state_dir != STATE_DIR:
            text = f"the service keeps its state in {STATE_DIR}; say 'state_dir: {STATE_DIR}' in"
            raise StartupError(f"{text} {target}")
    else:
        config = replace(before, state_dir=STATE_DIR)
        written = source.read_text(encoding="utf-8-sig") if source.exists() else ""
        settings = config_file(before, written)
    model = resolve_model(config.model.path, STATE_DIR / "models")
    return _Plan(before, config, settings, model, _program())


def _program() -> Program:
    package = Path(inglenook.__file__).parent
    packaged = package / "cli" / "systemd"
    # In a checkout they stand beside `src`.
    templates = packaged if packaged.is_dir() else package.parents[1] / "systemd"
    folders = (Path(sys.prefix), Path(sys.base_prefix), package.parent)
    return Program(Path(sys.executable), folders, templates)


def _files(plan: _Plan, place: Place, box_id: str) -> Iterator[File]:
    config, program = plan.config, plan.program
    yield from unit_files(config, program, plan.model, _limits(plan))
    yield sysusers_file(program)
    if place.at(Path("/etc/polkit-1")).exists():
        yield polkit_file(program)
    mac = wired_mac() if config.discovery.mac else None
    if config.discovery.enabled:
        yield announcement(config, program, box_id, mac)


def _limits(plan: _Plan) -> MemoryLimits | None:
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
    free_bytes = memory.available_bytes if memory is not None and is_auto else None
    cache_bytes = load.prefix.ram_bytes if load.prefix else 0
    return memory_limits(need, cache_bytes, free_bytes)


def _known_id(place: Place) -> str:
    """The box's id, if it has one that may be read; for showing only."""
    try:
        return read_private(place.at(STATE_DIR / "server_id")).decode().strip()
    except (OSError, UnicodeDecodeError):
        return _NO_ID


def _check_readable(plan: _Plan, home: Home) -> None:
    paths = (plan.program.python, *plan.program.folders, plan.model)
    covered = covered_paths(paths)
    for path in paths:
        # What the units open by itself can be read there, whatever the folders above it say.
        if any(path.is_relative_to(top) for top in covered):
            may_read = path.is_file() is False or bool(path.stat().st_mode & 0o004)
        else:
            may_read = home.can_read(path)
        if not may_read:
            raise StartupError(
                f"the service's user, inglenook, may not read {path}; allow it with chmod, or have "
                "it where everybody may, such as in /opt or /srv"
            )


def _start(place: Place) -> None:
    systemctl("daemon-reload")
    wake = _wake_unit(place)
    systemctl("enable", PORTS, *wake, SERVICE)
    try:
        systemctl("start", PORTS)
        for unit in wake:
            _start_ear(unit)
        print("starting the service, which takes a moment")
        systemctl("start", SERVICE)
    except StartupError as exc:
        said = "\n".join(last_words(SERVICE, 10))
        raise StartupError(f"{exc}\n{said}".strip()) from exc
    print("the service is active, and starts with the board")


def _start_ear(unit: str) -> None:
    try:
        systemctl("start", unit)
    except StartupError as exc:
        # Worth a sentence, not the box: it answers without.
        print(f"magic packets will not be heard: {exc}", file=sys.stderr)


def _wake_unit(place: Place) -> list[str]:
    return [WAKE] if place.at(Path("/etc/systemd/system") / WAKE).exists() else []


def _link_command(place: Place) -> Iterator[str]:
    """Make the command known to everybody, unless another has its name."""
    command = Path(sys.prefix) / "bin" / "inglenook"
    link = place.at(_LINK)
    if command.exists() and not os.path.lexists(link):
        link.symlink_to(command)
        yield f"made {_LINK}, a link to {command}"


def _unlink_command(place: Place) -> None:
    link = place.at(_LINK)
    if link.is_symlink() and link.readlink() == Path(sys.prefix) / "bin" / "inglenook":
        link.unlink()
        print(f"removed {_LINK}")


def _purge(place: Place) -> None:
    for folder in (STATE_DIR, CONFIG_DIR):
        if place.at(folder).exists():
            shutil.rmtree(place.at(folder))
            print(f"removed {folder}")
    if place.root == Path("/"):
        run(["userdel", "inglenook"])
        print("removed the user inglenook")


def _require_root(action: str) -> None:
    if os.geteuid() != 0:
        raise StartupError(f"only root may do that; try `sudo inglenook service {action}`")


def _say(lines: Iterable[str]) -> None:
    for line in lines:
        print(line, flush=True)
