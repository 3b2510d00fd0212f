"""``inglenook model use``: write another model into the box's settings file."""

from __future__ import annotations

import argparse
import os
import shlex
from pathlib import Path

from inglenook.cli.service.files import CONFIG_FILE, STATE_DIR
from inglenook.cli.terminal.output import note, say
from inglenook.common.errors import StartupError
from inglenook.common.wholefile import write_whole
from inglenook.config import Config, load_config, settings_file, user_settings_file
from inglenook.config.edit import with_setting
from inglenook.engine.examining import examine_template
from inglenook.engine.templatefacts import TemplateUnfit
from inglenook.models.inspect import CHECK_ARGUMENT, inspect_model
from inglenook.models.starter import STARTER


def use(args: argparse.Namespace) -> None:
    """Check a model, and write it into the settings in force; a running daemon is unchanged."""
    config = load_config(args.config, os.environ)
    model = _meant(args.model, config.state_dir / "models")
    if model is not None:
        _check(model)
    target = args.config or settings_file(os.environ) or user_settings_file(os.environ)
    if target is None:
        raise StartupError("there is no HOME to keep settings in; name a file with --config")
    _write(target, model)
    say(f"{target}: model.path is {model or 'null, the starter model,'} from the next start on")
    note(_how_to_start(config, args.config))


def _check(model: Path) -> None:
    """Check that a model can be loaded, and chat.

    Raises:
        StartupError: If it cannot.
    """
    info = inspect_model(model, remedy=CHECK_ARGUMENT)
    facts = examine_template(info.path, info.chat_template)
    if isinstance(facts, TemplateUnfit):
        raise StartupError(f"{model}: {facts.why}; choose another model")


def _meant(text: str, models_dir: Path) -> Path | None:
    """Find the model file of a name or path; None for the starter model.

    Raises:
        StartupError: If it cannot stand in a settings file.
    """
    if text == STARTER.name:
        return None
    path = Path(text)
    if len(path.parts) == 1 and not path.exists() and (models_dir / text).exists():
        path = models_dir / text
    path = path.absolute()
    if not str(path).isprintable():
        text = f"{str(path)!r} has characters that a settings file cannot hold; rename it"
        raise StartupError(text)
    return path


def _write(target: Path, model: Path | None) -> None:
    value = None if model is None else str(model)
    try:
        # Written in place of a link, it would be another file.
        target = target.resolve()
        status = target.stat() if target.exists() else None
        before = "" if status is None else target.read_bytes().decode("utf-8-sig")
        target.parent.mkdir(parents=True, exist_ok=True)
        write_whole(
            target,
            with_setting(before, "model.path", value).encode(),
            mode=0o644 if status is None else status.st_mode & 0o777,
            owner=(status.st_uid, status.st_gid) if status and os.geteuid() == 0 else None,
        )
    except PermissionError as exc:
        raise StartupError(f"{target} may not be written by this user; try it with sudo") from exc
    except OSError as exc:
        raise StartupError(f"{target} cannot be written: {exc.strerror}") from exc
    except ValueError as exc:
        text = f"{target}: {exc}; write 'path: {value or 'null'}' below 'model:' by hand"
        raise StartupError(text) from exc


def _how_to_start(config: Config, given: Path | None) -> str:
    if config.state_dir == STATE_DIR:
        chosen = given not in (None, CONFIG_FILE)
        more = f" --config {shlex.quote(str(given))}" if chosen else ""
        return (
            f"`sudo inglenook service install{more}` restarts the service with it, and with memory "
            "limits and folders that fit it"
        )
    more = "" if given is None else f" --config {shlex.quote(str(given))}"
    return f"stop the box with Ctrl-C if it runs, and start it again: `inglenook up{more}`"
