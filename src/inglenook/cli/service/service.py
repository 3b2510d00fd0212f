"""``inglenook service``: installing and removing the box as a systemd service."""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import stat
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from inglenook.cli.doctor.port_sharing import AVAHI_ALONE, avahi_is_alone
from inglenook.cli.invocation import COMMAND
from inglenook.cli.service.earlier import require_stopped
from inglenook.cli.service.files import (
    CONFIG_DIR,
    CONFIG_FILE,
    LIVE_ANNOUNCEMENT,
    PORTS,
    SERVICE,
    STATE_DIR,
    SYSUSERS,
    UNIT_DIR,
    WAKE,
    covered_paths,
    unit_files,
)
from inglenook.cli.service.home import USER, Home, user_exists
from inglenook.cli.service.installed_files import InstalledFiles
from inglenook.cli.service.plan import ServicePlan, known_id, make_plan, planned_files
from inglenook.cli.service.systemctl import last_words, require_systemd, run, systemctl
from inglenook.cli.terminal.output import note, say
from inglenook.common.errors import StartupError
from inglenook.gateway.listen import bind
from inglenook.gateway.settings import ListenSettings

_LINK = Path("/usr/local/bin/inglenook")


def install(args: argparse.Namespace) -> None:
    """Install and start the service; or only print its files, or only write them."""
    place = InstalledFiles(args.root or Path("/"))
    plan = make_plan(args.config, place)
    if args.dry_run:
        _show(plan, place, staged=args.root is not None)
        return
    os.umask(0o022)  # what is written here is for everybody to read
    if args.root is not None:
        _say((place.amend if plan.amended else place.create)(plan.settings))
        _say(place.put([*planned_files(plan, place, known_id(place))]))
        return
    _require_root("install", args.config)
    require_systemd()
    _install(plan, place)


def uninstall(args: argparse.Namespace) -> None:
    """Remove what `install` has written; with ``--purge`` the state and settings, too."""
    place = InstalledFiles(args.root or Path("/"))
    staged = args.root is not None
    if not staged:
        _require_root("uninstall", None)
        require_systemd()
        _disable([unit for unit in (PORTS, WAKE, SERVICE) if _has(place, unit)])
    _say(place.take_away())
    place.at(LIVE_ANNOUNCEMENT).unlink(missing_ok=True)
    _unlink_command(place)
    if args.purge:
        _purge(place)
    else:
        say(f"{STATE_DIR}, {CONFIG_FILE} and the user {USER} stay; --purge removes them")
    if not staged:
        systemctl("daemon-reload")


def _show(plan: ServicePlan, place: InstalledFiles, *, staged: bool) -> None:
    """Print every file as it would be written; of secrets and links, only their source."""
    for file in (plan.settings, *planned_files(plan, place, known_id(place))):
        print(f"# {file.path}\n{file.text}")
    if staged:
        return
    if _may_link(place):
        print(f"# {_LINK}, a link to {COMMAND}")
    if plan.earlier is not None:
        for name in plan.earlier.names:
            print(f"# {STATE_DIR / name}, a copy of {plan.earlier.folder / name}")
        print(f"# that is {plan.earlier.summary()}: the service goes on as that box")


def _install(plan: ServicePlan, place: InstalledFiles) -> None:
    again = _has(place, PORTS)
    if plan.earlier is not None:
        require_stopped(plan.earlier)
    # All checks come before anything is stopped.
    list(unit_files(plan.config, plan.program, plan.model, None))
    if not again:
        _try_ports(plan.config.listen)
    home = Home(plan.program.templates / SYSUSERS)
    if plan.earlier is not None:
        _say(home.bring(plan.earlier))
    if plan.config.model.path is None:
        _say(home.bring_starter(plan.before))
    _check_readable(plan, home)
    if again:
        systemctl("stop", PORTS)  # and with it the rest, whose memory counts as free then
        _try_ports(plan.config.listen)
    _say((place.amend if plan.amended else place.create)(plan.settings))
    _say(place.put([*planned_files(plan, place, home.server_id())]))
    _say(_link_command(place))
    _start(place)
    if plan.config.discovery.enabled and avahi_is_alone(place.root):
        note(AVAHI_ALONE)
    say("next: `sudo inglenook pair` lets a phone in, `inglenook service status` shows how it is")


