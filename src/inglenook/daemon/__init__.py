"""The daemon: the wiring of all rooms, in one box."""

from inglenook.daemon.box import Daemon
from inglenook.daemon.statefolder import claim_state_folder, make_private_folder

__all__ = ["Daemon", "claim_state_folder", "make_private_folder"]
