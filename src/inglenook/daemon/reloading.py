"""What a reload of the settings can change, and what has to wait for a restart. Kind: rules."""

from __future__ import annotations

from operator import attrgetter

from inglenook.config import Config
from inglenook.config.schema import SETTINGS

#: Settings that are looked at whenever they are needed.
_AT_ONCE = ("power.", "wake.targets")


def changed_keys(before: Config, after: Config) -> tuple[list[str], list[str]]:
    """Compare settings.

    Returns:
        The changed ones that count at once, and those that count after a restart.
    """
    changed = [
        setting.key
        for setting in SETTINGS
        if attrgetter(setting.field)(before) != attrgetter(setting.field)(after)
    ]
    at_once = [key for key in changed if key.startswith(_AT_ONCE)]
    return at_once, [key for key in changed if key not in at_once]