def _try_ports(settings: ListenSettings) -> None:
    plain, tls = bind(settings)
    for sock in (*plain, *tls):
        sock.close()


def _check_readable(plan: ServicePlan, home: Home) -> None:
    for path in (plan.program.python, *plan.program.folders, plan.model):
        real = path.resolve()
        if not real.exists():
            may_read = True  # the service itself reports a missing model
        elif covered_paths((real,)):
            # The units mount it, whatever its parents' modes are; its own mode counts.
            may_read = real.is_dir() or bool(real.stat().st_mode & stat.S_IROTH)
        else:
            may_read = home.can_read(real)
        if not may_read:
            raise StartupError(
                f"the service's user, inglenook, may not read {path}; allow it with chmod, or have "
                "it where everybody may, such as in /opt or /srv"
            )


def _start(place: InstalledFiles) -> None:
    systemctl("daemon-reload")
    systemctl("enable", *(unit for unit in (PORTS, WAKE, SERVICE) if _has(place, unit)))
    try:
        systemctl("start", PORTS)
        if _has(place, WAKE):
            _start_wake_socket()
        say("starting the service, which takes a moment")
        systemctl("start", SERVICE)
    except StartupError as exc:
        output = "\n".join(last_words(SERVICE, 10))
        raise StartupError(f"{exc}\n{output}".strip()) from exc
    say("the service is active, and starts with the board")


def _disable(units: Sequence[str]) -> None:
    if not units:
        return
    try:
        systemctl("disable", "--now", *units)
        say("stopped the service")
    except StartupError as exc:
        # Broken units cannot be stopped, and are removed all the same.
        note(str(exc))


def _start_wake_socket() -> None:
    try:
        systemctl("start", WAKE)
    except StartupError as exc:
        # Only a note: the box works without.
        note(f"magic packets will not be received: {exc}")


def _has(place: InstalledFiles, unit: str) -> bool:
    return place.at(UNIT_DIR / unit).exists()


def _link_command(place: InstalledFiles) -> Iterator[str]:
    """Link the command into every user's PATH, unless the name is taken."""
    link = place.at(_LINK)
    if _may_link(place):
        link.symlink_to(COMMAND)
        yield f"made {_LINK}, a link to {COMMAND}"


def _may_link(place: InstalledFiles) -> bool:
    # Root must not find a file that others may change under a name it trusts.
    is_roots = COMMAND.exists() and COMMAND.stat().st_uid == 0
    return is_roots and not os.path.lexists(place.at(_LINK))


def _unlink_command(place: InstalledFiles) -> None:
    link = place.at(_LINK)
    if link.is_symlink() and link.readlink() == COMMAND:
        link.unlink()
        say(f"removed {_LINK}")


def _purge(place: InstalledFiles) -> None:
    for folder in (STATE_DIR, CONFIG_DIR):
        if place.at(folder).exists():
            shutil.rmtree(place.at(folder))
            say(f"removed {folder}")
    if place.root == Path("/") and user_exists():
        try:
            run(["userdel", USER])
            say(f"removed the user {USER}")
        except StartupError as exc:
            note(str(exc))  # it is logged in; all else is removed


def _require_root(action: str, config: Path | None) -> None:
    if os.geteuid() != 0:
        given = "" if config is None else f" --config {shlex.quote(str(config.absolute()))}"
        text = f"only root may do that; try `sudo inglenook service {action}{given}`"
        raise StartupError(text)


def _say(lines: Iterable[str]) -> None:
    for line in lines:
        say(line, rest="  ")
