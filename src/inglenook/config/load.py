"""Finds and reads the settings file, with all its faults at once. Kind: hands."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from pathlib import Path

from inglenook.common.errors import ConfigError, Fault
from inglenook.config.parse import Surroundings, parse_config
from inglenook.config.schema import Config

DEFAULT_PATH = Path("/etc/inglenook/config.yaml")

#: Settings fill a page; a file of a megabyte is another.
FILE_BYTES_MAX = 1 << 20


def load_config(path: Path | None, environ: Mapping[str, str]) -> Config:
    """Return the settings in force.

    Args:
        path: The file; None takes that of `settings_file`, or else all defaults.
        environ: The environment, for the folders of settings and state.

    Raises:
        ConfigError: With all faults.
    """
    source = path or settings_file(environ) or DEFAULT_PATH
    try:
        text = _read(source).decode("utf-8-sig")
    except FileNotFoundError as exc:
        if path is not None:
            raise _unreadable(source, "there is no such file; check the path") from exc
        text = ""
    except UnicodeDecodeError as exc:
        what = f"it is not UTF-8 text, at byte {exc.start}; save it in UTF-8"
        raise _unreadable(source, what) from exc
    around = Surroundings(source.absolute().parent, environ, socket.gethostname())
    return parse_config(text, str(source), around)


def settings_file(environ: Mapping[str, str]) -> Path | None:
    """Return the file to use if none is given; None if there is none.

    The machine's comes before the user's: it means a service, which all commands then concern.
    """
    for path in (DEFAULT_PATH, user_settings_file(environ)):
        if path is not None and os.path.lexists(path):
            return path
    return None


def user_settings_file(environ: Mapping[str, str]) -> Path | None:
    """Return the path of a user's own settings, there or not; None without a home."""
    # The XDG base directory specification has relative paths ignored.
    if (config_home := environ.get("XDG_CONFIG_HOME", "")).startswith("/"):
        return Path(config_home) / "inglenook/config.yaml"
    home = environ.get("HOME", "")
    return Path(home) / ".config/inglenook/config.yaml" if home else None


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(FILE_BYTES_MAX + 1)
    except FileNotFoundError:
        raise
    except IsADirectoryError as exc:
        raise _unreadable(path, "it is a folder; give the file in it") from exc
    except PermissionError as exc:
        what = "this user may not read it; allow it with 'chmod o+r', or run as root"
        raise _unreadable(path, what) from exc
    except OSError as exc:
        raise _unreadable(path, f"it cannot be read: {exc.strerror}") from exc
    if len(data) > FILE_BYTES_MAX:
        raise _unreadable(path, "it is larger than 1 MiB; is it the right file?")
    return data


def _unreadable(path: Path, what: str) -> ConfigError:
    return ConfigError([Fault(str(path), what)])
