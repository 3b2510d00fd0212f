"""The daemon: the wiring of all rooms, in one box."""

from inglenook.daemon.box import Daemon
from inglenook.daemon.start import make_private_folder

__all__ = ["Daemon", "make_private_folder"]
