"""Where it is kept when conversations began: with what is kept of them. Kind: hands."""

from __future__ import annotations

from dataclasses import replace

from inglenook.config import Config
from inglenook.daemon.tls_port import WallClock
from inglenook.engine.prefix_files import DATES_FILE
from inglenook.engine.settings import PREFIX_FOLDER
from inglenook.serving.date_store import DateStore
from inglenook.serving.journal.moments import Moment, read_moment


def open_dating(config: Config, clock: WallClock) -> DateStore:
    """Know when conversations began, by this clock; on the disk only if conversations are, too."""

    def moment() -> Moment:
        return replace(read_moment(), wall_s=clock.wall_s(), boottime_s=clock.boottime_s())

    if config.cache.disk_bytes == 0:
        return DateStore(None, moment)
    return DateStore(config.state_dir / PREFIX_FOLDER / DATES_FILE, moment)
