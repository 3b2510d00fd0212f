"""Puts changed settings in force while the box runs. Kind: hands."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from operator import attrgetter

from inglenook.common.errors import ConfigError, StartupError
from inglenook.config import Config
from inglenook.config.schema import SETTINGS

log = logging.getLogger(__name__)

#: Settings that are read whenever they are needed.
_AT_ONCE = ("power.", "wake.targets")


class Reload:
    """Reads the settings anew, and takes up what can be taken up without dropping anybody."""

    def __init__(
        self,
        reread: Callable[[], Config] | None,
        reloading: Callable[[], AbstractContextManager[None]],
        take_up: Callable[[Config], None],
        renew_certificate: Callable[[], Awaitable[None]],
    ) -> None:
        """Nothing happens before `run`.

        Args:
            reread: Reads the settings; blocks, raises a ConfigError. None where there are none.
            reloading: Tells systemd when it begins and ends.
            take_up: Makes them count.
            renew_certificate: The box may have other names or addresses than at its start; raises a
                StartupError if there is no certificate for them.
        """
        self._reread = reread
        self._reloading = reloading
        self._take_up = take_up
        self._renew_certificate = renew_certificate

    async def run(self, told: asyncio.Event) -> None:
        """Reload whenever ``told`` is set, until cancelled."""
        while True:
            await told.wait()
            told.clear()
            if self._reread is not None:
                with self._reloading():
                    await self._reload(self._reread)

    async def _reload(self, reread: Callable[[], Config]) -> None:
        try:
            config = await asyncio.to_thread(reread)
        except ConfigError as exc:
            log.error("the settings stay as they were: %s", exc)  # noqa: TRY400  # its words are for people
            return
        self._take_up(config)
        try:
            await self._renew_certificate()
        except StartupError as exc:
            log.error("the TLS certificate stays as it was: %s", exc)  # noqa: TRY400  # its words are for people


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
